"""The state of the copy beside what was found in it: how old it is, and what it lacks, whatever was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.errors import NoReplica
from pingone_mcp.service.backend import Backend

if TYPE_CHECKING:
    from pingone_mcp.replica.asking.snapshot import Snapshot

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyAge:
    """How the copy stood: as the directory was at `synced_at`, `age_seconds` ago; what it lacks are its `gaps`.

    `edition` is another one whenever a sync has ended, or something was read again.
    """

    synced_at: datetime
    age_seconds: int
    is_held: bool
    gaps: tuple[Gap, ...]
    edition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInCopy(Generic[T_co]):
    """What was found, and the copy that it was found in; `next_cursor` goes on behind a page, if there is more."""

    found: T_co
    copy: CopyAge
    next_cursor: str | None = None


async def read_copy(backend: Backend, work: Callable[[Snapshot], T]) -> tuple[T, CopyAge]:
    """Return what `work` makes of one state of the copy, and how that stood. Raises NoReplica, and Problem."""
    from pingone_mcp.replica.store.edition import edition_of  # noqa: PLC0415 - start-up: most who start do not browse

    (made, gaps, edition), state = await backend.replica.read(
        lambda copy: (work(copy), copy.gaps(None), edition_of(copy.database))
    )
    age = CopyAge(
        synced_at=state.synced_at, age_seconds=state.age_seconds, is_held=state.held, gaps=gaps, edition=edition
    )
    return made, age


async def edition_of_copy(backend: Backend) -> str | None:
    """Return the edition of the copy; None while there is none. Raises Problem where it cannot be read."""
    try:
        _, age = await read_copy(backend, lambda _: None)
    except NoReplica:
        return None
    return age.edition
