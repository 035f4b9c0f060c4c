"""`pingone-mcp connections hook --create`: what is to be entered in PingOne is shown, agreed to, and entered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pingone_mcp.commands.ending import FAILED, OK
from pingone_mcp.console import print_json, say, shown
from pingone_mcp.directory.text.harmless import candidate
from pingone_mcp.interrupts import asking_a_person
from pingone_mcp.service.fleet.subscribing.sentences import (
    address_text,
    as_it_should_be,
    flaws_text,
    subscription_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.service.fleet.administration import FleetAdministration
    from pingone_mcp.service.fleet.subscribing.making import HookOutcome, HookPlan, PlannedHook

_DONE = {"make": "made", "change": "changed", "keep": "there already"}


async def create_hook(
    administration: FleetAdministration, linked: LinkedConnection, *, agreed: bool, as_json: bool
) -> int:
    """Enter the hook of a connection in PingOne, once the person has agreed; return the exit status."""
    async with administration.planned_hook(linked) as plan:
        if plan.does_anything:
            _show(plan, linked)
            if not (agreed or _is_meant(linked)):
                say("Nothing was made or changed in PingOne.", stderr=True)
                return FAILED
        outcomes = await plan.carry_out()
        if as_json:
            print_json({"url": plan.wanted.url, "environments": [_facts(one) for one in outcomes]})
        else:
            _report(outcomes)
    return OK if all(one.problem is None for one in outcomes) else FAILED


def _show(plan: HookPlan, linked: LinkedConnection) -> None:
    """Say what would be done, and where: all of it, before anybody agrees."""
    lines = [
        f"In PingOne, for the connection {shown(linked.name)} ({linked.id}):",
        "",
        f"  URL      {plan.wanted.url}",
        f"  header   {', '.join(plan.wanted.headers)}, with the secret of this hook",
        "  format   Ping Activity Format; certificates are verified, all action types that are needed, no filters",
        "",
        *(f"  {_place(one)}: {_intent(one, plan)}" for one in plan.hooks),
        "",
    ]
    say("\n".join(lines), stderr=True)


def _intent(planned: PlannedHook, plan: HookPlan) -> str:
    return " ".join([_deed(planned, plan), *_left(planned)])


def _deed(planned: PlannedHook, plan: HookPlan) -> str:
    name = subscription_text(planned.found) if planned.found is not None else ""
    match planned.deed:
        case "make":
            return f"make the webhook {candidate('new', plan.wanted.name)}"
        case "change":
            return f"change the webhook {name}: {flaws_text(planned.flaws)}"
        case "keep":
            return f"nothing, for the webhook {name} is {as_it_should_be(planned.found)}"
        case "refuse":
            return f"nothing. {planned.problem}"


def _left(planned: PlannedHook) -> list[str]:
    """Name what is ours too, and is left as it is."""
    return [f"({subscription_text(one)} to {address_text(one)} is left as it is)" for one in planned.others]


def _is_meant(linked: LinkedConnection) -> bool:
    """Ask the person at the terminal; where there is none, it is not."""
    if not sys.stdin.isatty():
        say("This is to be confirmed at a terminal, or with --yes.", stderr=True)
        return False
    with asking_a_person():  # from before the question is seen
        say("Type the name of the connection to have it done:", stderr=True)
        return sys.stdin.readline().strip() == linked.name


def _report(outcomes: Sequence[HookOutcome]) -> None:
    """Say what became of each environment, what was done first."""
    for one in sorted(outcomes, key=lambda one: one.problem is not None):
        place = _place(one.planned)
        if one.problem is not None:
            say(f"{place}: {one.problem}", stderr=True)
        else:
            said = [f"{place}: {_DONE[one.planned.deed]}.", *_unseen(one.planned), *_left(one.planned)]
            say(" ".join(said))


def _unseen(planned: PlannedHook) -> list[str]:
    """Say what nobody can see of what was left: after a rotation the header may be a former one."""
    if planned.deed != "keep" or planned.found is None or not planned.found.hides_headers:
        return []
    return [f"It is {as_it_should_be(planned.found)}: if it is not, enter it in PingOne's console."]


def _place(planned: PlannedHook) -> str:
    kind = planned.place.type if planned.place.type in ("PRODUCTION", "SANDBOX") else "of unknown type"
    return f"{candidate(planned.place.id, planned.place.name)}, {kind}"


def _result(outcome: HookOutcome) -> str:
    if outcome.problem is None:
        return _DONE[outcome.planned.deed]
    return "unknown" if outcome.is_unknown else "failed"


def _facts(outcome: HookOutcome) -> JsonObject:
    problem, planned = outcome.problem, outcome.planned
    return {
        "id": planned.place.id,
        "name": planned.place.name,
        "result": _result(outcome),
        "code": problem.code if problem is not None else None,
        "text": str(problem) if problem is not None else " ".join(_unseen(planned)) or None,
    }
