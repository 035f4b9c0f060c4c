"""`pingone-mcp serve` as a process: from nothing to a first answer, and to a good end."""

from __future__ import annotations

import dataclasses
import json
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from filelock import FileLock

from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.sandbox.faults import Fault
from tests.process.conftest import Held
from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.programs import PATIENCE, PIPES, bare, begun, run
from tests.process.terminal import CTRL_C, in_terminal


@dataclass
class Serving:
    process: subprocess.Popen[str]
    url: str
    lines: list[str]

    def line(self) -> dict[str, Any]:
        assert self.process.stderr is not None
        self.lines.append(self.process.stderr.readline())
        facts: dict[str, Any] = json.loads(self.lines[-1])
        return facts


@contextmanager
def serving(env: dict[str, str], *arguments: str) -> Iterator[Serving]:
    with begun("serve", "--port", "0", *arguments, env=env, text=True, **PIPES) as process:
        served = Serving(process, "", [])
        try:
            first = served.line()
            assert first["event"] == "listening"
            served.url = first["url"]
            yield served
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sample.env").write_text("PINGONE_SANDBOX=1\n")
    (tmp_path / "sample.env").chmod(0o600)
    return bare(tmp_path, PINGONE_STATE_DIR=str(tmp_path / "state"))


def test_from_nothing_to_a_first_answer(env: dict[str, str], tmp_path: Path) -> None:
    linked = inside("connect", "--name", "sample", "--env-file", str(tmp_path / "sample.env"), "--json", env=env).json()
    made = inside("keys", "create", "reporting", "--connection", "sample", "--json", env=env).json()
    with serving(env) as served, httpx.Client(base_url=served.url, timeout=60) as client:
        assert client.get("/readyz").json()["ready"]
        ours = client.get(
            "/unified/user-directory/users", params={"limit": 2}, headers={"Authorization": f"Bearer {made['key']}"}
        )
        assert [len(ours.json()["result"]), ours.json()["total"]] == [2, 500]
        who = client.get("/unified/user-directory/me", headers={"Authorization": f"Bearer {made['key']}"})
        assert [row["type"] for row in who.json()["result"]] == ["service-account"]
        assert client.get("/unified/user-directory/users").status_code == 401
        mcp = client.post(
            f"/c/{linked['id']}/mcp",
            headers={"Authorization": f"Bearer {made['key']}", "Accept": "application/json, text/event-stream"},
            json={
                "jsonrpc": "2.0",
                "id": 1,
                "method": "initialize",
                "params": {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {},
                    "clientInfo": {"name": "test", "version": "1"},
                },
            },
        )
        assert "pingone-mcp" in mcp.text
        second = run("serve", "--port", "0", env=env)
        assert second.status == 2
        assert f"process {served.process.pid} of " in second.sentence()
        log = [served.line() for _ in range(5)]
        assert [entry["status"] for entry in log] == [200, 200, 200, 401, 200]
        assert made["key"] not in "".join(served.lines)
        assert "limit" not in "".join(served.lines)


def test_the_connection_of_the_variables_is_served_where_they_describe_one(env: dict[str, str]) -> None:
    described = {**env, "PINGONE_SANDBOX": "1", "PINGONE_CACHE_DIR": f"{env['HOME']}/cache"}
    made = inside("keys", "create", "reporting", "--connection", "default", "--json", env=described).json()
    assert made["connections"] == ["default"]
    headers = {"Authorization": f"Bearer {made['key']}"}
    with serving(described) as served, httpx.Client(base_url=served.url, timeout=60, headers=headers) as client:
        assert client.get("/unified/user-directory/users").json()["total"] == 500
    with serving(env) as served, httpx.Client(base_url=served.url, timeout=60, headers=headers) as client:
        unknown = client.get("/unified/user-directory/users")
        other = client.get("/unified/user-directory/users", params={"integrated_account_id": "another"})
        assert [unknown.status_code, other.status_code] == [404, 404]
        assert {**unknown.json(), "correlation_id": ""} == {**other.json(), "correlation_id": ""}
    assert inside("connections", "list", "--json", env=env).out == "[]\n"
    (listed,) = json.loads(inside("connections", "list", "--json", env=described).out)
    assert (listed["id"], listed["name"], listed["provider"]) == ("default", "default", "sample")


