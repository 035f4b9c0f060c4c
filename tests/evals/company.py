"""The sample company of 20,000 people, and a week in it: what happens there between two syncs, through the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import BY_NAME
from tests.replica.happenings import LOCK, UNLOCK, Doors
from tests.world import NOW, World, facts

ROLES_FILE = Path(__file__).with_name("roles.toml")
SIZE = 20_000
DAYS, DAY = 7, 86_400
HR, DESK, SECURITY = "HR feed", "Help desk", "Security desk"

Deed = Literal[
    "hire", "delete", "disable", "enable", "lock", "unlock", "edit", "move", "form", "join", "leave", "grant"
]


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that an application did on a day of the week, from 1 on.

    `whom` is a username before the @, or the group that was formed; `what` the group, population or role.
    """

    day: int
    actor: str
    deed: Deed
    whom: str
    what: str = ""
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])


def _hires() -> tuple[Done, ...]:
    people = (
        ("ingrid.aalto", "Ingrid", "Aalto", "Legal", "chiara.walsh", "CC-7100"),
        ("oskar.lund", "Oskar", "Lund", "Legal", "chiara.walsh", "CC-7100"),
        ("thandi.zulu", "Thandi", "Zulu", "Finance", "zoe.kowalska", "CC-7200"),
        ("pavel.dvorak", "Pavel", "Dvořák", "Finance", "zoe.kowalska", "CC-7200"),
        ("milan.hansen.2", "Milan", "Hansen", "People", "lucia.suzuki", "CC-7300"),
    )
    return tuple(
        Done(
            1,
            HR,
            "hire",
            name,
            "Employees",
            {
                "username": f"{name}@example.com",
                "email": f"{name.removesuffix('.2')}@example.com",  # the last one's is somebody else's already
                "name": {"given": given, "family": family},
                "title": f"{department} Trainee",
                "department": department,
                "manager": f"{manager}@example.com",
                "costCenter": center,
                "timezone": "Europe/Oslo",
                "type": "employee",
            },
        )
        for name, given, family, department, manager, center in people
    )


def _each(day: int, actor: str, deed: Deed, names: str, what: str = "", **told: Any) -> tuple[Done, ...]:
    return tuple(Done(day, actor, deed, name, what, told) for name in names.split())


WEEK: tuple[Done, ...] = (
    *_hires(),
    # Leavers: two managers with their reports among them.
    *_each(2, HR, "disable", "noah.walsh fatima.hughes milan.hansen elif.patel rafael.costa c-lucia.vargas"),
    *_each(2, HR, "delete", "magnus.lopes viktor.weber c-femi.costa c-maja.ndiaye"),
    *_each(3, DESK, "lock", "kofi.dahl4 emil.ferrari4 priya.patel milan.popescu"),
    *_each(3, DESK, "unlock", "noah.osei grace.lopes c-jonas.kumar"),
    *_each(4, HR, "move", "c-joana.nowak c-kaito.leclerc", "Employees"),
    *_each(4, HR, "edit", "ivan.tanaka4 zoe.ghosh4", department="Legal", title="Compliance Analyst"),
    *_each(4, HR, "edit", "nia.kumar", name={"family": "Kumar-Osei"}, title="Lead Test Engineer"),
    Done(5, SECURITY, "form", "Payment Requesters"),
    *_each(5, SECURITY, "join", "ivan.tanaka4 zoe.ghosh4 femi.vogel4 omar.ibrahim4", "Payment Requesters"),
    *_each(5, SECURITY, "join", "zoe.kowalska yara.ndiaye kofi.hansen", "Payment Requesters"),
    Done(5, SECURITY, "form", "Legacy CRM"),
    *_each(5, SECURITY, "join", "fatima.ghosh carlos.hansen grace.okafor", "Legacy CRM"),
    Done(5, SECURITY, "form", "Project Aurora"),
    Done(5, SECURITY, "form", "Night Shift", "On Call"),
    *_each(5, SECURITY, "join", "emil.jansen beatriz.patel priya.patel", "Night Shift"),
    *_each(5, SECURITY, "leave", "dara.adeyemi", "Administrators"),
    *_each(5, SECURITY, "grant", "zoe.kowalska yara.ndiaye", "Identity Data Read Only"),
    *_each(6, HR, "edit", "kofi.hansen emil.jansen yara.ndiaye jamal.novak", costCenter="CC-7300"),
    *_each(6, HR, "edit", "lucia.suzuki zeljko.baptiste", costCenter="CC-7100"),
    *_each(6, DESK, "enable", "milan.hansen ivan.walsh"),
    *_each(6, HR, "delete", "femi.vogel4"),
)


