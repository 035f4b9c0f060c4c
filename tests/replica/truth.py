"""A sandbox, the copy of it, and what is true of both: the doors through which these tests act."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import open_client
from pingone_mcp.pingone.feed.source import PingOneSource
from pingone_mcp.pingone.served import Served
from pingone_mcp.replica.store.rows import record_of
from pingone_mcp.replica.store.schema import USER
from pingone_mcp.replica.store.store import Store
from pingone_mcp.replica.sync import Sync
from pingone_mcp.replica.syncing.reread import RereadReport
from pingone_mcp.replica.syncing.task import SyncOptions
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.state import EnvironmentState
from tests.world import World, replica_path

ATTRIBUTES = {"department": "department", "manager": "manager"}


@dataclass
class State:
    """The users by id (without the last sign-on), memberships and groups, as one knows them."""

    users: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    memberships: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    groups: dict[str, tuple[str | None, ...]] = field(default_factory=dict[str, tuple[str | None, ...]])
    nestings: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])


def truth(sandbox: Sandbox, environment: str | None = None) -> State:
    """Return what the sandbox holds."""
    state = sandbox.state(environment)
    found = State()
    for raw in sandbox.users(environment):
        user = wire.user(whole(raw), attributes=ATTRIBUTES)
        record = record_of(row_of(user, user.organizations[0].id if user.organizations else ""))
        record.pop("last_login_at", None)
        found.users[user.id] = record
    found.memberships |= _memberships(state, state.version)
    for group in state.groups.values():
        told = group.record
        found.groups[group.id] = (told["name"], told.get("description"), told.get("userFilter"))
        found.nestings |= {(group.id, parent) for parent in group.parents}
    return found


def whole(value: Any) -> Any:
    """Return a value of PingOne as it is kept: no text of it holds the character at which programs end a text."""
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    return value.replace("\0", "") if isinstance(value, str) else value


def sent(sandbox: Sandbox, after: int = 0, environment: str | None = None) -> list[JsonObject]:
    """Return the events of the sandbox behind so many, as its webhooks send them."""
    state = sandbox.state(environment)
    base = f"{sandbox.base_url}/v1/environments"
    return [event.native(base, state.id) for event in state.events[after:]]


@functools.lru_cache(maxsize=4)  # of both environments, before a step and after it
def _memberships(state: EnvironmentState, _version: int) -> dict[tuple[str, str], str]:
    """Return the type of every membership by user and group; whatever changes one is another version of the state."""
    found: dict[tuple[str, str], str] = {}
    for user in state.users():
        position = state.position(user["id"])
        assert position is not None
        found |= {(user["id"], group.id): kind.lower() for group, kind in state.memberships(position)}
    return found


def copied(connection: sqlite3.Connection) -> State:
    """Return what the local copy holds, and fail where its parts do not agree."""
    found = State()
    for row in connection.execute(f"SELECT {USER} FROM users_ u WHERE u.removed_at IS NULL"):  # noqa: S608 - our names
        told = record_of(row)
        told.pop("last_login_at", None)
        found.users[told["id"]] = told
    for user, group, kind in connection.execute("SELECT user_id, group_id, type FROM memberships_"):
        found.memberships[user, group] = kind
    for identity, *told in connection.execute("SELECT id, name, description, user_filter FROM groups_"):
        found.groups[identity] = tuple(told)
    found.nestings = set(connection.execute("SELECT group_id, parent_id FROM nestings_"))
    _check_words(connection)
    return found


def _check_words(connection: sqlite3.Connection) -> None:
    """Fail unless the index has the words of those who are there, and no others: its rows are those of a view."""
    with closing(sqlite3.connect(":memory:")) as another:  # the check is a statement that writes
        connection.backup(another)
        another.execute("INSERT INTO people (people, rank) VALUES ('integrity-check', 1)")


def options_in(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a sync out of what is given."""
    return {one.name: given.pop(one.name) for one in fields(SyncOptions) if one.name in given}


@dataclass
class Copy:
    """The local copy of a world; `served` are settings of the connection for every sync."""

    world: World
    page_size: int = 200
    served: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def sandbox(self) -> Sandbox:
        return self.world.sandbox

    @property
    def path(self) -> Path:
        return replica_path(self.world.connection(**self.served))

    @property
    def store(self) -> Store:
        return Store(self.path)

    @asynccontextmanager
    async def syncing(
        self,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        connection: dict[str, Any] | None = None,
        **given: Any,
    ) -> AsyncIterator[Sync]:
        clock = self.world.time.clock()
        changed = self.world.connection(page_size=self.page_size, **self.served | (connection or {}))
        async with open_client(changed, transport=transport or self.sandbox.transport(), clock=clock) as client:
            options = replace(SyncOptions(full_after=timedelta(days=3650)), **options_in(given))
            yield Sync(PingOneSource(Served(client, clock)), Store(replica_path(changed)), options, **given)

    async def sync(self, mode: Any = "auto", **given: Any) -> Any:
        async with self.syncing(**given) as sync:
            return await sync.run(mode)

    async def reread(self, events: list[JsonObject], **given: Any) -> RereadReport:
        async with self.syncing(**given) as sync:
            return await sync.reread(events)

    async def state(self) -> State:
        return await self.store.read(copied)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        return await self.store.read(lambda connection: connection.execute(query).fetchall())
