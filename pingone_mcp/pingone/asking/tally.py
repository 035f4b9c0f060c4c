"""What was counted while a list was read, and what the server counts: whether the end of a list is its end.

A page without `next` ends a list, and a page that lost its link looks just so. So what came is compared with the
server's count, which is optional: of a list that never had one nothing can be said, and its `total` is null.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What has been counted up to a place in one list.

    `came`: rows, those among them included that are not shown. `left_out`: rows that cannot be told apart. `said`: the
    least that the server counted on any page. People come and go while a list is read: who was there all the time is
    in every one of the counts, and who came later may have come behind our back.
    """

    came: int = 0
    left_out: int = 0
    said: int | None = None

    def behind(self, rows: int, count: int | None, *, left_out: int = 0) -> Tally:
        """Return the tally behind one more page of so many rows, on which the server counted so many in all."""
        counts = [one for one in (self.said, count) if one is not None]
        return Tally(came=self.came + rows, left_out=self.left_out + left_out, said=min(counts) if counts else None)

    @property
    def missing(self) -> int:
        """How many the server counts that have not come; at the end of a list they should have."""
        return max(0, (self.said or 0) - self.came)


NOTHING_CAME = Tally()
