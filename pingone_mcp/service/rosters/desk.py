"""All use cases of the rosters and the rules of connections, as one process has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.service.rosters.keeping import ForgetFiles, RosterKeeping
from pingone_mcp.service.rosters.pulling import Applications, RosterPulls
from pingone_mcp.service.rosters.role_rules import RuleKeeping
from pingone_mcp.service.rosters.shelf import Shelves

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.private_files import PrivateFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterFiles:
    """Where the folder of a connection is, and what removes all that is in it."""

    folder_of: Callable[[str], PrivateFolder]
    forget: ForgetFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterDesk:
    """What may be done with rosters, and with rules."""

    keeping: RosterKeeping
    pulls: RosterPulls
    rules: RuleKeeping


def roster_desk(control: ControlData, files: RosterFiles, applications: Applications) -> RosterDesk:
    """Return the use cases over control data."""
    shelves = Shelves(files.folder_of)
    keeping = RosterKeeping(control.rosters, shelves, files.forget, control.clock)
    return RosterDesk(
        keeping=keeping,
        pulls=RosterPulls(control.rosters, keeping, shelves, applications, control.clock),
        rules=RuleKeeping(control.connections, shelves, files.forget),
    )
