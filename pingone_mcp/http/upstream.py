"""Who is asked over HTTP: what texts call it, which settings lead to it, and what it says of its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

PROXY = "pingone_mcp.proxy"
"""The extension of a request: the URL of the HTTP proxy that leads to its host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most so many requests in any stretch of so many seconds."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A service and its limits, which a provider knows.

    `place` is the setting (`advice.setting`) from which its hosts follow, `urls` are those that name them instead, that
    of its API first, and `domain` is one for a host of the customer's own. `largest` is how many bytes an answer may
    have, unless its request says otherwise, and `longest_link` how many characters a link to a next page. Requests of
    one rate group, which `group_of` tells by their paths, share a limit; None is one that nobody has published.
    """

    name: str
    place: str
    urls: tuple[str, str]
    domain: str
    largest: int
    longest_link: int
    rates: Mapping[str, Rate | None]
    group_of: Callable[[str], str]

    @property
    def addresses(self) -> str:
        """All settings that its addresses come from."""
        return f"{self.place} (or {self.named_hosts})"

    @property
    def named_hosts(self) -> str:
        """The settings that name its hosts one by one."""
        api, auth = self.urls
        return f"{api}, {auth} and {self.domain}"
