"""Users who cannot sign in any more come one reason after the other; coverage says of each how far that is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Literal, TypeVar

from pingone_mcp.directory.models import Deactivated
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import ListingPart
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.errors import Refused

Reason = Literal["disabled", "locked", "removed"]
REASONS: tuple[Reason, ...] = ("disabled", "locked", "removed")
"""In the order in which they are listed."""
P = TypeVar("P", bound=ListingPart)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How the users of one reason are found, and whether all of them are.

    `complete` is true where nobody of this reason is missing; `note` says what may be missing for good, and what to do
    about it.
    """

    how: str
    complete: bool
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeactivatedPage(Page[Deactivated]):
    """A page of users who cannot sign in; `coverage` says how each reason is covered once the list is read to its end.

    It counts in what could not be read so far. The label of each position is the reason of the users behind it.
    """

    coverage: Mapping[Reason, Coverage]

    @classmethod
    def of(cls, page: Page[Deactivated], coverage: Mapping[Reason, Coverage]) -> DeactivatedPage:
        """Return a page with its coverage."""
        return cls(**{field.name: getattr(page, field.name) for field in fields(page)}, coverage=coverage)


def in_order(reasons: Collection[Reason]) -> list[Reason]:
    """Return some reasons in the order in which they are listed."""
    return [reason for reason in REASONS if reason in reasons]


def by_reason(parts: Iterable[P]) -> list[P]:
    """Return parts, each labelled with its reason, in the order in which reasons are listed."""
    order: list[str] = [*REASONS]
    return sorted(parts, key=lambda part: order.index(part.label))


def covered_so_far(coverage: Mapping[Reason, Coverage], following: Position | None) -> dict[Reason, Coverage]:
    """Return how each reason is covered when all before a position has been read (None: to the end)."""
    order = [*coverage]
    done = order.index(_reason(following)) if following is not None else len(order)
    return {
        reason: replace(one, complete=one.complete and order.index(reason) < done) for reason, one in coverage.items()
    }


def _reason(position: Position) -> Reason:
    return next(reason for reason in REASONS if reason == position.label)


def refuse_future(since: datetime | None, now: datetime) -> None:
    """Raise Refused for a time that has not come."""
    if since is not None and since > now:
        raise Refused("`since` lies in the future.", "Give a time that has passed.", code="FUTURE_TIME")
