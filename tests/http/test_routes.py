"""Credentials go to PingOne by the way that is set for its host, and never where others could read them."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import Problem, Refused, Unconfigured, Unreachable
from pingone_mcp.http.routes import Routes, usual_certificates
from pingone_mcp.pingone.api.client import open_client
from pingone_mcp.pingone.connection import Proxies, connection_of
from pingone_mcp.pingone.directory import open_directory
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.settings import Settings
from tests.http.certificates import certificate
from tests.http.servers import says, serving
from tests.world import NOW, World, changed


class Proxy:
    """A proxy that opens no way, and keeps what it was sent."""

    def __init__(self) -> None:
        self.heard = ""
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """Give a proxy that the environment names for everything."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    listening = Proxy()
    async with listening.running() as url:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)
        yield listening


def settings(
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    *,
    api: str = "https://api.pingone.eu",
    auth: str | None = None,
    patience: int = 0,
) -> Settings:
    base = world.connection()
    variables = {
        "ENVIRONMENT_ID": base.credentials.environment_id,
        "CLIENT_ID": base.credentials.client_id,
        "CLIENT_SECRET": base.credentials.client_secret.get_secret_value(),
        "CACHE_DIR": str(world.cache),
        "API_URL": f"{api}/v1",
        "RETRY_SECONDS": str(patience),
    }
    for name, value in (variables | ({"AUTH_URL": auth} if auth else {})).items():
        monkeypatch.setenv(f"PINGONE_{name}", value)
    return Settings.load()


