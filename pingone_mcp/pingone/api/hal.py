"""Pages of PingOne's lists as they come: the bytes of their items, and what stands around them (HAL).

Items stay bytes until somebody reads them, users as structs (`pingone.wire`) and all others as JSON objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Protocol, cast

import msgspec
from msgspec import Raw, Struct

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.text import json_text


@dataclass(frozen=True, kw_only=True)
class HalPage:
    """One page of a HAL collection (PingOne, "Paging, ordering, and filtering collections").

    `raws` are the items as they came. `next` is path and query below the API base. `count` is what the server says
    there is in all; it is optional in PingOne's contract. `missing` are those of a list that was read through `pages`
    and ended before they came.
    """

    raws: Sequence[Raw]
    next: str | None
    count: int | None
    missing: int = 0

    @cached_property
    def items(self) -> Sequence[JsonObject]:
        """The items as JSON objects; what is no object becomes one that says nothing, not even an id."""
        try:
            values = json_text.loads(b"[%b]" % b",".join(self.raws))
        except ValueError:  # nested too deeply, and very large: that costs one item
            return tuple(json_text.object_of(str(raw, "utf-8")) for raw in self.raws)
        return tuple(value if isinstance(value, dict) else {} for value in values)


class ListBody(NamedTuple):
    """The body of a list: its `items` (None: it has no such list), where it goes on, and the `total` that it states."""

    items: Sequence[Raw] | None
    href: Any
    total: int | None


def list_body(content: bytes, key: str) -> ListBody | None:
    """Return a body whose items are under `_embedded.{key}`; None for JSON that is no object.

    Raises ValueError as `json_text.loads` does.
    """
    return plain_list_body(content, key) or _lenient(json_text.loads(content), key)


def plain_list_body(content: bytes, key: str) -> ListBody | None:
    """Return a body that is as PingOne documents lists, in a millisecond for each MiB; None for any other."""
    try:
        if not content.isascii():
            content.decode()  # msgspec does not look into what it leaves as bytes
        found = _decoder(key)(content)
    except (ValueError, RecursionError):  # msgspec's are ValueErrors
        return None
    following = found.links.next if found.links is not None else None
    return ListBody(found.embedded.items, following.href if following is not None else None, counted(found.count))


def next_href(body: JsonObject) -> Any:
    """Return the `next` link of a body, whatever it is; None where it has none."""
    links = body.get("_links")
    following = links.get("next") if isinstance(links, dict) else None
    # A `next` of another shape goes to the check as it is, and is refused there: an end must not be made up.
    return following.get("href", following) if isinstance(following, dict) else following


def counted(value: object) -> int | None:
    """Return a number of things, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12 else None


def _lenient(body: Any, key: str) -> ListBody | None:
    if not isinstance(body, dict):
        return None
    embedded = body.get("_embedded")
    items = embedded.get(key) if isinstance(embedded, dict) else None
    raws = [Raw(json.dumps(item).encode()) for item in items] if isinstance(items, list) else None
    return ListBody(raws, next_href(body), counted(body.get("count")))


class _Next(Struct):
    href: str | None


class _Links(Struct):
    next: _Next | None = None


class _Items(Protocol):
    items: list[Raw]


class _Envelope(Protocol):
    """What a list is decoded into."""

    embedded: _Items
    links: _Links | None
    count: Any


@lru_cache(maxsize=32)
def _decoder(key: str) -> Callable[[bytes], _Envelope]:
    embedded = msgspec.defstruct("EmbeddedItems", [("items", list[Raw])], rename={"items": key})
    envelope = msgspec.defstruct(
        "ListEnvelope",
        [("embedded", embedded), ("links", _Links | None, None), ("count", Any, None)],
        rename={"embedded": "_embedded", "links": "_links"},
    )
    return cast(Callable[[bytes], _Envelope], msgspec.json.Decoder(envelope).decode)
