"""A subscription: who is to be sent which events, and how; read from a request and written into an answer.

Source: PingOne's OpenAPI file ("Subscriptions (webhooks)") and "Create Subscription" in its documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import httpx

from pingone_mcp.sandbox.activities import ADMINISTRATIVE
from pingone_mcp.sandbox.errors import ApiError, Json, invalid
from pingone_mcp.sandbox.options import Options
from pingone_mcp.settings.addresses import is_loopback

MOST_SUBSCRIPTIONS = 50
MOST_EVENTS = 500
_MOST_KILOBYTES = 4_096
_MOST_IDS = 10
_FORMATS = ("ACTIVITY", "SPLUNK", "NEWRELIC")
_LAYOUTS = ("JSON_ARRAY", "ND_JSON")
_UNITS = {"EVENTS_PER_PAYLOAD": MOST_EVENTS, "KB_PER_PAYLOAD": _MOST_KILOBYTES}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_HEADER_VALUE = re.compile(r"[ -~]*")
BLANKED = "********"

Format: TypeAlias = Literal["ACTIVITY", "SPLUNK", "NEWRELIC"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events a subscription is about; without populations, applications or tags those of all."""

    actions: frozenset[str]
    populations: frozenset[str] = frozenset()
    applications: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """How events are written: at most so many (and so many bytes) at once, in an array or in lines."""

    format: Format = "ACTIVITY"
    events: int = MOST_EVENTS
    size: int | None = None
    lines: bool = False
    pretty: bool = False
    exposed: frozenset[str] = frozenset()
    """What is shown of `source`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription as it is now. `native` is what a client gave, with defaults, in PingOne's own words."""

    id: str
    name: str
    enabled: bool
    url: str
    headers: tuple[tuple[str, str], ...]
    verified: bool
    """The certificate of the target is verified."""
    filter: EventFilter
    payload: Payload
    native: Json

    def dated(self, head: Json, times: Json) -> Subscription:
        """Return it with what PingOne adds: where it is, and since when."""
        return replace(self, native=head | self.native | times)


def read_subscription(subscription_id: str, body: Json, populations: Sequence[str], options: Options) -> Subscription:
    """Read a subscription out of a request; raises a 400 that names what is wrong with it.

    `populations` are those of the environment. Targets are on this machine: the sandbox calls nobody else, and says so,
    but for an option.
    """
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("REQUIRED_VALUE", "must not be empty", "name")
    _one_of(body.get("protocol", "HTTPS"), ("HTTPS",), "protocol")  # TCP_IP too, but the sandbox does not speak it
    chosen = body.get("format")
    if chosen is None and options.subscription_format_required:
        raise invalid("REQUIRED_VALUE", "must not be empty", "format")
    format_ = _one_of(chosen or "ACTIVITY", _FORMATS, "format")
    verified = _flag(body, "verifyTlsCertificates")
    pair = _object(body, "tlsClientAuthKeyPair")
    if pair and not verified:
        raise invalid("CONSTRAINT_VIOLATION", "must be true with tlsClientAuthKeyPair", "verifyTlsCertificates")
    endpoint = _endpoint(body, anywhere=options.subscriptions_to_elsewhere)
    filter_ = _filter(_object(body, "filterOptions"), populations)
    native = {
        "name": name,
        "enabled": _flag(body, "enabled"),
        "protocol": "HTTPS",
        "format": format_,
        "httpEndpoint": endpoint,
        "connectionDetails": endpoint,
        "verifyTlsCertificates": verified,
        **({"tlsClientAuthKeyPair": pair} if pair else {}),
        "filterOptions": {"ipAddressExposed": False, "userAgentExposed": False} | body["filterOptions"],
        **({"payloadOptions": body["payloadOptions"]} if body.get("payloadOptions") else {}),
    }
    return Subscription(
        id=subscription_id,
        name=name,
        enabled=native["enabled"],
        url=endpoint["url"],
        headers=tuple(endpoint["headers"].items()),
        verified=verified,
        filter=filter_,
        payload=_payload(body, format_),
        native=native,
    )


def shown(native: Json, options: Options) -> Json:
    """Write a subscription as an answer has it; by option its headers without their values."""
    if options.subscription_headers_shown:
        return native
    endpoint = native["httpEndpoint"]
    blank = endpoint | {"headers": dict.fromkeys(endpoint["headers"], BLANKED)}
    return native | {"httpEndpoint": blank, "connectionDetails": blank}


