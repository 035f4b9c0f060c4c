"""How answers are written: links, envelopes and bodies."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from pingone_mcp.sandbox.errors import Json

NO_STORE = {
    "cache-control": "no-cache, no-store, max-age=0, must-revalidate",
    "pragma": "no-cache",
    "expires": "0",
    "access-control-allow-origin": "*",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Reply:
    """An answer before it is written out."""

    status: int
    body: Json | None = None
    location: str | None = None


def href(address: str) -> dict[str, str]:
    """Write one link."""
    return {"href": address}


def query(*parameters: tuple[str, str | None]) -> str:
    """Write the parameters that have a value, in the order given."""
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters if value is not None)
    return f"?{text}" if text else ""


def envelope(
    noun: str, items: Sequence[Json], links: Json, *, count: int | None = None, size: int | None = None
) -> Json:
    """Write a list: links, rows under their noun, `count` of all and `size` of this page where the list tells them."""
    body: Json = {"_links": links, "_embedded": {noun: list(items)}}
    if count is not None:
        body["count"] = count
    if size is not None:
        body["size"] = size
    return body


def garbled(body: Any, pairs: Collection[tuple[str, str]]) -> Any:
    """Write a body with some attributes of some things as no value of their type."""
    if isinstance(body, list):
        return [garbled(item, pairs) for item in body]
    if not isinstance(body, dict):
        return body
    shown = {name: garbled(member, pairs) for name, member in body.items()}
    for identity, attribute in pairs:
        if body.get("id") != identity:
            continue
        outer, _, name = attribute.rpartition(".")
        holder = shown.setdefault(outer, {}) if outer else shown
        if name == "id":
            del holder[name]
        else:
            holder[name] = ["garbled"]
    return shown


def media_type(accept: str | None) -> str:
    """Choose the content type as recorded: HAL for clients that take anything, plain JSON for those that ask for it."""
    wanted = (accept or "*/*").lower()
    kind = "application/json" if "application/json" in wanted else "application/hal+json"
    return f"{kind};charset=UTF-8"


def written(body: Json | list[Json], *, pretty: bool) -> bytes:
    """Write JSON compactly, or indented with ` : ` as recorded."""
    if pretty:
        return json.dumps(body, ensure_ascii=False, indent=2, separators=(",", " : ")).encode("utf-8", "surrogatepass")
    try:
        return msgspec.json.encode(body)  # the same bytes, ten times as fast
    except UnicodeEncodeError:  # half an emoji, which JSON can spell and UTF-8 cannot
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def user_links(address: str, *, single: bool, home: str, population_id: str) -> Json:
    """Give the links of a user; a single read has four more than a row of a list."""
    password = href(f"{address}/password")
    links: Json = {
        "self": href(address),
        "password": password,
        "password.set": password,
        "password.reset": password,
        "password.check": password,
        "password.recover": password,
        "account.sendVerificationCode": href(address),
        "linkedAccounts": href(f"{address}/linkedAccounts"),
    }
    if single:
        links |= {
            "environment": href(home),
            "population": href(f"{home}/populations/{population_id}"),
            "devices": href(f"{address}/devices"),
            "roleAssignments": href(f"{address}/roleAssignments"),
        }
    return links
