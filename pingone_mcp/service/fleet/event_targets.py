"""Where a caller wants events sent: public addresses of its programs, and which events each gets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.errors import NotFound, Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.service.fleet.cursors import ListAsked, ListCursors, Paged

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.outbox import EventState
    from pingone_mcp.control.webhooks import Webhook
    from pingone_mcp.service.callers import Caller

TEST_EVENT = "test"
_KINDS = {
    "integrated_account": "created updated active reactivated authentication_error post_install_error validation_error "
    "post_connect_form_submitted deleted",
    "sync_job_run": "created updated started record completed failed held deleted",
    "record": "created updated deleted",
    "directory": "held",
    "drift": "new",
    # What other servers of this contract send, and this one never does: programs ask for it all the same.
    "sync_job_cron_trigger": "failed",
    "batch_job": "completed failed dry_run_completed dry_run_failed",
    "environment_integration": "created updated deleted",
    "api_token": "created deleted",
}
EVENT_TYPES: tuple[str, ...] = (
    *(f"{kind}:{event}" for kind, events in _KINDS.items() for event in (*events.split(), "*")),
    TEST_EVENT,
)
"""What a webhook may want; an asterisk stands for all of its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChange:
    """What is changed of a webhook; None leaves it as it is."""

    target_url: str | None = None
    event_types: Collection[str] | None = None
    is_active: bool | None = None


class EventTargets:
    """The webhooks that a caller has: those of its tenant, or, where it reaches all connections, all.

    Whoever reaches single connections has none, because a webhook gets the events of a whole tenant. `may_send`
    says where events may be sent; what a name leads to is looked at when one is.
    """

    def __init__(self, control: ControlData, may_send: Callable[[str], bool]) -> None:
        self._may_send = may_send
        self._webhooks, self._outbox = control.webhooks, control.outbox
        self._cursors = ListCursors(control.derive("cursors of lists"), "webhooks")

    async def listed(self, asked: ListAsked) -> Paged[Webhook]:
        """Return the webhooks of a caller, the oldest first. Raises Refused."""
        _check_caller(asked.caller)
        after = self._cursors.after(asked)
        found = await self._webhooks.listed(tenant=asked.caller.tenant)
        found = [one for one in found if after is None or _place(one) > after]
        page, more = found[: asked.limit], len(found) > asked.limit
        return Paged(items=page, next_cursor=self._cursors.behind(asked, _place(page[-1])) if more else None)

    async def find(self, caller: Caller, webhook: str) -> Webhook:
        """Return a webhook. Raises NotFound, also for one of another tenant, and Refused."""
        _check_caller(caller)
        found = await self._webhooks.get(webhook)
        if found is None or caller.tenant not in (None, found.tenant):
            raise NotFound("There is no such webhook.", "List those that there are.", code="NO_WEBHOOK")
        return found

    async def create(
        self, caller: Caller, target_url: str, event_types: Collection[str] = (), *, is_active: bool = True
    ) -> tuple[Webhook, SecretStr]:
        """Add a webhook for the events of the caller's tenant; return it with the secret, which is shown this once.

        Raises Refused for an address that is not public, and for events that there are not.
        """
        _check_caller(caller)
        self._check_target(target_url)
        _check_events(event_types)
        return await self._webhooks.create(
            target_url=target_url, event_types=event_types, tenant=caller.tenant, is_active=is_active
        )

    async def change(self, caller: Caller, webhook: str, change: TargetChange) -> Webhook:
        """Change a webhook. Raises as `find` and `create` do."""
        found = await self.find(caller, webhook)
        if change.target_url is not None:
            self._check_target(change.target_url)
        _check_events(change.event_types or ())
        changed = await self._webhooks.update(
            found.id, target_url=change.target_url, event_types=change.event_types, is_active=change.is_active
        )
        return changed or await self.find(caller, webhook)

    async def remove(self, caller: Caller, webhook: str) -> None:
        """Remove a webhook, its secret and what was to be sent to it. Raises as `find` does."""
        found = await self.find(caller, webhook)
        await self._webhooks.remove(found.id)

    async def test(self, caller: Caller, webhook: str) -> str:
        """Put an event for a webhook among those to be sent, whatever it wants; return its id. Raises Refused too."""
        found = await self.find(caller, webhook)
        if not found.is_active:
            raise Refused(
                "This webhook is switched off, so nothing is sent to it.",
                "Switch it on (`is_active`), and test it then.",
                code="WEBHOOK_OFF",
            )
        return await self._outbox.add_for(found.id, TEST_EVENT, {"foo": "bar"}, connection_id="")

    async def counts(self, caller: Caller, webhook: str) -> Mapping[EventState, int]:
        """Count the events of a webhook by what became of them. Raises as `find` does."""
        return await self._outbox.counts((await self.find(caller, webhook)).id)

    async def resend_failed(self, caller: Caller, webhook: str) -> int:
        """Let all events of a webhook that were given up be sent again; return how many. Raises Refused too."""
        found = await self.find(caller, webhook)
        if not found.is_active:
            raise Refused(
                "This webhook is switched off, so nothing is sent to it.",
                "Switch it on (`is_active`), and send again then.",
                code="WEBHOOK_OFF",
            )
        return await self._outbox.resend_failed(webhook_id=found.id)

    def _check_target(self, url: str) -> None:
        if not self._may_send(url):
            raise Refused(
                "`target_url` is no https URL of a public host: it is written otherwise, or leads to this machine or a "
                "private network.",
                "Give one such as https://example.com/hooks, without user name and fragment.",
                code="TARGET_REFUSED",
            )


def _check_caller(caller: Caller) -> None:
    if caller.connections is not None:
        raise Refused(
            "This credential is one of single connections, and webhooks get the events of a whole tenant.",
            "Use one of the tenant, or of all connections.",
            code="CREDENTIAL_TOO_NARROW",
        )


def _check_events(event_types: Collection[str]) -> None:
    for event in event_types:
        if event not in EVENT_TYPES:
            raise Refused(
                f"`event_types` has one that there is not. {did_you_mean(event, EVENT_TYPES)}".rstrip(),
                f"There are: {', '.join(EVENT_TYPES)}.",
                code="NO_SUCH_EVENT",
            )


def _place(webhook: Webhook) -> str:
    return f"{webhook.created_at.isoformat(timespec='microseconds')} {webhook.id}"