def seen(client: httpx.Client, path: str, member: str, value: str) -> dict[str, Any]:
    """Return what is at a path, once its member has this value, or the first row of the list that is there has."""
    found: dict[str, Any] = {}
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = client.get(path).raise_for_status().json()
        one: dict[str, Any] = next(iter(found.get("result", [found])), {})
        if one.get(member) == value:
            return one
        time.sleep(0.3)  # seldom: nobody reads what it logs meanwhile
    raise AssertionError(found)


def test_a_question_that_is_refused_shows_at_the_connection(shell: Shell) -> None:
    identity, sandbox = shell.link(), shell.served.sandbox
    scopes = ("--scope=connections.manage", "--scope=directory.read", "--scope=directory.sync")
    key = inside("keys", "create", "all", *scopes, env=shell.env).out
    headers = {"Authorization": f"Bearer {key.strip()}"}
    with serving(shell.env) as served, httpx.Client(base_url=served.url, timeout=60, headers=headers) as client:
        seen(client, "/sync-job-run", "status", "completed")
        sandbox.application = dataclasses.replace(sandbox.application, client_secret="another")
        sandbox.revoke_tokens()
        refused = client.get("/unified/user-directory/users")
        assert (refused.status_code, refused.json()["truto_is_remote_error"]) == (401, True)
        account = seen(client, f"/integrated-account/{identity}", "status", "needs_reauth")
        assert "client secret" in json.dumps(account)
        assert len(client.get("/sync-job-run").json()["result"]) == 1, "no sync has shown it"


def test_of_what_is_paused_at_the_shell_a_sync_goes_on_no_more(shell: Shell, held: Held) -> None:
    identity, sandbox = shell.link(), shell.served.sandbox
    key = inside("keys", "create", "all", "--scope=directory.read", "--scope=directory.sync", env=shell.env).out
    headers = {"Authorization": f"Bearer {key.strip()}"}
    sandbox.faults.add(Fault("slow", path="/users"))
    with serving(shell.env) as served, httpx.Client(base_url=served.url, timeout=60, headers=headers) as client:
        assert held.arrived.wait(PATIENCE)
        assert shell.run("connections", "pause", identity).status == 0
        cut_off = seen(client, "/sync-job-run", "status", "failed")
    assert "closed" in json.dumps(cut_off)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_it_is_asked_to(env: dict[str, str], number: signal.Signals) -> None:
    with serving(env) as served:
        served.process.send_signal(number)
        out, err = served.process.communicate(timeout=PATIENCE)
        assert (served.process.returncode, out, err) == (0, "", "")
    with serving(env) as again:  # nothing of the first is in its way
        assert httpx.get(f"{again.url}/healthz").json() == {"alive": True}


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ((), "Sign in with this browser (once, within ten minutes): http://127.0.0.1:"),
        (
            ("--behind-proxy", "--public-url", "https://directory.example.com"),
            "People sign in at https://directory.example.com/sign-in.",
        ),
    ],
    ids=["alone", "behind a proxy"],
)
def test_it_says_on_a_terminal_how_people_sign_in(env: dict[str, str], arguments: tuple[str, ...], seen: str) -> None:
    answers = [("lets somebody call", CTRL_C)]
    ended = in_terminal("serve", "--port", "0", *arguments, env=env, is_owned=True, answers=answers)
    assert (ended.status, seen in ended.out) == (0, True)
    assert ("/login?code=" in ended.out) is (arguments == ())


def test_who_serves_already_may_not_have_said_so_yet(env: dict[str, str]) -> None:
    folder = Path(env["PINGONE_STATE_DIR"]) / "serving"
    folder.mkdir(mode=0o700, parents=True)
    with FileLock(folder / "lock", mode=0o600):
        second = run("serve", "--port", "0", env=env)
    assert second.status == 2
    assert "it does not say which" in second.sentence()


