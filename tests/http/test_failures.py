"""What kept an answer from coming is told by its name; the failures come from real sockets."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
import pytest

from pingone_mcp.http.engine import Engine
from pingone_mcp.http.failures import Cause, NotWholeInTime, cause, unreachable
from pingone_mcp.http.upstream import PROXY
from pingone_mcp.pingone.api.upstream import PINGONE
from tests.http.certificates import certificate
from tests.http.servers import Serve, answer_never, hang_up, reset, says, serving


async def failure(
    url: str, *, proxy: str | None = None, trusted: Path | None = None, connect: float = 30, answer: float = 60
) -> httpx.TransportError:
    """Return what a request really ends in, `connect` and `answer` being the seconds that it has."""
    verify = ssl.create_default_context(cafile=trusted)
    async with Engine(verify) as engine:
        request = httpx.Request("GET", url, extensions={"timeout": {"connect": connect}, PROXY: proxy})
        try:
            with anyio.move_on_after(answer) as patience:
                response = await engine.handle_async_request(request)
                await response.aread()
            if patience.cancelled_caught:
                return httpx.ReadTimeout("no answer")  # as `exchange` has it
        except httpx.TransportError as ended:
            return ended
        pytest.fail(f"answered: {response.status_code}")


async def test_a_port_that_nobody_listens_on() -> None:
    async with serving(answer_never) as port:
        pass
    assert cause(await failure(f"http://127.0.0.1:{port}")) is Cause.REFUSED


async def test_a_name_that_nobody_has() -> None:
    assert cause(await failure("https://nobody.invalid")) is Cause.NO_SUCH_HOST


DAY = timedelta(days=1)
IN_VAIN: dict[Cause, tuple[float, float]] = {Cause.NO_CONNECTION_IN_TIME: (0.2, 60), Cause.NO_ANSWER_IN_TIME: (30, 0.5)}


@pytest.mark.parametrize(
    ("name", "begins", "ends", "trust", "found"),
    [
        ("127.0.0.1", -DAY, DAY, False, Cause.NOT_TRUSTED),
        ("127.0.0.1", -3 * DAY, -DAY, True, Cause.EXPIRED),
        ("127.0.0.1", DAY, 3 * DAY, True, Cause.EXPIRED),
        ("127.0.0.2", -DAY, DAY, True, Cause.OTHER_HOST),
    ],
    ids=["not-trusted", "expired", "not-yet", "of-another"],
)
async def test_a_certificate_that_is_not_accepted(
    name: str, begins: timedelta, ends: timedelta, *, trust: bool, found: Cause, tmp_path: Path
) -> None:
    shown = certificate(tmp_path, name, begins=begins, ends=ends)
    async with serving(hang_up, shown) as port:
        ended = await failure(f"https://127.0.0.1:{port}", trusted=shown if trust else None)
    assert cause(ended) is found


@pytest.mark.parametrize(
    ("serve", "scheme", "found"),
    [
        (hang_up, "https", Cause.NO_TLS),
        (reset, "https", Cause.NO_TLS),
        (says("HTTP/1.1 400 Bad Request\r\n\r\n"), "https", Cause.NO_CONNECTION_IN_TIME),
        (hang_up, "http", Cause.BROKEN),
        (reset, "http", Cause.BROKEN),
        (says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "http", Cause.BROKEN),
        (says("SSH-2.0-OpenSSH\r\n\r\n"), "http", Cause.BROKEN),
        (answer_never, "http", Cause.NO_ANSWER_IN_TIME),
        (answer_never, "https", Cause.NO_CONNECTION_IN_TIME),
    ],
)
async def test_a_server_that_does_not_answer(serve: Serve, scheme: str, found: Cause) -> None:
    connect, answer = IN_VAIN.get(found, (30, 60))
    async with serving(serve) as port:
        assert cause(await failure(f"{scheme}://127.0.0.1:{port}", connect=connect, answer=answer)) is found


@pytest.mark.parametrize(
    ("status", "found"),
    [("407 Who are you", Cause.PROXY_LOGIN), ("403 No", Cause.PROXY_REFUSED), ("502 Bad Gateway", Cause.PROXY_FAILED)],
)
async def test_a_proxy_that_opens_no_way(status: str, found: Cause) -> None:
    async with serving(says(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")) as port:
        assert cause(await failure("https://api.pingone.eu", proxy=f"http://127.0.0.1:{port}")) is found


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


def test_one_refusal_among_several_addresses_is_a_refusal() -> None:
    group = ExceptionGroup("attempts", [OSError("no route"), ConnectionRefusedError()])
    assert cause(caused(httpx.ConnectError("x"), caused(OSError("x"), group))) is Cause.REFUSED


ALL = {
    Cause.REFUSED: caused(httpx.ConnectError("secret"), ConnectionRefusedError("secret")),
    Cause.PROXY_REFUSED: httpx.ProxyError("403 secret"),
    Cause.PROXY_UNREACHABLE: caused(httpx.ProxyError("secret"), httpx.ConnectError("secret")),
    Cause.PROXY_NOT_IN_TIME: caused(httpx.ProxyError("secret"), httpx.ConnectTimeout("secret")),
    Cause.NO_CONNECTION_IN_TIME: httpx.ConnectTimeout("secret"),
    Cause.NO_FREE_CONNECTION: httpx.PoolTimeout("secret"),
    Cause.NO_ANSWER_IN_TIME: httpx.ReadTimeout("secret"),
    Cause.NOT_WHOLE_IN_TIME: NotWholeInTime(30),
    Cause.BROKEN: httpx.ReadError("secret"),
    Cause.UNREACHABLE: httpx.ConnectError("secret"),
}


@pytest.mark.parametrize(("found", "ended"), ALL.items(), ids=lambda value: getattr(value, "name", ""))
def test_the_sentence_names_the_host_and_what_to_do_and_nothing_else(found: Cause, ended: Exception) -> None:
    told = unreachable(PINGONE, "api.pingone.eu", ended)
    assert cause(ended) is found
    assert "api.pingone.eu" in told.what
    assert told.next_step
    assert "secret" not in str(told)
    assert "{" not in str(told)


def test_the_sentences_are_told_apart() -> None:
    told = [unreachable(PINGONE, "api.pingone.eu", ended).what for ended in ALL.values()]
    assert len(set(told)) == len(told)
    assert unreachable(PINGONE, "api.pingone.eu", ALL[Cause.NOT_WHOLE_IN_TIME]).what == (
        "The answer of api.pingone.eu was not whole after 30 s."
    )
