"""What a person does who runs connections for others: link and look after them, and give callers their keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, get_args

from pingone_mcp.errors import NotFound, Problem, Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.service.callers import Permission
from pingone_mcp.service.fleet.hook_form import HookForm, HookPlace, hook_form
from pingone_mcp.service.fleet.linking import check_label
from pingone_mcp.service.fleet.outcomes import note_outcome

if TYPE_CHECKING:
    from pingone_mcp.control.api_keys import ApiKey, NewApiKey
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.inbox import InboxState
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.outbox import EventRecord, EventState
    from pingone_mcp.control.receiving.hook_secrets import RefusedDeliveries
    from pingone_mcp.control.webhooks import Webhook
    from pingone_mcp.service.checks import Heard, Step
    from pingone_mcp.service.fleet.linking import Linking
    from pingone_mcp.service.fleet.subscribing.making import HookPlan
    from pingone_mcp.service.fleet.subscribing.subscribing import HookSubscribing
    from pingone_mcp.service.syncing import SyncReport

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A key that is to be made. `connections` are ids or names; none of them and no tenant: all connections."""

    name: str
    connections: Sequence[str] = ()
    tenant: str | None = None
    permissions: Collection[str] = ("directory.read",)
    expires: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookState:
    """What waits of what came to a hook, what lies aside, and when the last event came.

    `refused` are the deliveries that showed another secret lately.
    """

    inbox: InboxState
    last_received_at: datetime | None
    refused: RefusedDeliveries | None


