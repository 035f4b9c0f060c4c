"""The connections that a process serves: each opened once, with its syncs and long work, and none in another's way."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio

from pingone_mcp.current_connection import DEFAULT, working_for
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import NoSuchConnection, Problem
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.jobs import Jobs
from pingone_mcp.service.looks import Looks
from pingone_mcp.service.syncing import Syncing
from pingone_mcp.tasks import SingleFlight, background

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus

    from pingone_mcp.service.browsing.people import PeopleChoices


Listener = Callable[[str], Awaitable[None]]
"""Called with the id of a connection when a sync of it has found changes."""

_logger = logging.getLogger(__name__)


class ServedConnection:
    """One connection while it is served: its backend, opened by the first question, and what runs behind answers."""

    def __init__(self, identity: str, open_backend: OpenBackend, tasks: TaskGroup) -> None:
        self.id = identity
        self._open = open_backend
        self._tasks = tasks
        self._opening = SingleFlight(tasks)
        self._backend: Backend | None = None
        self._syncing: Syncing | None = None
        self._listeners: list[Listener] = []
        self._has_ended = False
        self.jobs: Jobs[tuple[JsonObject, datetime]] = Jobs(tasks)
        """Reviews and comparisons of everybody: their facts, and when the sync began that the copy is of."""
        self.looks = Looks(tasks)
        """The same as pages show them."""

    async def backend(self) -> Backend:
        """Return the backend, opened where it is not yet. Raises Unconfigured, and Problem where there is none."""
        if self._has_ended:
            raise Problem(
                "This connection is not served any more.",
                "The log of this server says why; the person who runs it starts it again.",
                code="CONNECTION_ENDED",
            )
        if self._backend is not None:
            return self._backend
        return await self._opening.do("backend", self._opened, lasting=True)

    @cached_property
    def people_choices(self) -> PeopleChoices:
        """What the people of this connection can be filtered by, as it was counted."""
        from pingone_mcp.service.browsing.people import PeopleChoices  # noqa: PLC0415 - start-up: most do not browse

        return PeopleChoices()

    async def begin(self) -> None:
        """Open the backend before anybody asks, so that its syncs in the background begin. A failure is logged."""
        with working_for(self.id):
            try:
                await self.backend()
            except Problem as problem:
                _logger.warning("The connection was not opened, so nothing is synced: %s", problem)
            except Exception:  # whatever it is, the next question meets it again, and it harms no other connection
                _logger.exception("Opening the connection failed")

    def syncing(self, backend: Backend) -> Syncing:
        """Return the syncs of a backend: one at a time."""
        if self._syncing is None:
            self._syncing = Syncing(backend.replica, self._tasks, self._changed)
        return self._syncing

    @contextmanager
    def on_changes(self, listener: Listener) -> Iterator[None]:
        """Call a listener, for as long as the block lasts, whenever a sync has found changes of this connection.

        One that is given several times is called once.
        """
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def end(self) -> None:
        """Answer nobody any more: nothing can run behind an answer from now on, and what is open is being closed."""
        self._has_ended = True

    async def _changed(self) -> None:
        for listener in dict.fromkeys(self._listeners):
            await listener(self.id)

    async def _opened(self) -> Backend:
        with working_for(self.id):
            backend: Backend = await self._tasks.start(self._hold)
            self._backend = backend
            if backend.sync_seconds is not None:
                self._tasks.start_soon(self.syncing(backend).every, backend.sync_seconds)
        return backend

    async def _hold(self, *, task_status: TaskStatus[Backend]) -> None:
        """Keep the backend open until the end: the task that has opened it is the one that closes it."""
        async with self._open() as backend:
            task_status.started(backend)
            await anyio.sleep_forever()


Lend = Callable[[], AbstractAsyncContextManager[ServedConnection]]
"""Gives the connection of a caller for as long as the caller stays."""


@asynccontextmanager
async def serve_one(open_backend: OpenBackend, identity: str = DEFAULT) -> AsyncIterator[ServedConnection]:
    """Serve one connection for as long as the block lasts; what runs behind it ends with the block."""
    async with background() as tasks:
        served = ServedConnection(identity, open_backend, tasks)
        try:
            yield served
        finally:
            served.end()


class Connections:
    """The connections of a process by their ids, each with what opens it. What one of them does harms no other."""

    def __init__(self, openings: Mapping[str, OpenBackend] = MappingProxyType({})) -> None:
        self._openings = openings
        self._tasks: TaskGroup | None = None
        self._lives: dict[str, _Life] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve all connections for as long as the block lasts. None is opened before somebody asks it, or `begin`."""
        async with background() as self._tasks:
            for identity, open_backend in self._openings.items():
                await self.add(identity, open_backend)
            try:
                yield
            finally:
                self._lives.clear()

    async def add(self, identity: str, open_backend: OpenBackend) -> ServedConnection:
        """Serve one more connection from now on; one that is served under this id is removed first."""
        await self.remove(identity)
        if self._tasks is None:
            raise RuntimeError("Nothing is served yet.")
        life = _Life()
        await self._tasks.start(life.live, identity, open_backend)
        self._lives[identity] = life
        return life.served

    async def remove(self, identity: str) -> None:
        """Serve a connection no more, where there is one of this id; returns when everything of it is closed."""
        if (life := self._lives.pop(identity, None)) is not None:
            await life.end()

    async def begin(self) -> None:
        """Open every connection now, so that the syncs of those that sync in the background begin."""
        async with anyio.create_task_group() as openings:
            for life in self._lives.values():
                openings.start_soon(life.served.begin)

    def find(self, identity: str) -> ServedConnection:
        """Return the connection of an id. Raises NoSuchConnection."""
        try:
            return self._lives[identity].served
        except KeyError:
            raise NoSuchConnection from None

    @asynccontextmanager
    async def lend(self, identity: str) -> AsyncIterator[ServedConnection]:
        """Give a connection to a client; it stays open when that leaves. Raises NoSuchConnection."""
        yield self.find(identity)


class _Life:
    """One connection, served in a task of its own, so that whatever ends it ends no other."""

    served: ServedConnection

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()

    async def live(self, identity: str, open_backend: OpenBackend, *, task_status: TaskStatus[None]) -> None:
        try:
            with self._scope:
                async with serve_one(open_backend, identity) as self.served:
                    task_status.started()
                    await anyio.sleep_forever()
        except Exception:
            _logger.exception("The connection %s is not served any more", identity)
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Close everything, and return when it is closed."""
        self.served.end()
        self._scope.cancel()
        await self._ended.wait()
