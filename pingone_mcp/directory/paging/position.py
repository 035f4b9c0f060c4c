"""Where a page of a listing begins: a value that a caller gives back to read on, here or in another process.

A cursor holds one. It is read from JSON when a question arrives and written when its answer leaves, nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pingone_mcp.directory.gaps import Gap, from_json

Origin = Literal["live", "replica"]
"""Who answers: the provider, or the local copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What has been counted up to a place in one part of a listing, and what is said to be there in all.

    A page without `next` ends a list, and a page that lost its link looks just so. So what came is compared with the
    provider's own count, which is optional: without one, nothing can be said of what is missing.

    `came`: rows, those among them included that are not shown. `left_out`: rows that cannot be told apart. `said`: the
    least that was counted on any page. People come and go while a list is read: who was there all the time is in every
    one of the counts, and who came later may have come behind our back. `version` names the state that was counted.
    """

    came: int = 0
    left_out: int = 0
    said: int | None = None
    version: int = 0

    def behind(self, rows: int, count: int | None, *, left_out: int = 0) -> Counted:
        """Return what is counted behind one more page of so many rows, which said that there are `count` in all."""
        counts = [one for one in (self.said, count) if one is not None]
        return Counted(came=self.came + rows, left_out=self.left_out + left_out, said=min(counts) if counts else None)

    @property
    def missing(self) -> int:
        """How many are said to be there that have not come; at the end of a list they should have."""
        return max(0, (self.said or 0) - self.came)


NOTHING_COUNTED = Counted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a page begins; without any members, at the beginning of a listing of one part.

    `source` says who answers there. `part` is the name of the part, and `label` what its rows have in common. `after`
    is the last row before the page, or the provider's own link to it; None: the part begins. `size` is how many rows
    the page had when it was first read, where that must not change. `gaps` are what could not be read before.
    """

    source: Origin = "live"
    part: str = ""
    label: str = ""
    after: str | None = None
    size: int | None = None
    counted: Counted = NOTHING_COUNTED
    gaps: tuple[Gap, ...] = ()

    @property
    def place(self) -> str:
        """Name the place: two positions are at one place whatever was counted on the way."""
        return "\n".join((self.source, self.part, self.after or ""))

    def to_json(self) -> list[Any]:
        """Return what `from_json` reads, as short as cursors should be: members by their places, then the gaps."""
        counted = self.counted
        counts = [counted.came, counted.left_out, counted.said, counted.version]
        return [
            self.source,
            self.part,
            self.label,
            self.after,
            self.size,
            counts,
            *(gap.to_json() for gap in self.gaps),
        ]

    @classmethod
    def from_json(cls, written: Sequence[Any]) -> Position:
        """Return the position of which `to_json` was written."""
        source, part, label, after, size, (came, left_out, said, version), *gaps = written
        return cls(
            source=source,
            part=part,
            label=label,
            after=after,
            size=size,
            counted=Counted(came=came, left_out=left_out, said=said, version=version),
            gaps=tuple(map(from_json, gaps)),
        )
