"""What happens in a company between two syncs: a script of things, done through the sandbox's own doors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

import httpx
from hypothesis import strategies as st

from pingone_mcp.sandbox.app import Sandbox

LOCK = "application/vnd.pingidentity.account.lock+json"
UNLOCK = "application/vnd.pingidentity.account.unlock+json"
KINDS = (
    "create update rename disable enable lock unlock move join leave delete delete retitle sign-on "
    "new-group new-dynamic-group rename-group refilter nest unnest delete-group new-population rename-population grant revoke"
).split()
NOBODY = "00000000-0000-0000-0000-000000000000"
READ_ONLY = "ce00e15f-f845-4df1-abf3-fdc4ff4e176c"
FILTERS = ('title sw "Chief"', 'title eq "Nurse"', 'email ew "@example.org"', "enabled eq false")


@dataclass(frozen=True)
class Happening:
    """One thing that happens; `who`, `what` and `where` choose among users, groups and places there are then."""

    kind: str
    who: int
    what: int
    where: int


def happenings(most: int) -> st.SearchStrategy[list[Happening]]:
    number = st.integers(0, 999)
    return st.lists(st.builds(Happening, st.sampled_from(KINDS), number, number, number), max_size=most)


def _person(name: str) -> dict[str, Any]:
    return {"username": name, "email": f"{name}@example.org"}


class Doors:
    """The sandbox's API, for an administrator who does things."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._http = httpx.AsyncClient(transport=sandbox.transport(), base_url=sandbox.base_url)
        self._made = 0

    async def __aenter__(self) -> Self:
        sandbox = self._sandbox
        grant = await self._http.post(
            f"/{sandbox.environment_id}/as/token",
            data={"grant_type": "client_credentials"},
            auth=(sandbox.client_id, sandbox.client_secret),
        )
        self._http.headers["Authorization"] = f"Bearer {grant.json()['access_token']}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> int:
        """Do one thing; what the sandbox refuses (who is in a group already, say) does not happen."""
        content = b"" if body is None else json.dumps(body).encode()
        url = f"/v1/environments/{self._sandbox.environment_id}{path}"
        answer = await self._http.request(method, url, content=content, headers={"Content-Type": kind})
        assert answer.status_code < 500, answer.text
        return answer.status_code

    async def happen(self, one: Happening) -> None:
        state = self._sandbox.state()
        users = [user["id"] for user in self._sandbox.users()]
        groups, populations = sorted(state.groups), sorted(state.populations)
        user = users[one.who % len(users)] if users else NOBODY
        group = groups[one.what % len(groups)] if groups else NOBODY
        other = groups[one.where % len(groups)] if groups else NOBODY
        population = populations[one.where % len(populations)]
        self._made += 1
        name = f"made-{len(state.events)}-{self._made}"
        kept = (
            {key: value for key, value in state.groups[group].record.items() if key == "userFilter"} if groups else {}
        )
        requests: dict[str, tuple[Any, ...]] = {
            "create": ("POST", "/users", {**_person(name), "population": {"id": population}, "title": "Nurse"}),
            "update": ("PATCH", f"/users/{user}", {"department": name, "title": None}),
            "retitle": ("PATCH", f"/users/{user}", {"title": ("Chief", "Nurse", "Clerk")[one.what % 3]}),
            "rename": ("PATCH", f"/users/{user}", _person(name)),
            "disable": ("PUT", f"/users/{user}/enabled", {"enabled": False}),
            "enable": ("PUT", f"/users/{user}/enabled", {"enabled": True}),
            "lock": ("POST", f"/users/{user}", {}, LOCK),
            "unlock": ("POST", f"/users/{user}", None, UNLOCK),
            "move": ("PUT", f"/users/{user}/population", {"id": population}),
            "join": ("POST", f"/users/{user}/memberOfGroups", {"id": group}),
            "delete": ("DELETE", f"/users/{user}"),
            "new-group": ("POST", "/groups", {"name": name}),
            "new-dynamic-group": ("POST", "/groups", {"name": name, "userFilter": FILTERS[one.what % len(FILTERS)]}),
            "rename-group": ("PUT", f"/groups/{group}", {"name": name, "description": name, **kept}),
            "nest": ("POST", f"/groups/{group}/memberOfGroups", {"id": other}),
            "delete-group": ("DELETE", f"/groups/{group}"),
            "new-population": ("POST", "/populations", {"name": name}),
            "rename-population": ("PUT", f"/populations/{population}", {"name": name}),
            "grant": (
                "POST",
                f"/users/{user}/roleAssignments",
                {"role": {"id": READ_ONLY}, "scope": {"id": population, "type": "POPULATION"}},
            ),
        }
        if one.kind in requests:
            await self.send(*requests[one.kind])
        else:
            await self._undo(one, user, name)

    async def _undo(self, one: Happening, user: str, name: str) -> None:
        """Do what needs something to be there."""
        state = self._sandbox.state()
        position = state.position(user)
        match one.kind:
            case "leave":
                await self._leave(user, one.what)
            case "sign-on" if position is not None:
                state.put_user(position, {**state.user(position), "lastSignOn": {"at": "2026-06-15T11:00:00.000Z"}})
            case "refilter":
                dynamic = sorted(key for key, group in state.groups.items() if "userFilter" in group.record)
                if dynamic:
                    body = {"name": name, "userFilter": FILTERS[one.where % len(FILTERS)]}
                    await self.send("PUT", f"/groups/{dynamic[one.what % len(dynamic)]}", body)
            case "unnest":
                nested = sorted((key, parent) for key, group in state.groups.items() for parent in group.parents)
                if nested:
                    child, parent = nested[one.what % len(nested)]
                    await self.send("DELETE", f"/groups/{child}/memberOfGroups/{parent}")
            case "revoke":
                held = sorted(state.roles_of(position)) if position is not None else []
                if held:
                    await self.send("DELETE", f"/users/{user}/roleAssignments/{held[one.what % len(held)]}")
            case _:
                assert one.kind == "sign-on"

    async def _leave(self, user: str, what: int) -> None:
        state = self._sandbox.state()
        position = state.position(user)
        if position is None:
            return
        direct = [group.id for group, kind in state.memberships(position) if kind == "DIRECT"]
        if direct:
            await self.send("DELETE", f"/users/{user}/memberOfGroups/{direct[what % len(direct)]}")


async def happen(sandbox: Sandbox, script: list[Happening]) -> None:
    """Let a script happen, and its events arrive."""
    async with Doors(sandbox) as doors:
        for one in script:
            await doors.happen(one)
    sandbox.clock.advance(sandbox.options.event_lag + 1)
