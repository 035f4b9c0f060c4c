"""The subscriptions of PingOne's environments as `Subscriptions`: read, compared, and the requests that change them."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from pingone_mcp.directory.models import Organization
from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.directory.subscriptions import Flaw, FoundSubscription, FoundSubscriptions, WantedSubscription
from pingone_mcp.errors import Refused, UnexpectedAnswer
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.feed.hooks.action_types import ACTION_TYPES
from pingone_mcp.pingone.served import Served
from pingone_mcp.pingone.wire.subscriptions import (
    ACTIVITY,
    SubscriptionRead,
    corrected_subscription,
    new_subscription,
    subscription,
)

MOST_SUBSCRIPTIONS = 50
"""In one environment (PingOne, "Create subscription")."""
_PORTS = {"https": 443, "http": 80}


class PingOneSubscriptions:
    """Each method is described in `Subscriptions`."""

    def __init__(self, served: Served) -> None:
        self._client, self._names = served.client, served.names

    async def places(self) -> tuple[Organization, ...]:
        return await self._names.environments()

    async def find(self, environment: str, wanted: WantedSubscription) -> FoundSubscriptions:
        pages = [
            page async for page in self._client.pages(_path(environment), "subscriptions", environment=environment)
        ]
        items = [item for page in pages for item in page.items]
        if any(page.missing for page in pages):
            raise UnexpectedAnswer(
                "PingOne's list of the webhooks of this environment ended before all came that it counts.",
                "Try again.",
                code="SHORT_LIST",
            )
        ours = [one for one in wire.readable(items, subscription)[0] if _has_path(one.url, wanted.path)]
        here = [one for one in ours if wanted.url is None or _parts(one.url) == _parts(wanted.url)]
        return FoundSubscriptions(
            count=len(items),
            most=MOST_SUBSCRIPTIONS,
            here=tuple(_found(one, wanted) for one in here),
            elsewhere=tuple(_found(one, wanted) for one in ours if one not in here),
        )

    def creation(self, environment: str, wanted: WantedSubscription) -> ProxyQuestion:
        body = new_subscription(wanted.name, _url(wanted), _headers(wanted), ACTION_TYPES)
        return ProxyQuestion(method="POST", path=_path(environment), body=body)

    def correction(self, environment: str, found: FoundSubscription, wanted: WantedSubscription) -> ProxyQuestion:
        before = subscription(found.native)
        own = {name.lower() for name in wanted.headers}
        if any(value is None and name.lower() not in own for name, value in (before.headers or {}).items()):
            raise Refused(
                "It has other headers, whose values PingOne does not show, so it was not changed: they would be lost.",
                "Change it in PingOne's console: `pingone-mcp connections hook C` prints what to enter.",
                code="HIDDEN_HEADERS",
            )
        body = corrected_subscription(before, _url(wanted), _headers(wanted), ACTION_TYPES)
        return ProxyQuestion(method="PUT", path=f"{_path(environment)}/{found.id}", body=body)


def _path(environment: str) -> str:
    return f"/environments/{environment}/subscriptions"


def _url(wanted: WantedSubscription) -> str:
    assert wanted.url is not None, "who writes knows where to"
    return wanted.url


def _headers(wanted: WantedSubscription) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in wanted.headers.items()}


def _found(read: SubscriptionRead, wanted: WantedSubscription) -> FoundSubscription:
    shown = {name.lower(): value for name, value in (read.headers or {}).items()}
    return FoundSubscription(
        id=read.id,
        name=read.name,
        url=read.url or "",
        flaws=tuple(_flaws(read, wanted, shown)),
        hides_headers=any(shown.get(name.lower(), "") is None for name in wanted.headers) or read.headers is None,
        native=read.native,
    )


def _flaws(read: SubscriptionRead, wanted: WantedSubscription, shown: Mapping[str, str | None]) -> Iterator[Flaw]:
    """Find what is not as it should be; what is not said is no flaw."""
    if read.enabled is False:
        yield Flaw(kind="off")
    if read.format not in (None, ACTIVITY):
        yield Flaw(kind="format", names=(read.format,))
    if read.verified is False:
        yield Flaw(kind="certificates")
    if read.headers is not None:
        if lacking := tuple(name for name in wanted.headers if name.lower() not in shown):
            yield Flaw(kind="no header", names=lacking)
        if others := tuple(name for name in wanted.headers if _is_other(shown.get(name.lower()), wanted, name)):
            yield Flaw(kind="other header", names=others)
    if lacking := tuple(one for one in ACTION_TYPES if one not in read.action_types):
        yield Flaw(kind="action types", names=lacking)
    if read.narrowed:
        yield Flaw(kind="narrowed", names=read.narrowed)


def _is_other(value: str | None, wanted: WantedSubscription, name: str) -> bool:
    expected = wanted.headers[name].get_secret_value()
    return value is not None and not hmac.compare_digest(value.encode(), expected.encode())


def _has_path(url: str | None, path: str) -> bool:
    parts = _parts(url)
    return parts is not None and parts[3].endswith(path)


def _parts(url: str | None) -> tuple[str, str | None, int | None, str] | None:
    """Return of a URL what says where it leads: scheme, host, port and path; None for what is none."""
    try:
        read = urlsplit(url or "")
        return read.scheme, read.hostname, read.port or _PORTS.get(read.scheme), read.path.rstrip("/")
    except ValueError:
        return None