class FleetAdministration:
    """The use cases of one set of control data."""

    def __init__(
        self,
        control: ControlData,
        linking: Linking,
        hooks: HookPlace | None = None,
        subscribing: HookSubscribing | None = None,
    ) -> None:
        self._control = control
        self._hooks = hooks or HookPlace()
        self._subscribing = subscribing
        self.linking = linking

    async def connections(self) -> list[LinkedConnection]:
        """Return all connections, the oldest first."""
        return await self._control.connections.listed()

    async def find(self, reference: str) -> LinkedConnection:
        """Return the connection of an id or a name. Raises Refused with what there is."""
        if (found := await self._control.connections.get(reference)) is not None:
            return found
        match await self._control.connections.by_name(reference):
            case [only]:
                return only
            case []:
                names = [linked.name for linked in await self.connections()]
                hint = did_you_mean(reference, names)
                raise Refused(
                    f"There is no connection of this name or id. {hint}".rstrip(),
                    "`pingone-mcp connections list` shows those that there are.",
                    code="NO_CONNECTION",
                )
            case several:
                ids = ", ".join(f"{linked.id} ({linked.tenant or 'no tenant'})" for linked in several)
                raise Refused(
                    f"{len(several)} connections have this name.",
                    f"Name one by its id: {ids}.",
                    code="WHICH_CONNECTION",
                )

    async def check(self, linked: LinkedConnection, heard: Heard) -> None:
        """Check a connection, as `linking.check` does, and where it works its hook. Raises NoSuchConnection."""
        works = True

        def hear(step: Step) -> None:
            nonlocal works
            works = works and (step.ok or not step.needed)
            heard(step)

        await self.linking.check(linked.id, hear)
        if works:
            await self.check_hook(linked, heard)

    async def check_hook(self, linked: LinkedConnection, heard: Heard) -> None:
        """Compare what the provider was asked to send to the hook of a connection, where one is expected."""
        if self._subscribing is not None:
            await self._subscribing.check(linked, heard)

    async def note_sync(self, reference: str, outcome: SyncReport | Problem, ended_at: datetime) -> None:
        """Note what came of a sync that was run at the shell, as of one of a process that serves. Raises Refused."""
        linked = await self.find(reference)
        await note_outcome(self._control.connections, linked, outcome, ended_at)

    async def create_key(self, request: KeyRequest) -> NewApiKey:
        """Make a key for what is asked. Raises Refused for what is no name, no permission, or no connection."""
        check_label(request.name, "The name of a key")
        if request.tenant is not None:
            check_label(request.tenant, "The name of a customer")
        for permission in request.permissions:
            if permission not in PERMISSIONS:
                raise Refused(
                    f"There is no such scope. {did_you_mean(permission, PERMISSIONS)}".rstrip(),
                    f"There are: {', '.join(PERMISSIONS)}.",
                    code="NO_SUCH_SCOPE",
                )
        reached = [(await self.find(reference)).id for reference in request.connections]
        return await self._control.api_keys.create(
            name=request.name,
            permissions=request.permissions,
            connections=reached or None,
            tenant=request.tenant,
            expires_at=self.now() + request.expires if request.expires is not None else None,
        )

    async def keys(self) -> list[ApiKey]:
        """Return all keys, the oldest first; nobody can show their texts again."""
        return await self._control.api_keys.listed()

    async def revoke_key(self, key: str) -> None:
        """Let the key of an id be valid no more. Raises NotFound."""
        if not await self._control.api_keys.revoke(key):
            raise NotFound("There is no key of this id.", "`pingone-mcp keys list` shows them.", code="NO_KEY")

    async def events(
        self, *, state: EventState | None = None, webhook: str | None = None, limit: int = 100
    ) -> list[EventRecord]:
        """Return the events that were to be sent lately, the newest first. Raises NotFound for no webhook."""
        await self._check_webhook(webhook)
        return await self._control.outbox.listed(state=state, webhook_id=webhook, limit=limit)

    async def webhooks(self) -> list[Webhook]:
        """Return where events are sent, the oldest first."""
        return await self._control.webhooks.listed()

    async def hook(self, linked: LinkedConnection, *, rotate: bool = False) -> HookForm:
        """Return what is entered at the provider of a connection, so that it sends its events.

        Its secret is made when it is first asked for. `rotate` makes another one; the one before holds for a day.
        """
        return await hook_form(self._control, self._hooks, linked.id, rotate=rotate)

    def planned_hook(self, linked: LinkedConnection) -> AbstractAsyncContextManager[HookPlan]:
        """Give what is to be entered at the provider for a connection (`HookSubscribing.planned`)."""
        if self._subscribing is None:
            raise Refused("Nothing can be entered at the provider from here.", code="NO_SUBSCRIPTIONS")
        return self._subscribing.planned(linked)

    async def hook_state(self, linked: LinkedConnection) -> HookState | None:
        """Return what is known of the hook of a connection; None where none was set up, and nothing came."""
        control = self._control
        last, secret = await control.inbox.last_received_at(linked.id), await control.hook_secrets.known(linked.id)
        if last is None and secret is None:
            return None
        refused = await control.hook_secrets.refused_deliveries(linked.id)
        if refused is not None and self.now() - refused.last >= control.inbox.kept:
            refused = None
        return HookState(inbox=await control.inbox.state(linked.id), last_received_at=last, refused=refused)

    async def resend(self, event: str) -> EventRecord:
        """Let an event be sent again, under its id, whatever became of it. Raises NotFound, and Refused."""
        control = self._control
        found = await control.outbox.get(event)
        webhook = await control.webhooks.get(found.webhook_id) if found is not None else None
        if found is None or webhook is None:
            raise NotFound("There is no event of this id.", "`pingone-mcp events list` shows them.", code="NO_EVENT")
        if not webhook.is_active:
            raise Refused(
                f"The webhook of this event, {webhook.id}, is switched off.",
                "Switch it on with PATCH /webhook/{id} and `is_active`, then send it again.",
                code="WEBHOOK_OFF",
            )
        await control.outbox.resend(event)
        return await control.outbox.get(event) or found

    async def resend_since(self, since: datetime, *, webhook: str | None = None) -> int:
        """Let all events since a time be sent again, in their order, under their ids; return how many those are.

        Those of webhooks that are switched off stay where they are. Raises NotFound for a webhook that there is not.
        """
        await self._check_webhook(webhook)
        return await self._control.outbox.resend_since(since, webhook_id=webhook)

    async def resend_failed(self, *, webhook: str | None = None) -> int:
        """Let all events that were given up be sent again, as `resend_since` does. Raises NotFound as there."""
        await self._check_webhook(webhook)
        return await self._control.outbox.resend_failed(webhook_id=webhook)

    async def _check_webhook(self, webhook: str | None) -> None:
        if webhook is not None and await self._control.webhooks.get(webhook) is None:
            raise NotFound("There is no webhook of this id.", "GET /webhook lists them.", code="NO_WEBHOOK")

    async def rotate_keys(self, *, forget_old: bool = False) -> int:
        """Seal by a new key of the key ring from now on, everything that is sealed already too; return how many."""
        return await self._control.rotate_keys(forget_old=forget_old)

    def now(self) -> datetime:
        """Return the time by which control data are dated."""
        return self._control.clock.now()
