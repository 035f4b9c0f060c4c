"""What happens in the sample company while nobody asks: people join, move, are switched off, and go."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pingone_mcp.sandbox.administration import Administration
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.state import EnvironmentState, GroupState
from pingone_mcp.sandbox.errors import Json

NEWCOMER = "noor.ahmadi@example.com"
GROUP, APPROVERS = "Finance", "Finance Approvers"
ROSTER = "travel"
_A_MOMENT = 0.005  # between two acts: PingOne tells instants in milliseconds, and their order by them
_LEADS = ("Chief", "President", "Manager")
RULES = """\
[[rule]]
role = "ledger-reader"
group = "Finance"

[[rule]]
role = "ledger-approver"
group = "Finance Approvers"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meantime:
    """Who is concerned, by name."""

    moved: str
    disabled: str
    removed: str


def write_roster(sandbox: Sandbox, folder: Path) -> None:
    """Write the user list of an application in which every active user has an account today."""
    with (folder / f"{ROSTER}.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("Email", "Username", "Status"))
        rows.writerows((user.get("email"), user["username"], "active") for user in sandbox.users() if _is_active(user))


def let_happen(sandbox: Sandbox) -> Meantime:
    """Let the administrator of the company do what there is to do on a day."""
    administration = sandbox.administration()
    state = administration.state
    finance, approvers, sales = (_group(state, name) for name in (GROUP, APPROVERS, "Sales"))
    disabled = _choice(state, lambda at: state.is_direct(at, approvers))
    moved = _choice(state, lambda at: at != disabled and state.is_direct(at, sales))
    removed = _choice(
        state,
        lambda at: at not in (disabled, moved) and state.user(at)["population"]["id"] == state.contractors(),
    )
    names = [_name(state, at) for at in (moved, disabled, removed)]
    acts: Sequence[Callable[[], object]] = (
        lambda: _hire(administration, finance, state.user(disabled).get("manager")),
        lambda: administration.update_user(moved, department="Finance", title="Payroll Specialist"),
        lambda: administration.take_from_group(moved, sales.id),
        lambda: administration.add_to_group(moved, finance.id),
        lambda: administration.disable_user(disabled),
        lambda: administration.delete_user(removed),
    )
    for act in acts:
        sandbox.clock.advance(_A_MOMENT)
        act()
    return Meantime(moved=names[0], disabled=names[1], removed=names[2])


def _hire(administration: Administration, group: GroupState, manager: object) -> None:
    position = administration.create_user(
        NEWCOMER,
        administration.state.employees(),
        name={"given": "Noor", "family": "Ahmadi"},
        title="Financial Analyst",
        department="Finance",
        manager=manager,
    )
    administration.add_to_group(position, group.id)


def _choice(state: EnvironmentState, fits: Callable[[int], bool]) -> int:
    """Return the position of the first active user who fits; one like most people, where there is one."""
    fitting = (
        at
        for is_usual in (_is_usual, lambda *_: True)
        for at in range(state.people.size)
        if state.exists(at) and fits(at) and _is_active(state.user(at)) and is_usual(state, at)
    )
    return next(fitting)


def _is_usual(state: EnvironmentState, at: int) -> bool:
    """Say that somebody leads nobody, and that nothing is strange about them: the sample has others, too."""
    return at not in state.people.notables and not any(word in state.user(at).get("title", "") for word in _LEADS)


def _is_active(user: Json) -> bool:
    return bool(user["enabled"] and user["account"]["status"] == "OK" and user["lifecycle"]["status"] == "ACCOUNT_OK")


def _group(state: EnvironmentState, name: str) -> GroupState:
    return next(group for group in state.groups.values() if group.record["name"] == name)


def _name(state: EnvironmentState, at: int) -> str:
    user = state.user(at)
    return " ".join(user.get("name", {}).get(part, "") for part in ("given", "family")).strip() or user["username"]
