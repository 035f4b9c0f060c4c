"""The whole API over an estate: several companies, and callers who reach some of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.tasks import background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.places import place_of
from pingone_mcp.web.rest.api import ApiParts, operations
from pingone_mcp.web.rest.failures import Strays
from pingone_mcp.web.rest.operation import AnswerBudget, RestOperation, routes
from tests.fleets import Estate, caller, estate

SERVER = "https://pingone.example.com"
ALL: tuple[Permission, ...] = (
    "directory.read",
    "directory.sync",
    "directory.write",
    "connections.manage",
    "events.manage",
)


@dataclass
class Office:
    """A client of the API; `caller` is whom the gate let in."""

    estate: Estate
    http: httpx.AsyncClient
    operations: tuple[RestOperation, ...]
    caller: Caller | None

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Return the body of an answer, which has this status, and is JSON of the shape that is described."""
        answer = await self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        if status >= 400:
            assert (body["statusCode"], body["correlation_id"]) == (status, "0123456789abcdef")
            assert body["message"]
            assert body["error"]
        else:
            self._as_described(method, path, body)
        if isinstance(body, dict) and body.get("next_cursor") and status < 400:
            assert body["result"], "an empty result with a cursor"
        return body

    async def every(self, path: str, query: dict[str, Any] | None = None) -> list[Any]:
        """Return the rows of all pages, as both SDKs read them: the first request has an empty cursor."""
        rows: list[Any] = []
        seen = {""}
        cursor = ""
        while True:
            page = await self.ask("GET", path, params={**(query or {}), "next_cursor": cursor})
            rows += page["result"]
            cursor = page["next_cursor"]
            if not cursor:
                return rows
            assert cursor not in seen
            seen.add(cursor)

    def is_for(self, *connections: str, tenant: str | None = None, may: tuple[Permission, ...] = ALL) -> None:
        """Let another caller ask from now on."""
        self.caller = caller(*connections, tenant=tenant, permissions=may)

    def context(self, company: str, **changes: Any) -> dict[str, Any]:
        """Return what a caller enters to link a company."""
        values = self.estate.values(company)
        return {name: value for name, value in values.items() if not name.endswith("_url")} | changes

    def _as_described(self, method: str, path: str, body: Any) -> None:
        exact = [one for one in self.operations if (one.method, one.path) == (method, path)]
        [parent] = [path.rpartition("/")[0]]
        below = [one for one in self.operations if (one.method, one.path) == (method, f"{parent}/{{id}}")]
        for one in (exact or below)[:1]:
            Draft202012Validator(one.answers).validate(body)


@dataclass
class LetIn:
    """What the gate leaves in the state of a request."""

    app: ASGIApp
    office: Office | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = self.office.caller if self.office is not None else None
        scope.setdefault("state", {}).update(
            correlation_id="0123456789abcdef", address=PublicAddress(SERVER), place=place_of(scope["path"])
        )
        if who is not None:
            scope["state"]["caller"] = who
        await self.app(scope, receive, send)


@asynccontextmanager
async def office(folder: Path, budget: AnswerBudget | None = None) -> AsyncIterator[Office]:
    """Open the API over an estate without companies, for a caller who may do everything everywhere."""
    async with estate(folder) as opened, background() as tasks:
        syncs = FleetSyncs(opened.control, opened.fleet, tasks, opened.time.clock())
        linking = opened.administration.linking
        parts = ApiParts(
            control=opened.control,
            fleet=opened.fleet,
            linking=linking,
            syncs=syncs,
            rosters=opened.rosters,
            server=SERVER,
        )
        every = operations(parts)
        app = Starlette(
            routes=routes(every, opened.fleet, budget),
            exception_handlers={HTTPException: Strays(one.path for one in every)},
        )
        let_in = LetIn(app)
        transport = httpx.ASGITransport(app=let_in, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            made = Office(opened, http, every, caller(permissions=ALL))
            let_in.office = made
            yield made
