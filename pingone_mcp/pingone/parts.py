"""A listing as a row of parts, read one after the other, and the positions in it.

There is one part per environment, reason or batch of populations. A position names the part and the link inside it, so
that any process of the same connection can go on there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pingone_mcp.errors import Refused
from pingone_mcp.pingone.client import HalPage
from pingone_mcp.pingone.filters import Filter

Source = Literal["users", "groups", "locked events", "removed events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One stretch of a listing: where it is read, and which of what is read there belongs to it.

    `label` says what its items have in common: a reason, a type of membership.
    """

    key: str
    environment: str
    source: Source = "users"
    filter: Filter | None = None
    keep: Callable[[Any], bool] | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """Name the part in positions, filter included: one made under other settings names no part of today's."""
        return f"{self.key} {hashlib.blake2s(str(self.filter).encode(), digest_size=6).hexdigest()}"

    def page_size(self, wanted: int | None, most: int) -> int:
        """Ask for no more than is wanted, unless part of what is read will be dropped here."""
        return most if wanted is None or self.keep is not None else min(wanted, most)


def find(parts: list[Part], at: str | None) -> tuple[Part, str | None]:
    """Return the part and the link that a position names; the first part when there is none yet."""
    if at is None:
        return parts[0], None
    name, link, *_ = json.loads(at)
    for part in parts:
        if part.name == name:
            return part, link
    raise Refused(
        "The environments or populations served have changed since this cursor was made.",
        "Start again without `cursor`.",
        code="STALE_CURSOR",
    )


def gaps_at(at: str | None) -> tuple[str, ...]:
    """Return the gaps that a position carries: what could not be read before it."""
    return tuple(json.loads(at)[2:]) if at is not None else ()


def position(part: Part, link: str | None, gaps: tuple[str, ...] = ()) -> str:
    return json.dumps([part.name, link, *gaps], separators=(",", ":"))


def following(parts: list[Part], part: Part, link: str | None, gaps: tuple[str, ...] = ()) -> str | None:
    if link is not None:
        return position(part, link, gaps)
    index = parts.index(part) + 1
    return position(parts[index], None, gaps) if index < len(parts) else None


def trusted_total(part: Part, link: str | None, page: HalPage) -> int | None:
    """Return the server's count, unless something says that it is wrong.

    PingOne's documentation warns of it for ranges of updatedAt; a first and only page must hold just as many.
    """
    if page.count is None or page.count < len(page.items) or "updatedAt" in str(part.filter or ""):
        return None
    if link is None and (page.next is None) != (page.count == len(page.items)):
        return None
    return page.count
