"""Subscriptions: what a provider was asked to send to us, as it is and as it should be. A provider may have none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import SecretStr

from pingone_mcp.directory.models import JsonObject, Organization
from pingone_mcp.directory.native import ProxyQuestion

FlawKind = Literal["off", "format", "certificates", "no header", "other header", "action types", "narrowed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is not as it should be. `names` are the action types that lack, the headers, the filters, or the format."""

    kind: FlawKind
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSubscription:
    """What is to be sent where.

    `path` is the end of the URL that is ours alone. `url` is None where nobody has said by which address it is reached,
    and `headers` are empty where there is no secret yet: neither is compared then.
    """

    name: str
    path: str
    url: str | None
    headers: Mapping[str, SecretStr]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSubscription:
    """A subscription as it is. `hides_headers`: their values were not shown. `native` is the provider's own object."""

    id: str
    name: str | None
    url: str
    flaws: tuple[Flaw, ...] = ()
    hides_headers: bool = False
    native: JsonObject = field(default_factory=dict[str, object], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSubscriptions:
    """The subscriptions of one environment: how many there are of how many that there may be.

    `here` are those that lead to us, `elsewhere` those that lead to our path at another address.
    """

    count: int
    most: int
    here: tuple[FoundSubscription, ...] = ()
    elsewhere: tuple[FoundSubscription, ...] = ()


class Subscriptions(Protocol):
    """The subscriptions of the environments that a connection serves."""

    async def places(self) -> tuple[Organization, ...]:
        """Return the environments. Raises Problem."""
        ...

    async def find(self, environment: str, wanted: WantedSubscription) -> FoundSubscriptions:
        """Return those of an environment that are ours, compared with what is wanted. Raises Problem."""
        ...

    def creation(self, environment: str, wanted: WantedSubscription) -> ProxyQuestion:
        """Return the request that makes one. It needs a URL and headers."""
        ...

    def correction(self, environment: str, found: FoundSubscription, wanted: WantedSubscription) -> ProxyQuestion:
        """Return the request that brings one up to date. Raises Refused for one that it would take something from."""
        ...
