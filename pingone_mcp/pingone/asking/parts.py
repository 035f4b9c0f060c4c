"""A listing as a row of parts, read one after the other, and the positions in it.

There is one part per environment, reason or batch of populations. A position names the part and the link inside it, so
that any process of the same connection can go on there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pingone_mcp.directory.cursor import counted_before, place_of, position
from pingone_mcp.directory.filters import Filter
from pingone_mcp.directory.gaps import EndedEarly, Gap, LeftOut, from_json
from pingone_mcp.directory.models import Page
from pingone_mcp.errors import Refused
from pingone_mcp.pingone.asking.tally import NOTHING_CAME, Tally
from pingone_mcp.pingone.client import HalPage

T = TypeVar("T")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a listing is read: a part, a link in it (None: its beginning), and what is known from before.

    `gaps` are what could not be read before.
    """

    parts: Sequence[Part]
    part: Part
    link: str | None = None
    tally: Tally = NOTHING_CAME
    gaps: tuple[Gap, ...] = ()

    def page(
        self, path: str, hal: HalPage, items: Iterable[T], *, left_out: int = 0, gaps: Sequence[Gap] = ()
    ) -> Page[T]:
        """Return the page that was read here at `path`, and where the next one begins.

        `left_out` counts rows that cannot be told apart, `gaps` is what else could not be read. Where the part ends
        before everybody came whom the server counts, that is a gap, and stays one to the end of the listing.
        """
        alone = len(self.parts) == 1
        behind = self.tally.behind(len(hal.items), hal.count, left_out=left_out)
        known = tuple(dict.fromkeys((*self.gaps, *gaps)))
        told = (*known, *_gaps(self.part, behind, ended=hal.next is None))
        return Page(
            items=tuple(items),
            at=_position(self.part, path, self.tally, self.gaps),
            next=self._following(hal.next, behind, known if hal.next is not None else told),
            scanned=len(hal.items),
            total=self._total(hal, behind) if alone and self.part.keep is None and not told else None,
            about=hal.count if alone else None,
            gaps=told,
        )

    def _following(self, link: str | None, behind: Tally, gaps: tuple[Gap, ...]) -> str | None:
        if link is not None:
            return _position(self.part, link, behind, gaps)
        index = self.parts.index(self.part) + 1
        if index == len(self.parts):
            return None
        return _position(self.parts[index], None, NOTHING_CAME, gaps)

    def _total(self, hal: HalPage, behind: Tally) -> int | None:
        """Return the server's count, unless something says that it is wrong.

        PingOne's documentation warns of it for ranges of updatedAt; a first and only page must hold just as many.
        """
        if hal.count is None or hal.count < behind.came or "updatedAt" in str(self.part.filter or ""):
            return None
        if self.link is None and (hal.next is None) != (hal.count == len(hal.items)):
            return None
        return hal.count


def find(parts: Sequence[Part], at: str | None) -> Place:
    """Return the place that a position names; the beginning when there is none yet."""
    if at is None:
        return Place(parts=parts, part=parts[0])
    name, link, *_ = json.loads(place_of(at))  # the copy's positions are others: they name no part of ours
    came, left_out, said, *gaps = json.loads(counted_before(at) or "[0,0,null]")
    for part in parts:
        if part.name == name:
            tally = Tally(came=came, left_out=left_out, said=said)
            return Place(parts=parts, part=part, link=link, tally=tally, gaps=tuple(map(from_json, gaps)))
    raise Refused(
        "The environments or populations served have changed since this cursor was made.",
        "Start again without `cursor`.",
        code="STALE_CURSOR",
    )


def _position(part: Part, link: str | None, tally: Tally, gaps: tuple[Gap, ...]) -> str:
    return position(
        _written([part.name, link]),
        _written([tally.came, tally.left_out, tally.said, *(gap.to_json() for gap in gaps)]),
    )


def part_named(at: str) -> str:
    """Return the name of the part that a position is in."""
    name: str = json.loads(place_of(at))[0]
    return name


def _gaps(part: Part, tally: Tally, *, ended: bool) -> Iterator[Gap]:
    """Yield what a part lacks so far."""
    place, label, noun = part.environment, part.label, "events" if part.source.endswith("events") else part.source
    if ended and tally.missing:
        doubtful = "updatedAt" in str(part.filter or "")
        counted = tally.said or 0
        yield EndedEarly(place=place, part=label, noun=noun, counted=counted, came=tally.came, doubtful=doubtful)
    if tally.left_out:
        lacking = "an id or a time" if noun == "events" else "an id"
        yield LeftOut(place=place, part=label, noun=noun, lacking=lacking, count=tally.left_out)


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