def company(cache: Path) -> World:
    return World(sandbox=Sandbox(size=SIZE, now=NOW), cache=cache, roles_file=ROLES_FILE)


async def synced(world: World, mode: Literal["full", "incremental"]) -> None:
    """Bring the local copy up to date through the tool that does it."""
    async with world.client() as client:
        told = facts(await client.call_tool("sync_directory", {"mode": mode}))
    assert (told["state"], told.get("complete")) == ("done", True), told


async def a_week_passes(world: World) -> None:
    await live_through(world.sandbox)
    world.time.passed += DAYS * DAY


async def live_through(sandbox: Sandbox) -> None:
    """Let the week pass, day by day, and the events of the last day arrive."""
    week = _Week(sandbox)
    for day in range(1, DAYS + 1):
        sandbox.clock.advance(DAY)
        async with Doors(sandbox) as doors:
            for done in WEEK:
                if done.day == day:
                    sandbox.application.name = done.actor
                    status = await doors.send(*week.request(done))
                    assert status < 300, done
                    if done.deed == "form" and done.what:
                        nested, within = week.group(done.whom), week.group(done.what)
                        await doors.send("POST", f"/groups/{nested}/memberOfGroups", {"id": within})


class _Week:
    """Says by which request a thing is done."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._state = sandbox.state()

    def group(self, name: str) -> str:
        return next(group.id for group in self._state.groups.values() if group.record["name"] == name)

    def request(self, done: Done) -> tuple[str, str, Any, str]:
        """Return method, path, body and media type."""
        ordinary = "application/json"
        match done.deed:
            case "hire":
                body = {**done.told, "population": {"id": self._population(done.what)}}
                return "POST", "/users", body, ordinary
            case "form":
                return "POST", "/groups", {"name": done.whom}, ordinary
            case "delete":
                return "DELETE", self._user(done), None, ordinary
            case "disable" | "enable":
                return "PUT", f"{self._user(done)}/enabled", {"enabled": done.deed == "enable"}, ordinary
            case "lock":
                return "POST", self._user(done), {}, LOCK
            case "unlock":
                return "POST", self._user(done), None, UNLOCK
            case "edit":
                return "PATCH", self._user(done), dict(done.told), ordinary
            case "move":
                return "PUT", f"{self._user(done)}/population", {"id": self._population(done.what)}, ordinary
            case "join":
                return "POST", f"{self._user(done)}/memberOfGroups", {"id": self.group(done.what)}, ordinary
            case "leave":
                return "DELETE", f"{self._user(done)}/memberOfGroups/{self.group(done.what)}", None, ordinary
            case "grant":
                scope = {"id": self._state.contractors(), "type": "POPULATION"}
                body = {"role": {"id": BY_NAME[done.what].id}, "scope": scope}
                return "POST", f"{self._user(done)}/roleAssignments", body, ordinary

    def _user(self, done: Done) -> str:
        position = self._state.position_of_username(f"{done.whom}@example.com")
        assert position is not None, done
        return f"/users/{self._state.user(position)['id']}"

    def _population(self, name: str) -> str:
        return next(identity for identity, told in self._state.populations.items() if told["name"] == name)
