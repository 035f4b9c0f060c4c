"""Subscriptions of PingOne, which its console calls webhooks (PingOne Platform API, "Subscriptions")."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.pingone.wire.lenient import flag, identity, inner, leniently, text

ACTIVITY = "ACTIVITY"
_FILTERS = {
    "includedPopulations": "populations",
    "includedApplications": "applications",
    "includedTags": "tags",
}
_READ_ONLY = frozenset({"id", "environment", "createdAt", "updatedAt", "_links", "connectionDetails"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRead:
    """A subscription; None is what it does not say. `narrowed` names the filters that let only some events through.

    `headers` are None where it does not say which there are, and a value is None where it is blanked.
    """

    id: str
    name: str | None
    url: str | None
    headers: Mapping[str, str | None] | None = field(repr=False)
    enabled: bool | None
    format: str | None
    verified: bool | None
    action_types: tuple[str, ...]
    narrowed: tuple[str, ...]
    native: JsonObject = field(repr=False)


def subscription(raw: JsonObject) -> SubscriptionRead:
    """Return a subscription, without what cannot be read of it. Raises UnexpectedAnswer for one without an id."""

    def read(raw: JsonObject) -> SubscriptionRead:
        endpoint = inner(raw, "httpEndpoint") or inner(raw, "connectionDetails")
        filters = inner(raw, "filterOptions")
        types, headers = filters.get("includedActionTypes"), endpoint.get("headers")
        return SubscriptionRead(
            id=identity(raw, "subscription"),
            name=text(raw, "name"),
            url=text(endpoint, "url"),
            headers=_headers(headers) if isinstance(headers, dict) else None,
            enabled=flag(raw, "enabled"),
            format=text(raw, "format"),
            verified=flag(raw, "verifyTlsCertificates"),
            action_types=tuple(map(str, types)) if isinstance(types, list) else (),
            narrowed=tuple(word for name, word in _FILTERS.items() if filters.get(name)),
            native=raw,
        )

    return leniently(raw, read)[0]


def new_subscription(name: str, url: str, headers: Mapping[str, str], action_types: Collection[str]) -> JsonObject:
    """Return the body that makes a subscription."""
    return {
        "name": name,
        "enabled": True,
        "protocol": "HTTPS",
        "format": ACTIVITY,
        "httpEndpoint": {"url": url, "headers": dict(headers)},
        "verifyTlsCertificates": True,
        "filterOptions": {"includedActionTypes": list(action_types)},
    }


def corrected_subscription(
    before: SubscriptionRead, url: str, headers: Mapping[str, str], action_types: Collection[str]
) -> JsonObject:
    """Return the body that brings a subscription up to date; what it has beside that stays, where it was shown."""
    kept = {name: value for name, value in before.native.items() if name not in _READ_ONLY}
    own = {name.lower() for name in headers}
    shown = before.headers or {}
    others = {name: value for name, value in shown.items() if value is not None and name.lower() not in own}
    filters = {name: value for name, value in inner(before.native, "filterOptions").items() if name not in _FILTERS}
    more = [one for one in action_types if one not in before.action_types]
    return {
        **kept,
        **new_subscription(before.name or "pingone-mcp", url, {**others, **headers}, ()),
        "filterOptions": {**filters, "includedActionTypes": [*before.action_types, *more]},
    }


def _headers(given: JsonObject) -> dict[str, str | None]:
    return {str(name): value if isinstance(value, str) and value.strip("*") else None for name, value in given.items()}
