"""The one public address: the base of every link and audience, and the only hosts that are answered."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

METADATA = "/.well-known/oauth-protected-resource"
"""Where the metadata of a protected resource lies (RFC 9728 §3)."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """`base` is the URL that callers use, without a slash at its end; never taken from Host or X-Forwarded-*.

    `loopback_port` is the port where this machine itself may call by its own names; None: it may not.
    """

    base: str
    loopback_port: int | None = None

    @property
    def origin(self) -> str:
        """The base without its path."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def prefix(self) -> str:
        """The path of the base, which a reverse proxy takes away; mostly empty."""
        return urlsplit(self.base).path

    @property
    def is_https(self) -> bool:
        return self.base.startswith("https:")

    def resource(self, path: str) -> str:
        """Return the URL of an endpoint, which is its name as an OAuth resource (RFC 8707)."""
        return f"{self.base}{path}"

    def metadata(self, path: str) -> str:
        """Return where the metadata of an endpoint lies; the path of its URL follows the well-known one (§3.1)."""
        return f"{self.origin}{METADATA}{self.prefix}{path}"

    @property
    def hosts(self) -> frozenset[str]:
        """What a Host header may say."""
        parts = urlsplit(self.base)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        own = {f"{host}:{port}"} | ({host} if port == _DEFAULT_PORTS[parts.scheme] else set())
        return frozenset(own | {f"{name}:{self.loopback_port}" for name in self._loopback_names})

    @property
    def origins(self) -> frozenset[str]:
        """What browsers call the pages that we serve ourselves."""
        return frozenset({self.origin} | {f"http://{name}:{self.loopback_port}" for name in self._loopback_names})

    @property
    def _loopback_names(self) -> tuple[str, ...]:
        return () if self.loopback_port is None else _THIS_MACHINE
