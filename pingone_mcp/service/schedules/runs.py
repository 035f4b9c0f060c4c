"""One run of a schedule: what it works with, and what came of it, which is written down as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pingone_mcp.control.outbox import NewEvent
    from pingone_mcp.control.watching.schedules import ScheduleOutcome, ScheduleRecord
    from pingone_mcp.service.backend import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRun:
    """A run of a schedule over its connection; `before` is what its last check found (None: there was none)."""

    schedule: ScheduleRecord
    backend: Backend
    before: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a run: in a word, in sentences, and what is kept of it, written and asked for together with that.

    `found` None leaves what was found before.
    """

    outcome: ScheduleOutcome
    summary: str
    found: bytes | None = field(default=None, repr=False)
    events: tuple[NewEvent, ...] = ()
    asks_full_sync: bool = False
