"""Where an authorization server publishes its keys (RFC 8414, OpenID Connect Discovery), and what lies there."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import msgspec

from pingone_mcp.settings.addresses import is_loopback

_MOST_BYTES = 256 * 1024
_TIMEOUT = httpx.Timeout(5.0)


class NoKeys(Exception):
    """The keys of an authorization server could not be read; the text says why, for the log."""


class ServerMetadata(msgspec.Struct):
    """What an authorization server says of itself; where people sign in and codes are exchanged may be absent."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""


def metadata_places(issuer: str) -> Iterator[str]:
    """Yield where the metadata of an issuer may lie, in the order in which MCP clients look.

    Twice inserted before its path (RFC 8414 §3.1 and §5), then appended to it (OpenID Connect Discovery §4).
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{origin}/.well-known/oauth-authorization-server{path}"
    yield f"{origin}/.well-known/openid-configuration{path}"
    if path:
        yield f"{origin}{path}/.well-known/openid-configuration"


async def keys_address(client: httpx.AsyncClient, issuer: str) -> str:
    """Return where the keys of an issuer lie, as the first metadata says that are its own. Raises NoKeys."""
    return (await server_metadata(client, issuer)).jwks_uri


async def server_metadata(client: httpx.AsyncClient, issuer: str) -> ServerMetadata:
    """Return the first metadata that are an issuer's own. Raises NoKeys."""
    reasons: list[str] = []
    for place in metadata_places(issuer):
        try:
            return _own(await read_published(client, place), issuer)
        except NoKeys as error:
            reasons.append(f"{place}: {error}")
    raise NoKeys("; ".join(reasons))


async def read_published(client: httpx.AsyncClient, url: str) -> bytes:
    """Return a document of at most 256 KiB; no redirect is followed, and nothing unpacked. Raises NoKeys."""
    if not may_be_asked(url):
        raise NoKeys("it is not https")
    body = bytearray()
    try:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with client.stream("GET", url, headers=headers, follow_redirects=False, timeout=_TIMEOUT) as response:
            if response.status_code != httpx.codes.OK:
                raise NoKeys(f"it answered {response.status_code}")
            async for part in response.aiter_raw():
                body += part
                if len(body) > _MOST_BYTES:
                    raise NoKeys(f"it answered more than {_MOST_BYTES // 1024} KiB")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoKeys(f"it could not be reached ({type(error).__name__})") from error
    return bytes(body)


def may_be_asked(url: str) -> bool:
    """Say whether what a URL answers can be believed: by https, or from this machine itself."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return (parts.scheme == "https" and bool(parts.host)) or (parts.scheme == "http" and is_loopback(parts.host))


def _own(document: bytes, issuer: str) -> ServerMetadata:
    """Return metadata. Raises NoKeys where they are of another issuer (RFC 8414 §3.3)."""
    try:
        metadata = msgspec.json.decode(document, type=ServerMetadata)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NoKeys("these are no metadata") from None
    if metadata.issuer != issuer:
        raise NoKeys("its metadata name another issuer")
    return metadata
