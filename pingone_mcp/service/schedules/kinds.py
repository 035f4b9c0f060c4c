"""The kinds of schedules: what each takes, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import JsonValue, ValidationError

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.service.schedules.arguments import RosterName, ScheduleArguments
from pingone_mcp.service.schedules.runs import Ran, ScheduledRun
from pingone_mcp.service.schedules.watches import WatchDrift, WatchRoles, watch_drift, watch_roles

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MOST_FINDINGS = 5
_LONGEST_NAME = 64


class Pulls(Protocol):
    """Reads rosters from where they come from. Raises Problem; a roster is replaced only by one that was read whole."""

    async def pull(self, connection_id: str, name: str) -> object: ...


class FullSync(ScheduleArguments):
    """Read everything again."""


class PullRoster(ScheduleArguments):
    """Read a roster from its source."""

    roster: RosterName


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleKind:
    """A kind of schedule: what it does in a few words, its arguments, and the work with them, which raises Problem.

    `waits` says that it waits for a server of others, however slow that is, and does hardly any work itself.
    """

    does: str
    takes: type[ScheduleArguments]
    work: Callable[[ScheduledRun, Any], Awaitable[Ran]]
    waits: bool = False

    def read(self, arguments: Mapping[str, JsonValue]) -> ScheduleArguments:
        """Return arguments as they are kept. Raises Refused for those that it does not take."""
        try:
            return self.takes.model_validate(arguments)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)
            said = " ".join(map(_said, wrong[:_MOST_FINDINGS]))
        takes = ", ".join(f"`{name}`" for name in self.takes.model_fields) or "none"
        raise Refused(
            f"These are no arguments of this kind. {said}", f"It takes: {takes}.", code="WRONG_SCHEDULE"
        ) from None


def kinds_of(pulls: Pulls | None = None) -> Mapping[str, ScheduleKind]:
    """Return the kinds that there are, by their names; without `pulls`, no roster is pulled by whoever runs them."""
    return {
        "full_sync": ScheduleKind(does="read everything again", takes=FullSync, work=_ask_full_sync),
        "drift": ScheduleKind(does="compare a roster with the directory", takes=WatchDrift, work=watch_drift),
        "role_drift": ScheduleKind(does="compare roles with the role rules", takes=WatchRoles, work=watch_roles),
        "roster_pull": ScheduleKind(
            does="read a roster from its source", takes=PullRoster, work=partial(_pull, pulls), waits=True
        ),
    }


async def _ask_full_sync(_: ScheduledRun, __: FullSync) -> Ran:
    said = "A full sync was asked for; its run is one of the syncs."
    return Ran(outcome="asked", summary=said, asks_full_sync=True)


async def _pull(pulls: Pulls | None, run: ScheduledRun, asked: PullRoster) -> Ran:
    if pulls is None:
        raise Refused("No roster is pulled here.", "`pingone-mcp serve` does it.", code="NO_PULLS")
    await pulls.pull(run.schedule.connection_id, asked.roster)
    return Ran(outcome="pulled", summary="The roster was read from its source.")


def _said(wrong: ErrorDetails) -> str:
    place = harmless(".".join(map(str, wrong["loc"])))[:_LONGEST_NAME].replace("`", "'")
    what = "there is no such argument" if wrong["type"] == "extra_forbidden" else wrong["msg"].rstrip(".")
    return f"`{place}`: {what}."
