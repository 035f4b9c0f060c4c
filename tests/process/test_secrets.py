"""The secret and the token appear nowhere: not in what is printed or logged, not in files, not in the process list."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest

from tests.process.conftest import Held
from tests.process.programs import PATIENCE, Ended, Served, in_process, run, started

# There is no switch for it; so is everything that any library would ever tell.
TALKATIVE = in_process("import logging\nlogging.basicConfig(level=logging.DEBUG)")


def forms(value: str, user: str) -> set[bytes]:
    """Return a secret as it could appear: as it is, URL-encoded, in a Basic header, in base64 at any offset."""
    pairs = (value, f"{user}:{value}", f"{user}:{quote_plus(value)}", f"{quote_plus(user)}:{quote_plus(value)}")
    texts = {value, quote(value, safe=""), quote_plus(value), value.encode().hex(), value[5:]}
    encoded = {base64.b64encode(pair.encode()).decode().rstrip("=") for pair in pairs}
    # What stands at another offset of base64 has its first and last letters changed by its neighbours.
    shifted = {base64.b64encode(b"x" * by + value.encode())[4:-4].decode() for by in (1, 2)}
    return {text.encode() for text in texts | encoded | shifted}


class Watched:
    """Everything a session leaves behind, looked through for secrets."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.seen: list[bytes] = []

    def run(self, *arguments: str, **changes: str) -> Ended:
        end = run(*arguments, env=self.served.variables(**changes), program=TALKATIVE)
        self.keep(end)
        return end

    def keep(self, end: Ended) -> None:
        self.seen += [end.out.encode(), end.err.encode()]

    def found(self, *secrets: str) -> list[bytes]:
        files = [path for path in self.served.home.rglob("*") if path.is_file()]
        everything = b"\0".join([*self.seen, *(str(path).encode() + path.read_bytes() for path in files)])
        wanted = set[bytes]().union(*(forms(secret, self.served.sandbox.client_id) for secret in secrets))
        return [form for form in wanted if form in everything]


@pytest.fixture
def watched(served: Served) -> Watched:
    return Watched(served)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
    return port


def test_a_session_of_success_renewal_and_failure_leaves_no_secret_anywhere(served: Served, watched: Watched) -> None:
    sandbox, wrong = served.sandbox, "wrong~secret+of/4711=="
    nowhere = f"http://127.0.0.1:{closed_port()}"
    with started(env=served.variables(), program=TALKATIVE) as server:

        def failed(tool: str, **arguments: object) -> bool:
            return bool(server.answer(server.call(tool, **arguments))["result"]["isError"])

        server.greet()
        assert not failed("list_users", limit=1)
        sandbox.revoke_tokens()
        assert not failed("list_users", limit=1)
        assert len(served.credentials("Bearer")) == 2, "the refused token was renewed"
        for fault in ("dropped_connection", "server_error", "bad_gateway_html", "truncated_body"):
            sandbox.faults.add(fault)
            assert failed("list_users")
        assert failed("proxy_request", path=f"{nowhere}/v1/x")
        sandbox.faults.add("token_revoked", times=None)
        assert failed("list_users")
        sandbox.faults.clear()
        watched.keep(server.rest())
        watched.seen += [line.encode() for line in server.heard]
    assert watched.run("call", "list_users", "limit=1").status == 0
    assert watched.run("check").status == 0
    assert watched.run("check", PINGONE_CLIENT_SECRET=wrong).status == 1
    assert watched.run("check", PINGONE_AUTH_METHOD="client_secret_post").status == 1
    assert watched.run("call", "list_users", PINGONE_AUTH_URL=nowhere, PINGONE_CLIENT_SECRET=wrong).status == 1
    assert watched.run("call", "list_users", PINGONE_REGION="MARS", PINGONE_CLIENT_ID="").status == 2
    assert len(b"".join(watched.seen)) > 10_000, "the logs did talk"
    sent = served.credentials("Bearer") + served.credentials("Basic")
    assert len(sent) >= 4
    assert watched.found(sandbox.client_secret, wrong, *sent) == []


def test_the_search_would_find_a_secret_in_every_form(watched: Watched) -> None:
    secret, client = "sandbox~abc/def+123", watched.served.sandbox.client_id
    basic = httpx.BasicAuth(client, secret)
    header = next(basic.auth_flow(httpx.Request("GET", "http://x"))).headers["Authorization"]
    for leak in (secret, header, f"a={quote(secret, safe='')}", base64.b64encode(f"x {secret} y".encode()).decode()):
        watched.seen = [leak.encode()]
        assert watched.found(secret), leak


def test_the_secret_is_no_argument_of_any_process(served: Served, held: Held) -> None:
    served.sandbox.faults.add("slow", path="/users")
    with started("call", "list_users", env=served.variables()) as caller:
        assert held.arrived.wait(PATIENCE)
        assert served.sandbox.client_secret not in Path(f"/proc/{caller.process.pid}/cmdline").read_text()
