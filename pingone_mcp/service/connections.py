"""The connections that are served: each opened by the first question that needs it, with its syncs and long work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.jobs import Jobs
from pingone_mcp.service.syncing import Syncing
from pingone_mcp.tasks import SingleFlight

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus

    from pingone_mcp.replica.state import State


class Connections:
    """What lives as long as the process that serves: a backend, opened by its first question, and what runs behind it.

    `changed` is called when a sync has found changes. Opening raises Unconfigured for missing settings; a server has
    started and listed its tools all the same.
    """

    def __init__(self, open_backend: OpenBackend, tasks: TaskGroup, changed: Callable[[], Awaitable[None]]) -> None:
        self._open = open_backend
        self._tasks = tasks
        self._changed = changed
        self._opening = SingleFlight(tasks)
        self._backend: Backend | None = None
        self._syncing: Syncing | None = None
        self.jobs: Jobs[tuple[JsonObject, State]] = Jobs(tasks)
        """Reviews and comparisons of everybody."""

    async def backend(self) -> Backend:
        """Return the backend, opened where it is not yet. Raises Unconfigured, and Problem where that fails."""
        if self._backend is not None:
            return self._backend
        return await self._opening.do("backend", self._opened, lasting=True)

    async def _opened(self) -> Backend:
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

    def syncing(self, backend: Backend) -> Syncing:
        """Return the syncs of a backend: one at a time."""
        if self._syncing is None:
            self._syncing = Syncing(backend.replica, self._tasks, self._changed)
        return self._syncing