def _endpoint(body: Json, *, anywhere: bool) -> Json:
    """Read the target, from either of its two names."""
    name = "httpEndpoint" if body.get("httpEndpoint") is not None else "connectionDetails"
    given = _object(body, name)
    url, headers = given.get("url"), given.get("headers") or {}
    if not isinstance(url, str) or not url:
        raise invalid("REQUIRED_VALUE", "must not be empty", f"{name}.url")
    if not is_on_this_machine(url) and not (anywhere and url.startswith("https://")):
        raise invalid("INVALID_VALUE", "must lead to this machine: the sandbox sends nothing elsewhere", f"{name}.url")
    if not isinstance(headers, dict) or not all(_is_header(*pair) for pair in headers.items()):
        raise invalid("INVALID_VALUE", "must be a map of header names to values", f"{name}.headers")
    return {"url": url, "headers": dict(headers)}


def is_on_this_machine(url: str) -> bool:
    """Say whether a URL leads to a loopback address of IPv4 (others are not supported), whatever a resolver says."""
    try:
        read = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    plain = not read.userinfo and 0 < (read.port or 80) < 65_536  # no name before an @ that might be taken for the host
    return read.scheme in {"http", "https"} and plain and ":" not in read.host and is_loopback(read.host)


def _is_header(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and _HEADER_NAME.fullmatch(name) is not None
        and _HEADER_VALUE.fullmatch(value) is not None
    )


def _filter(given: Json, populations: Sequence[str]) -> EventFilter:
    actions = given.get("includedActionTypes")
    if not isinstance(actions, list) or not actions or not all(isinstance(one, str) and one for one in actions):
        raise invalid("REQUIRED_VALUE", "must not be empty", "filterOptions.includedActionTypes")
    within = _ids(given, "includedPopulations")
    if not within <= set(populations):
        raise invalid("INVALID_VALUE", "there is no such population", "filterOptions.includedPopulations")
    tags = given.get("includedTags") or []
    if not isinstance(tags, list) or any(tag != ADMINISTRATIVE for tag in tags):
        raise _not_allowed("filterOptions.includedTags", [ADMINISTRATIVE])
    for name in ("ipAddressExposed", "userAgentExposed"):
        if not isinstance(given.get(name, False), bool):
            raise invalid("INVALID_VALUE", "must be true or false", f"filterOptions.{name}")
    return EventFilter(
        actions=frozenset(actions),
        populations=within,
        applications=_ids(given, "includedApplications"),
        tags=frozenset(tags),
    )


def _ids(given: Json, name: str) -> frozenset[str]:
    rows = given.get(name) or []
    target = f"filterOptions.{name}"
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise invalid("INVALID_VALUE", "must be a list of ids", target)
    if len(rows) > _MOST_IDS:
        raise invalid("SIZE_LIMIT_EXCEEDED", "has too many ids", target, maximumValue=_MOST_IDS)
    return frozenset(row["id"] for row in rows)


def _payload(body: Json, format_: str) -> Payload:
    given = _object(body, "payloadOptions")
    limit = _object(given, "maximumPayloadLimit", "payloadOptions.")
    unit = _one_of(limit.get("type", "EVENTS_PER_PAYLOAD"), tuple(_UNITS), "payloadOptions.maximumPayloadLimit.type")
    size = limit.get("size", _UNITS[unit])
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _UNITS[unit]:
        raise invalid(
            "OUT_OF_RANGE",
            "is out of range",
            "payloadOptions.maximumPayloadLimit.size",
            rangeMinimumValue=1,
            rangeMaximumValue=_UNITS[unit],
        )
    layout = _object(_object(given, "payloadFormat", "payloadOptions."), "https", "payloadOptions.payloadFormat.")
    how = _one_of(layout.get("format", "JSON_ARRAY"), _LAYOUTS, "payloadOptions.payloadFormat.https.format")
    filters = body["filterOptions"]
    exposed = {"ipAddressExposed": "ipAddress", "userAgentExposed": "userAgent"}
    return Payload(
        format=_KNOWN_FORMATS[format_],
        events=size if unit == "EVENTS_PER_PAYLOAD" else MOST_EVENTS,
        size=size * 1_024 if unit == "KB_PER_PAYLOAD" else None,
        lines=how == "ND_JSON",
        pretty=layout.get("prettyPrint") is True,
        exposed=frozenset(member for name, member in exposed.items() if filters.get(name) is True),
    )


_KNOWN_FORMATS: Mapping[str, Format] = {"ACTIVITY": "ACTIVITY", "SPLUNK": "SPLUNK", "NEWRELIC": "NEWRELIC"}


def _object(of: Json, name: str, path: str = "") -> Json:
    value = of.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid("INVALID_VALUE", "must be an object", f"{path}{name}")
    return value


def _flag(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is None:
        raise invalid("REQUIRED_VALUE", "must not be empty", name)
    if not isinstance(value, bool):
        raise invalid("INVALID_VALUE", "must be true or false", name)
    return value


def _one_of(value: object, allowed: tuple[str, ...], target: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise _not_allowed(target, list(allowed))
    return value


def _not_allowed(target: str, allowed: list[str]) -> ApiError:
    return invalid("INVALID_VALUE", "is not allowed", target, allowedValues=allowed)
