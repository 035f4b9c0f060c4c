"""Attention: what of the connections that a caller reaches needs a person, as far as the caller may know it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, get_args

from pingone_mcp.current_connection import working_for
from pingone_mcp.directory.changes import ChangeQuestion
from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.service.fleet.attention.deciding import (
    ConnectionFacts,
    CopyFacts,
    HookFacts,
    matter_of_key,
    matters_of_connection,
    matters_of_webhooks,
)
from pingone_mcp.service.fleet.attention.matters import Matter, MatterKind, NamedConnection
from pingone_mcp.service.fleet.keeping.keys import reaches
from pingone_mcp.service.freshness import state_of_copy
from pingone_mcp.tasks import each

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.inbox import InboxState
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.watching.schedules import ScheduleRecord
    from pingone_mcp.service.backend import Backend
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.keeping.keys import CallerKeys
    from pingone_mcp.service.rosters.keeping import KeptRoster, RosterKeeping

_AT_ONCE = 8
_HELD_RUNS = 100  # so far back it is looked since when a sync is held
_ORDER: tuple[MatterKind, ...] = get_args(MatterKind)
_logger = logging.getLogger(__name__)


class Attention:
    """The use case. Nothing of it asks a provider: it says what is known."""

    def __init__(self, control: ControlData, fleet: Fleet, keys: CallerKeys, rosters: RosterKeeping) -> None:
        self._control, self._fleet, self._keys, self._rosters = control, fleet, keys, rosters

    async def everywhere(self, caller: Caller) -> list[Matter]:
        """Return what needs a person of all connections that a caller reaches, and of its webhooks and keys.

        Of a connection that nothing has opened yet, its last sync stands for its copy, which is not looked at.
        """
        reached = await self._fleet.reached(caller)
        opened = frozenset(self._fleet.opened())
        return await self._of(caller, reached, opened)

    async def of_connection(self, caller: Caller, connection: str) -> list[Matter]:
        """Return what needs a person of one connection, of webhooks that get its events, and of keys that reach it.

        Raises NoSuchConnection.
        """
        linked = await self._fleet.find(caller, connection)
        return await self._of(caller, [linked], frozenset({linked.id}), tenant_of=linked)

    async def _of(
        self,
        caller: Caller,
        reached: Sequence[LinkedConnection],
        opened: Collection[str],
        *,
        tenant_of: LinkedConnection | None = None,
    ) -> list[Matter]:
        now, ids = self._control.clock.now(), [one.id for one in reached]
        inbox = await self._control.inbox.states(*ids) if ids else {}
        schedules = await self._scheduled(caller, ids)
        held = await self._control.sync_runs.held(ids)

        async def of_one(linked: LinkedConnection) -> list[Matter]:
            facts = ConnectionFacts(linked=linked, schedules=schedules.get(linked.id, ()))
            if not caller.lacks({"directory.read"}):
                looked = await self._look(linked, inbox.get(linked.id), is_opened=linked.id in opened)
                facts = dataclasses.replace(looked, schedules=facts.schedules, held=held.get(linked.id))
            return matters_of_connection(facts, now)

        found = [matter for each_of in await each(of_one, reached, at_once=_AT_ONCE) for matter in each_of]
        found += await self._of_webhooks(caller, tenant_of, now)
        found += await self._of_keys(caller, reached, now)
        return sorted(found, key=lambda one: _ORDER.index(one.kind))

    async def _look(self, linked: LinkedConnection, inbox: InboxState | None, *, is_opened: bool) -> ConnectionFacts:
        """Return what there is to know for who reads the directory, and what of it could not be found out."""
        unknown: list[str] = []

        @contextmanager
        def finding_out(what: str) -> Iterator[None]:
            try:
                yield
            except Problem as problem:  # the rest, and other connections, are shown all the same
                _logger.warning("Of the connection %s it was not found out %s: %s", linked.id, what, problem)
                unknown.append(f"It could not be found out {what}. {problem.what} {problem.next_step}".rstrip())

        hook, copied, damage = None, None, None
        rosters: Sequence[KeptRoster] = ()
        with finding_out("whether events of PingOne arrive"):
            hook = await self._hook(linked, inbox)
        if is_opened:
            with finding_out("how the local copy is"):
                try:
                    copied = await self._copy(linked, with_changes=hook is not None)
                except Problem as problem:
                    if problem.code != "REPLICA_DAMAGED":
                        raise
                    damage = problem.what
        with finding_out("whether user lists of applications could be read"):
            rosters = await self._rosters.listed(linked.id)
        return ConnectionFacts(linked=linked, copy=copied, damage=damage, unknown=unknown, hook=hook, rosters=rosters)

    async def _copy(self, linked: LinkedConnection, *, with_changes: bool) -> CopyFacts | None:
        """Return how the copy of a connection stands; None where there is none. Raises Problem."""
        if linked.is_paused:
            return None
        with working_for(linked.id):
            try:
                backend = await (await self._fleet.current(linked)).backend()
                found = await state_of_copy(backend)
                if found is None:
                    return None
                return CopyFacts(
                    synced_at=found.state.synced_at,
                    gaps=found.gaps,
                    names={place.id: place.name for place in found.places},
                    problem=found.state.problem,
                    changed_at=await _changed_at(backend) if with_changes else None,
                    held_since=await self._held_since(linked.id) if found.state.held else None,
                )
            except NoReplica:  # it is just being made
                return None

    async def _held_since(self, connection: str) -> datetime | None:
        """Return when the first sync ended that was held, of those since one was taken over; None: nobody wrote it."""
        since = None
        for run in await self._control.sync_runs.listed(connections=[connection], limit=_HELD_RUNS):
            if run.status == "completed":
                break
            if run.status == "held":
                since = run.ended_at
        return since

    async def _hook(self, linked: LinkedConnection, inbox: InboxState | None) -> HookFacts | None:
        """Return what is known of a hook; None where nothing ever came to it."""
        control = self._control
        last = await control.inbox.last_received_at(linked.id)
        refused = await control.hook_secrets.refused_deliveries(linked.id)
        if inbox is None and last is None and refused is None:
            return None
        state = inbox if inbox is not None else await control.inbox.state(linked.id)
        return HookFacts(inbox=state, last_received_at=last, refused=refused)

    async def _scheduled(self, caller: Caller, ids: Sequence[str]) -> Mapping[str, Sequence[ScheduleRecord]]:
        if not ids or caller.lacks({"directory.read", "directory.sync"}):
            return {}
        found: dict[str, list[ScheduleRecord]] = {}
        for one in await self._control.schedules.listed(connections=ids):
            found.setdefault(one.connection_id, []).append(one)
        return found

    async def _of_webhooks(self, caller: Caller, tenant_of: LinkedConnection | None, now: datetime) -> list[Matter]:
        """Return the matters of the caller's webhooks: who reaches single connections has none."""
        if caller.lacks({"events.manage"}) or caller.connections is not None:
            return []
        webhooks = await self._control.webhooks.listed(tenant=caller.tenant)
        if tenant_of is not None:
            webhooks = [one for one in webhooks if one.tenant in (None, tenant_of.tenant)]
        outbox = self._control.outbox
        given_up = {one.id: (await outbox.counts(one.id))["failed"] for one in webhooks if one.is_active}
        return matters_of_webhooks(webhooks, await outbox.failing([one.id for one in webhooks]), given_up, now)

    async def _of_keys(self, caller: Caller, reached: Sequence[LinkedConnection], now: datetime) -> list[Matter]:
        """Return the matters of keys that the caller may look after, each with the first connection that it reaches."""
        if caller.lacks({"connections.manage"}):
            return []
        found: list[Matter] = []
        for key in await self._keys.listed(caller):
            own = next((one for one in reached if reaches(key, one)), None)
            if own is not None:
                matter = matter_of_key(key, NamedConnection(id=own.id, name=own.name), now)
                found += [matter] if matter is not None else []
        return found


async def _changed_at(backend: Backend) -> datetime | None:
    """Return when the newest change of a copy was; None where there is none."""
    page = await backend.replica.newest_changes(ChangeQuestion(), 1)
    return next((change.at for change in page.items), None)