async def test_a_secret_for_this_machine_does_not_go_to_a_proxy(
    proxy: Proxy, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API is elsewhere, and reached through the proxy; the token endpoint is here."""
    async with (
        running(world.sandbox) as here,
        open_client(connection_of(settings(monkeypatch, world, auth=here, patience=3))) as client,
    ):
        await client.authenticate()
        with pytest.raises(Unreachable, match="asks for a name and a password") as told:
            await client.get("/environments")
    assert world.sandbox.token_requests == 1
    assert "HTTPS_PROXY" in told.value.next_step
    assert proxy.heard.startswith("CONNECT api.pingone.eu:443 ")
    assert proxy.heard.count("CONNECT") == 1, "it will ask for a login the next time, too"
    assert "authorization" not in proxy.heard.lower()


async def test_no_way_to_this_machine_leads_through_a_proxy_whatever_is_set(
    proxy: Proxy, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world.sandbox) as here:
        read = connection_of(settings(monkeypatch, world, auth=here))
        named = dataclasses.replace(read, proxies=Proxies(auth=f"http://127.0.0.1:{proxy.port}"))
        async with open_client(named) as client:
            await client.authenticate()
    assert (world.sandbox.token_requests, proxy.heard) == (1, "")


async def test_a_proxy_that_is_not_there_is_told_as_one(
    proxy: Proxy, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world.sandbox) as here:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
        async with open_client(connection_of(settings(monkeypatch, world, auth=here))) as client:
            with pytest.raises(Unreachable, match=r"The proxy on the way to api\.pingone\.eu cannot be reached"):
                await client.get("/environments")


async def test_two_ports_of_one_host_have_a_way_each(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "pingone.invalid:8443")):
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)
    api, auth = "https://pingone.invalid:8443", "https://pingone.invalid:9443"
    read = connection_of(settings(monkeypatch, world, api=api, auth=auth))
    proxies = {read.api_base: read.proxies.api, read.token_url: read.proxies.auth}
    async with Routes(proxies) as routes:
        for url, way in ((f"{api}/v1", httpx.ConnectError), (auth, httpx.ProxyError)):
            with pytest.raises(way):
                await routes.handle_async_request(httpx.Request("GET", url))


@pytest.mark.parametrize("place", ["api_url", "auth_url"])
async def test_no_credentials_go_over_plain_http_to_another_machine(world: World, tmp_path: Path, place: str) -> None:
    """The settings refuse such a URL at start; a connection that was made otherwise is stopped before it sends."""
    sandbox = Sandbox(size=5, now=NOW)
    elsewhere = World(sandbox=sandbox, cache=tmp_path / "elsewhere")
    base = elsewhere.connection()
    url = getattr(base.endpoints, place).replace("http://127.0.0.1:8010", "http://192.0.2.7")
    leaving = changed(base, **{place: url})
    async with open_directory(leaving, transport=sandbox.transport(), clock=elsewhere.time.clock()) as directory:
        with pytest.raises(Refused, match="plain http"):
            await directory.users(UserQuestion())
    sent = [one.path for one in sandbox.requests]
    assert not any(path.startswith("/v1/") for path in sent)
    assert (place == "auth_url") == (sent == [])


@pytest.mark.parametrize("variable", ["PINGONE_API_URL", "PINGONE_AUTH_URL"])
def test_plain_http_to_another_machine_is_refused_at_start(
    variable: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(monkeypatch, world)
    monkeypatch.setenv(variable, "http://api.pingone.eu")
    with pytest.raises(Problem, match=f"{variable}: must be https"):
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "name", "said"),
    [
        ("SSL_CERT_FILE", "gone", "SSL_CERT_FILE names no file that is there"),
        ("SSL_CERT_FILE", "empty", "SSL_CERT_FILE names a file without certificates in PEM"),
        ("SSL_CERT_FILE", "words", "SSL_CERT_FILE names a file without certificates in PEM"),
        ("SSL_CERT_FILE", "folder", "SSL_CERT_FILE names a folder"),
        ("SSL_CERT_DIR", "gone", "SSL_CERT_DIR names no folder that is there"),
        ("SSL_CERT_DIR", "words", "SSL_CERT_DIR names no folder that is there"),
        ("SSL_CERT_DIR", "folder", "SSL_CERT_DIR names a folder without certificates"),
    ],
)
async def test_certificates_that_cannot_be_read_are_one_sentence(
    variable: str, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "words").write_text("not a certificate")
    (tmp_path / "folder").mkdir()
    for one in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / name))
    with pytest.raises(Unconfigured, match=said):
        async with open_client(World(sandbox=Sandbox(1, now=NOW), cache=tmp_path).connection()):
            pytest.fail("there is nothing to trust")


@pytest.fixture
def unread() -> Iterator[None]:
    """Forget the certificates that were read, before and afterwards."""
    usual_certificates.cache_clear()
    yield
    usual_certificates.cache_clear()


@pytest.mark.usefixtures("unread")
async def test_what_this_machine_trusts_is_trusted_beside_the_public_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's certificate is among the machine's; one that is damaged there costs nobody the others."""
    company = certificate(tmp_path, "127.0.0.1", begins=-timedelta(days=1), ends=timedelta(days=1))
    for one in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda trusted: trusted.load_verify_locations(company))
    async with serving(says("HTTP/1.1 204 No Content\r\n\r\n"), company) as port, Routes({}) as routes:
        request = httpx.Request("GET", f"https://127.0.0.1:{port}/v1")
        assert (await routes.handle_async_request(request)).status_code == 204
    monkeypatch.setattr(
        ssl.SSLContext, "load_default_certs", lambda trusted: trusted.load_verify_locations(cadata="nonsense")
    )
    usual_certificates.cache_clear()
    assert usual_certificates().cert_store_stats()["x509_ca"] > 0


async def test_connections_share_what_they_trust_until_the_file_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two hundred connections, each would hold two megabytes of it."""
    assert usual_certificates() is usual_certificates()
    before = certificate(tmp_path, "127.0.0.2", begins=-timedelta(days=1), ends=timedelta(days=1))
    monkeypatch.setenv("SSL_CERT_FILE", str(before))
    async with Routes({}) as one, Routes({}) as another:
        assert one.trusted is another.trusted
    company = certificate(tmp_path, "127.0.0.1", begins=-timedelta(days=1), ends=timedelta(days=1))
    async with serving(says("HTTP/1.1 204 No Content\r\n\r\n"), company) as port, Routes({}) as routes:
        request = httpx.Request("GET", f"https://127.0.0.1:{port}/v1")
        assert (await routes.handle_async_request(request)).status_code == 204
