"""The API over a sandbox, without a gate: requests come with a caller, as the gate would have let them in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from pingone_mcp.errors import NoSuchConnection, Refused
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.connections import Connections, ServedConnection
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.places import place_of
from pingone_mcp.web.rest.failures import Strays
from pingone_mcp.web.rest.operation import AnswerBudget, RestOperation, routes
from pingone_mcp.web.rest.unified.operations import OPERATIONS
from tests.world import World

ROOT = "/unified/user-directory"


def caller(*permissions: Permission, connections: Sequence[str] = ("acme",)) -> Caller:
    return Caller(
        kind="api_key",
        client_id="key",
        issuer="here",
        subject="program",
        permissions=frozenset(permissions or ("directory.read",)),
        connections=frozenset(connections),
    )


@dataclass
class Fleet:
    """The connections of a process, given to those who reach them."""

    connections: Connections
    ids: Sequence[str]

    async def served(self, caller: Caller, connection: str | None) -> ServedConnection:
        reached = [one for one in self.ids if caller.reaches(one, None)]
        if connection is None and len(reached) != 1:
            raise Refused("Name a connection.", code="WHICH_CONNECTION")
        wanted = reached[0] if connection is None else connection
        if wanted not in reached:
            raise NoSuchConnection
        return self.connections.find(wanted)


def as_described(path: str, body: Any, *, keyed: bool) -> None:
    """Fail where an answer is not as its operation describes it, or has a member that is not described."""
    found = [one for one in OPERATIONS if re.fullmatch(one.path.replace("{id}", ".+"), path)]
    if not found:
        return
    schema = found[0].answers
    Draft202012Validator(schema).validate(body)
    assert body.keys() <= schema["properties"].keys()
    if "result" in schema["properties"]:
        row = schema["properties"]["result"]["anyOf"][0]["items"]
        for one in body["result"].values() if keyed else body["result"]:
            assert one.keys() <= row["properties"].keys()


@dataclass
class Door:
    """A client of the API, whose `caller` may be changed."""

    http: httpx.AsyncClient
    caller: Caller

    async def get(self, path: str, query: Any = None, status: int = 200) -> Any:
        """Return the body of an answer, which must have this status and be JSON; lists must be honest."""
        answer = await self.http.get(ROOT + path if not path.startswith("//") else path[1:], params=query)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        if status == 200 and isinstance(body, dict) and "result" in body and "next_cursor" in body:
            assert body["next_cursor"] is None or body["result"], "an empty result with a cursor"
            assert body["next_cursor"] != ""
            assert int(answer.headers.get("x-gaps", 0)) == len(body.get("gaps", ()))
        if status == 200 and (query or {}).get("truto_response_format", "unified") == "unified":
            as_described(answer.url.path, body, keyed="truto_key_by" in (query or {}))
        if status != 200:
            assert body["statusCode"] == status
            assert body["error"]
            assert body["message"]
        return body

    async def every(self, path: str, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of all pages, as both SDKs read them."""
        rows: list[dict[str, Any]] = []
        seen: set[str] = set()
        cursor = ""
        while True:
            page = await self.get(path, {**(query or {}), "next_cursor": cursor})
            rows += page["result"]
            cursor = page["next_cursor"]
            if not cursor:
                return rows
            assert cursor not in seen, "a cursor that came before"
            seen.add(cursor)


async def synced(world: World, name: str = "acme", **settings: Any) -> None:
    """Bring the local copy of a connection up to date."""
    async with world.backend(identity=name, **settings) as backend:
        report = await backend.replica.sync("full", report=lambda *_: None)
        assert report.complete, report.reason


@asynccontextmanager
async def opened(
    worlds: Mapping[str, World],
    *,
    operations: Sequence[RestOperation] = OPERATIONS,
    budget: AnswerBudget | None = None,
    **settings: Any,
) -> AsyncIterator[Door]:
    """Open the API over the worlds of some connections, by their ids."""
    openings = {name: _opening(name, world, settings) for name, world in worlds.items()}
    connections = Connections(openings)
    fleet = Fleet(connections, list(worlds))
    app = Starlette(
        routes=routes(operations, fleet, budget),
        exception_handlers={HTTPException: Strays(one.path for one in operations)},
    )
    async with connections.serving():
        admitted = Admitted(app, caller(connections=list(worlds)))
        transport = httpx.ASGITransport(app=admitted, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            door = Door(http, admitted.caller)
            admitted.door = door
            yield door


def _opening(name: str, world: World, settings: Mapping[str, Any]) -> Any:
    return lambda: world.backend(identity=name, **settings)


@dataclass
class Admitted:
    """What the gate leaves in the state of a request."""

    app: ASGIApp
    caller: Caller
    door: Door | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = self.door.caller if self.door is not None else self.caller
        scope.setdefault("state", {}).update(
            caller=who,
            correlation_id="0123456789abcdef",
            address=PublicAddress("http://here"),
            place=place_of(scope["path"]),
        )
        await self.app(scope, receive, send)
