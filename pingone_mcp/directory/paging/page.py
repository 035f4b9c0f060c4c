"""One page of a listing, as a provider or the local copy answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.paging.position import Position

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T_co]):
    """One page of a listing as a provider answers it.

    `at` is where this page begins and `next` where the following one does (None: this was the last). Reading the page
    at `at` again asks for the same page.
    `scanned` counts what the provider read for this page, matching or not. `total` is the number of matches in
    the whole listing where it can be trusted; `about` is an estimate of all that is to be scanned, for progress.
    `gaps` name what could not be read in the listing so far.
    """

    items: tuple[T_co, ...]
    at: Position
    next: Position | None
    scanned: int
    total: int | None = None
    about: int | None = None
    gaps: tuple[Gap, ...] = ()
