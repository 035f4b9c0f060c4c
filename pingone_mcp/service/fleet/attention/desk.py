"""All that a person keeps in order of connections, as one process has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.service.fleet.attention.attention import Attention
from pingone_mcp.service.fleet.attention.removals import RemovalDesk
from pingone_mcp.service.fleet.caller_runs import CallerRuns
from pingone_mcp.service.fleet.keeping.hooks import CallerHooks
from pingone_mcp.service.fleet.keeping.intervals import Intervals
from pingone_mcp.service.fleet.keeping.keys import CallerKeys
from pingone_mcp.service.fleet.keeping.scopes import Scopes

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.hook_form import HookPlace
    from pingone_mcp.service.fleet.linking import Linking
    from pingone_mcp.service.fleet.syncs import FleetSyncs
    from pingone_mcp.service.rosters.desk import RosterDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingDesk:
    """The use cases."""

    attention: Attention
    removals: RemovalDesk
    runs: CallerRuns
    keys: CallerKeys
    hooks: CallerHooks
    intervals: Intervals
    scopes: Scopes
    rosters: RosterDesk


def keeping_desk(
    control: ControlData, fleet: Fleet, linking: Linking, syncs: FleetSyncs, *, rosters: RosterDesk, hooks: HookPlace
) -> KeepingDesk:
    """Return the use cases over control data and what is served."""
    keys = CallerKeys(control, fleet)
    return KeepingDesk(
        attention=Attention(control, fleet, keys, rosters.keeping),
        removals=RemovalDesk(fleet, syncs),
        runs=CallerRuns(control, fleet, syncs),
        keys=keys,
        hooks=CallerHooks(control, fleet, hooks),
        intervals=Intervals(control, fleet, linking),
        scopes=Scopes(fleet),
        rosters=rosters,
    )