@pytest.mark.parametrize("url", ["http://directory.example.com", "https://u:p@a.example", ""])
def test_a_public_url_that_is_none_is_a_sentence(env: dict[str, str], url: str) -> None:
    """Every link and audience begins with it: a wrong one would lead callers, with their credentials, elsewhere."""
    ended = run("serve", "--port", "0", "--public-url", url, env=env)
    assert ended.status == 2
    assert ended.sentence().startswith("The URL given with --public-url must be ")


@pytest.mark.parametrize(
    ("arguments", "lacking"),
    [
        ((), ["PINGONE_PUBLIC_URL", "--behind-proxy", "keys create"]),
        (("--behind-proxy",), ["PINGONE_PUBLIC_URL", "keys create"]),
        (("--behind-proxy", "--public-url", "https://directory.example.com"), ["keys create"]),
    ],
)
def test_it_does_not_listen_for_other_machines_without_what_keeps_strangers_out(
    env: dict[str, str], arguments: tuple[str, ...], lacking: list[str]
) -> None:
    ended = run("serve", "--host", "0.0.0.0", "--port", "0", *arguments, env=env)  # noqa: S104 - it does not come to it
    assert ended.status == 2
    said = ended.sentence()
    assert [word for word in ("PINGONE_PUBLIC_URL", "--behind-proxy", "keys create") if word in said] == lacking


ENDED = datetime(2026, 3, 1, tzinfo=UTC)  # long ago, for a process with a clock of its own
EVERYWHERE = ("--host", "0.0.0.0")  # noqa: S104 - what is tested


async def keep_bad_keys(folder: Path) -> None:
    """Leave two keys in control data that let nobody in: one that was revoked, and one that has ended."""
    async with open_control(ControlPlace(folder=folder)) as control:
        revoked = await control.api_keys.create(name="revoked", permissions={"directory.read"})
        await control.api_keys.revoke(revoked.key.id)
        await control.api_keys.create(name="ended", permissions={"directory.read"}, expires_at=ENDED)


async def test_keys_that_let_nobody_in_count_for_nothing(env: dict[str, str]) -> None:
    await keep_bad_keys(Path(env["PINGONE_STATE_DIR"]))
    reached = ("--behind-proxy", "--public-url", "https://directory.example.com")
    ended = await anyio.to_thread.run_sync(lambda: run("serve", *EVERYWHERE, "--port", "0", *reached, env=env))
    assert (ended.status, "keys create" in ended.sentence()) == (2, True)


def certified(folder: Path, name: str) -> dict[str, str]:
    """Write a certificate that signs itself, for a name, and its key; return the variables that name them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(clear)
    (folder / "key.pem").chmod(0o600)
    return {"PINGONE_TLS_CERT": str(folder / "cert.pem"), "PINGONE_TLS_KEY": str(folder / "key.pem")}


def test_with_all_that_keeps_strangers_out_it_answers_other_machines_over_tls(
    env: dict[str, str], tmp_path: Path
) -> None:
    name = "directory.example.com"
    secure = {**env, **certified(tmp_path, name), "PINGONE_PUBLIC_URL": f"https://{name}"}
    key = inside("keys", "create", "reporting", "--scope", "directory.read", env=secure).out.strip()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    trusted = ssl.create_default_context(cafile=secure["PINGONE_TLS_CERT"])
    with (
        serving(secure, *EVERYWHERE, "--port", str(port)) as served,
        httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted, timeout=60) as client,
    ):
        assert served.url == f"https://{name}"

        def asked(path: str, **headers: str) -> httpx.Response:
            return client.get(path, headers={"Host": name, **headers}, extensions={"sni_hostname": name})

        assert asked("/readyz").json()["ready"]
        assert asked("/unified/user-directory/users").status_code == 401
        account = asked("/integrated-account", Authorization=f"Bearer {key}")
        assert (account.status_code, account.json()["result"]) == (200, [])
        assert asked("/integrated-account", Host="127.0.0.1").status_code == 421
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60)
