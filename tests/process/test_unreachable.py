"""Where PingOne cannot be reached, check, tools and sync say why, and what to do: one sentence for each cause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from anyio.from_thread import start_blocking_portal

from tests.http.certificates import certificate
from tests.http.servers import Serve, answer_never, says, serving
from tests.process.inside import inside
from tests.process.programs import Served
from tests.process.test_secrets import closed_port

DAY = timedelta(days=1)
PLACES = {"PINGONE_AUTH_URL": "", "PINGONE_API_URL": "/v1"}


ServeHere = Callable[[Serve, Path | None], int]


class Why(NamedTuple):
    """One cause: what leads to it, and what is said. `url` is where PingOne is said to be."""

    url: str
    environment: dict[str, str]
    said: str
    step: str
    code: str


@pytest.fixture
def serve() -> Iterator[ServeHere]:
    """Give what serves from a thread of this process, and says on which port."""
    open_: list[AbstractContextManager[int]] = []
    with start_blocking_portal() as portal:

        def begin(answer: Serve, shown: Path | None) -> int:
            manager = portal.wrap_async_context_manager(serving(answer, shown))
            open_.append(manager)
            return manager.__enter__()

        yield begin
        for manager in open_:
            manager.__exit__(None, None, None)


def refused(serve: ServeHere, folder: Path) -> Why:
    url = f"http://127.0.0.1:{closed_port()}"
    return Why(url, {}, "127.0.0.1 refused the connection.", "firewall", "CONNECTION_REFUSED")


def no_such_name(serve: ServeHere, folder: Path) -> Why:
    url = "https://nobody.invalid"
    return Why(url, {}, "There is no address for the host nobody.invalid.", "PINGONE_REGION", "HOST_NOT_FOUND")


def untrusted(serve: ServeHere, folder: Path) -> Why:
    port = serve(answer_never, certificate(folder, "127.0.0.1", begins=-DAY, ends=DAY))
    said = "The certificate of 127.0.0.1 is not one that is trusted here."
    return Why(f"https://127.0.0.1:{port}", {}, said, "SSL_CERT_FILE", "CERTIFICATE_NOT_TRUSTED")


def expired(serve: ServeHere, folder: Path) -> Why:
    shown = certificate(folder, "127.0.0.1", begins=-3 * DAY, ends=-DAY)
    said = "The certificate of 127.0.0.1 has expired, or is not valid yet."
    trusting = {"SSL_CERT_FILE": str(shown)}
    return Why(f"https://127.0.0.1:{serve(answer_never, shown)}", trusting, said, "clock", "CERTIFICATE_EXPIRED")


def of_another(serve: ServeHere, folder: Path) -> Why:
    shown = certificate(folder, "127.0.0.2", begins=-DAY, ends=DAY)
    said = "The certificate that 127.0.0.1 shows is one for another host."
    url, trusting = f"https://127.0.0.1:{serve(answer_never, shown)}", {"SSL_CERT_FILE": str(shown)}
    return Why(url, trusting, said, "PINGONE_CUSTOM_DOMAIN", "CERTIFICATE_OF_ANOTHER_HOST")


def dead_proxy(serve: ServeHere, folder: Path) -> Why:
    said = "The proxy on the way to api.pingone.eu cannot be reached."
    proxy = {"HTTPS_PROXY": f"http://127.0.0.1:{closed_port()}"}
    return Why("https://api.pingone.eu", proxy, said, "Check HTTPS_PROXY", "PROXY_UNREACHABLE")


def proxy_with_login(serve: ServeHere, folder: Path) -> Why:
    port = serve(says("HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"), None)
    said = "The proxy on the way to api.pingone.eu asks for a name and a password (407)."
    proxy = {"HTTPS_PROXY": f"http://somebody:hushhush@127.0.0.1:{port}"}
    return Why("https://api.pingone.eu", proxy, said, "HTTPS_PROXY (http://name:password@", "PROXY_LOGIN_REQUIRED")


def proxy_that_forbids(serve: ServeHere, folder: Path) -> Why:
    port = serve(says("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), None)
    said = "The proxy on the way to api.pingone.eu did not let the connection through."
    proxy = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
    return Why("https://api.pingone.eu", proxy, said, "who runs it to allow api.pingone.eu", "PROXY_REFUSED")


def no_connection(serve: ServeHere, folder: Path) -> Why:
    url = f"https://127.0.0.1:{serve(answer_never, None)}"
    return Why(url, {}, "No connection to 127.0.0.1 came about in time.", "HTTPS_PROXY", "NO_CONNECTION_IN_TIME")


def another_server(serve: ServeHere, folder: Path) -> Why:
    head = "Content-Type: text/html\r\nContent-Length: 6\r\nConnection: close"
    port = serve(says(f"HTTP/1.1 404 Not Found\r\n{head}\r\n\r\n<html>"), None)
    said = "127.0.0.1 answers with a web page (HTTP 404), as PingOne's API does not."
    return Why(f"http://127.0.0.1:{port}", {}, said, "PINGONE_REGION", "NOT_PINGONE")


CAUSES = (
    refused,
    no_such_name,
    untrusted,
    expired,
    of_another,
    dead_proxy,
    proxy_with_login,
    proxy_that_forbids,
    no_connection,
    another_server,
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_check_and_a_tool_say_why_and_what_to_do(
    served: Served, serve: ServeHere, tmp_path: Path, cause: Callable[[ServeHere, Path], Why], place: str
) -> None:
    why = cause(serve, tmp_path)
    env = served.variables(**{place: why.url + PLACES[place]}) | why.environment
    checked = inside("check", env=env | {"PINGONE_RETRY_SECONDS": "1"})
    called = inside("call", "list_users", env=env | {"PINGONE_RETRY_SECONDS": "30", "PINGONE_ANSWER_SECONDS": "1"})
    assert (checked.status, called.status) == (1, 1)
    assert "missing" not in checked.out, "one sentence, and nothing that follows from it"
    (failed,) = (line for line in checked.out.splitlines() if line.startswith("failed"))
    for told in (failed, called.sentence()):
        assert why.said in told
        assert why.step in told
        assert f"[{why.code}]" in told
        assert "TOO_SLOW" not in told
        assert "hushhush" not in told


async def too_late_for_a_person(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(15)
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    finally:
        writer.close()


def test_a_call_gives_up_a_silent_server_sooner_than_a_walk(served: Served, serve: ServeHere) -> None:
    env = served.variables(PINGONE_API_URL=f"http://127.0.0.1:{serve(too_late_for_a_person, None)}/v1")
    assert "127.0.0.1 did not answer in time." in inside("call", "list_users", env=env).sentence()


@pytest.mark.parametrize("cause", [refused, proxy_with_login], ids=lambda cause: cause.__name__)
def test_a_sync_says_it_too(
    served: Served, serve: ServeHere, tmp_path: Path, cause: Callable[[ServeHere, Path], Why]
) -> None:
    why = cause(serve, tmp_path)
    end = inside("sync", env=served.variables(PINGONE_API_URL=f"{why.url}/v1") | why.environment)
    assert end.status == 1
    assert why.said in end.err
    assert f"[{why.code}]" in end.err


def test_a_walk_that_breaks_off_says_what_helps_and_not_to_sync_again(served: Served) -> None:
    served.sandbox.faults.add("dropped_connection", path=r"/users\?", times=None)
    end = inside("sync", env=served.variables())
    assert end.status == 1
    assert "broke before the answer was whole. Try again. If it stays so" in end.out
    assert "Sync again" not in end.out + end.err


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_a_sentence(served: Served, tmp_path: Path, variable: str) -> None:
    env = served.variables() | {variable: str(tmp_path / "gone")}
    for command in (("check",), ("call", "list_users"), ("sync",)):
        end = inside(*command, env=env)
        assert end.status in {1, 2}
        assert f"{variable} names no" in end.sentence()
        assert len(end.sentence().splitlines()) == 1
