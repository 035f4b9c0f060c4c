"""Addresses as people write them: the URL of a base, the name of a host, the proxy on the way to one."""

from __future__ import annotations

import ipaddress
import re
import urllib.request
from functools import lru_cache
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

from pingone_mcp.errors import Unconfigured

_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>{_LABEL}(?:\.{_LABEL})*))(?::(?P<port>[0-9]{{1,5}}))?")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/]+)(?P<path>(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)*)/*", re.IGNORECASE
)
_LOCAL = frozenset({"localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private"})
# What is given out of IPv6; beside it lie addresses that stand for others of IPv4 (RFC 6052).
_UNICAST = ipaddress.IPv6Network("2000::/3")
_LONGEST_HOST = 253  # characters (RFC 1035 §2.3.4)


def base_url(text: str) -> str:
    """Read an http or https URL of a host and perhaps a port and a path; every reader takes it for the same (RFC 3986).

    So it is narrower than what a URL may be: no credentials, no query, nothing escaped, no `..`. Raises
    PydanticCustomError, as a validator does.
    """
    parts = _URL.fullmatch(text.strip())
    host = host_name(parts["host"]) if parts is not None else None
    if parts is None or host is None:
        raise PydanticCustomError("base_url", "must be a URL such as https://api.pingone.eu/v1")
    if parts["scheme"].lower() == "http" and not is_loopback(host):
        raise PydanticCustomError("base_url", "must be https (plain http is for this machine only)")
    return f"{parts['scheme'].lower()}://{parts['host'].lower()}{parts['path']}"


def host_name(text: str) -> str | None:
    """Return the name (RFC 1123 §2.1, and _) or address of a host that may have a port; None for anything else."""
    parts = _HOST.fullmatch(text)
    if parts is None or len(text) > _LONGEST_HOST or not 0 < int(parts["port"] or 443) < 65_536:
        return None
    host = str(parts["v6"] or parts["name"]).lower()
    try:
        if parts["v6"]:
            ipaddress.IPv6Address(host)
        elif host.rpartition(".")[2].isdigit():
            ipaddress.IPv4Address(host)
        elif "xn--" in host:
            import httpx  # noqa: PLC0415 - start-up: hardly anybody has such a name

            _ = httpx.URL(f"https://{host}").host  # which it decodes (RFC 5891 §4.4)
    except ValueError:
        return None
    return host


def is_public(host: str) -> bool:
    """Say whether a host, as `host_name` returns it, is written as one of the public internet.

    What a name leads to is not looked up here. A name has a dot, and an end that no resolver takes for a number.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        return len(labels) > 1 and labels[-1][0].isalpha() and not _is_local(labels)
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    return address in _UNICAST and (address.sixtofour is None or address.sixtofour.is_global)


def _is_local(labels: list[str]) -> bool:
    """Say whether a name is one of this machine or of a network of its own (RFC 6761, RFC 6762, RFC 8375)."""
    return labels[-1] in _LOCAL or labels[-2:] == ["home", "arpa"]


def proxy_on_the_way(url: str) -> str | None:
    """Return the HTTP proxy that the environment (HTTPS_PROXY, NO_PROXY …) names for a URL.

    Raises Unconfigured for one of another kind, without showing it: it may hold a password.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    found = urllib.request.getproxies().get(parts.scheme)
    if not found:
        return None
    proxy = found if "://" in found else f"http://{found}"
    if not _is_proxy(proxy):
        raise Unconfigured(
            f"The proxy that {parts.scheme.upper()}_PROXY names is not an http:// or https:// URL.",
            "Write it like http://proxy.example.com:3128, or except PingOne's hosts with NO_PROXY.",
        )
    return proxy


def _is_proxy(url: str) -> bool:
    """Say whether a URL is that of an HTTP proxy."""
    import httpx  # noqa: PLC0415 - start-up: most people have no proxy

    try:
        read = httpx.URL(url)
        port = 443 if read.port is None else read.port
        return read.scheme in ("http", "https") and bool(read.host) and 0 < port < 65_536
    except (httpx.InvalidURL, ValueError):
        return False


@lru_cache(maxsize=16)  # each request asks it of its host
def is_loopback(host: str) -> bool:
    """Say whether what is sent to a host stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
