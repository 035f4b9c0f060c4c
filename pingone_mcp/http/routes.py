"""The way of a request: directly, or through the proxy that is set for its host; and never where others can read it."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

import httpx

from pingone_mcp.advice import setting
from pingone_mcp.errors import Refused, Unconfigured
from pingone_mcp.http.failures import Cause, cause
from pingone_mcp.http.upstream import PROXY
from pingone_mcp.settings.addresses import is_loopback

# What these say of a connection through a proxy is said of the proxy; TLS comes about behind it.
_OF_THE_PROXY = frozenset({Cause.REFUSED, Cause.NO_SUCH_HOST, Cause.UNREACHABLE, Cause.NO_CONNECTION_IN_TIME})


# How OpenSSL finds a certificate in a folder: by a hash of its subject (openssl-rehash(1)).
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


class Routes(httpx.AsyncBaseTransport):
    """Send each request the way of its host, or all of them through `instead`.

    Nothing that sends is loaded before the first one: where the local copy answers, there is none.
    `proxies` are the URLs of HTTP proxies, by a URL of the host behind each (None: none). Raises Refused, before
    anything is sent, for plain http that leaves this machine: every request of ours carries the secret or a token. A
    proxy that cannot be reached is an httpx.ProxyError. Raises Unconfigured, when it is made, for certificates that
    cannot be read.
    """

    def __init__(self, proxies: Mapping[str, str | None], instead: httpx.AsyncBaseTransport | None = None) -> None:
        # By host and port: NO_PROXY may name one port of a host.
        self._proxies = {httpx.URL(url).netloc: proxy for url, proxy in proxies.items() if instead is None}
        self._engine = instead
        self._named = _named_certificates() if instead is None else None

    def _proxy(self, url: httpx.URL) -> str | None:
        return None if is_loopback(url.host) else self._proxies.get(url.netloc)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if request.url.scheme != "https" and not is_loopback(host):
            raise Refused(
                f"A request to {host} by plain http was stopped: anybody on the way could have read the credentials.",
                f"Set {setting('api_url')} and {setting('auth_url')} to https:// URLs.",
                code="PLAIN_HTTP",
            )
        proxy = self._proxy(request.url)
        if proxy is not None:
            request.extensions = {**request.extensions, PROXY: proxy}
        try:
            return await self._opened().handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as failure:
            if proxy is None or cause(failure) not in _OF_THE_PROXY:
                raise
            raise httpx.ProxyError("not reached") from failure

    def _opened(self) -> httpx.AsyncBaseTransport:
        if self._engine is None:
            from pingone_mcp.http.engine import Engine  # noqa: PLC0415 - start-up: as the class says

            self._engine = Engine(self.trusted)
        return self._engine

    @property
    def trusted(self) -> ssl.SSLContext:
        """What TLS trusts."""
        return self._named or usual_certificates()

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.aclose()


def trusted_certificates() -> ssl.SSLContext:
    """Return what TLS trusts. Raises Unconfigured for certificates that cannot be read."""
    return _named_certificates() or usual_certificates()


@cache
def usual_certificates() -> ssl.SSLContext:
    """Return what TLS trusts where nobody says so: what this machine trusts, and certifi.

    The certificates of a company are among the machine's on Linux and Windows; on macOS Python does not see them. All
    connections of a process share what is returned: it takes two megabytes, and thirty milliseconds.
    """
    trusted = httpx.create_ssl_context(trust_env=False)
    with suppress(OSError):  # one that is damaged among the machine's own
        trusted.load_default_certs()
    return trusted


def _named_certificates() -> ssl.SSLContext | None:
    """Return what TLS trusts by SSL_CERT_FILE and SSL_CERT_DIR; None where neither is set. Raises Unconfigured."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if folder and not file:
        _check_folder(Path(folder))
    try:
        return _read_certificates(file or None, folder or None, _looks_of(file)) if file or folder else None
    except OSError as error:  # ssl.SSLError is one
        raise _unusable("SSL_CERT_FILE", _trouble(Path(file or "")), "a file of certificates in PEM") from error


@lru_cache(maxsize=1)
def _read_certificates(file: str | None, folder: str | None, _: tuple[int, int] | None) -> ssl.SSLContext:
    """Return what TLS trusts by a file, as it looks now, and a folder, for all connections of a process."""
    return ssl.create_default_context(cafile=file, capath=folder)


def _looks_of(file: str | None) -> tuple[int, int] | None:
    """Return what changes with a file: another one of the same name is read anew."""
    if not file:
        return None
    found = Path(file).stat()
    return found.st_ino, found.st_mtime_ns


def _trouble(file: Path) -> str:
    if file.is_dir():
        return "a folder"
    return (
        "a file without certificates in PEM, or one that may not be read" if file.exists() else "no file that is there"
    )


def _check_folder(folder: Path) -> None:
    """Raise Unconfigured for a folder from which OpenSSL would read nothing, without a word."""
    advice = "a folder of certificates in PEM, after `openssl rehash` has named them"
    try:
        names = [one.name for one in folder.iterdir()]
    except OSError as error:
        raise _unusable("SSL_CERT_DIR", "no folder that is there and may be read", advice) from error
    if not any(map(_HASHED.fullmatch, names)):
        raise _unusable("SSL_CERT_DIR", "a folder without certificates under the names that OpenSSL looks for", advice)


def _unusable(variable: str, trouble: str, wanted: str) -> Unconfigured:
    return Unconfigured(
        f"{variable} names {trouble}, so that no server could be trusted.",
        f"Name {wanted}, or leave {variable} out.",
    )
