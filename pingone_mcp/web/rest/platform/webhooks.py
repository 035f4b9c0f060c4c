"""`/webhook`: where events are sent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pingone_mcp.control.announcing.rows import INSTALLATION
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.fleet.event_targets import EVENT_TYPES, EventTargets, TargetChange
from pingone_mcp.settings.targets import LONGEST_URL
from pingone_mcp.web.rest.content import GivenBody
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.platform.lists import (
    DONE,
    PAGES,
    REMOVED,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    YES_NO,
    described,
    list_asked,
    platform_list,
    platform_listed,
)

if TYPE_CHECKING:
    from pingone_mcp.control.webhooks import Webhook

Target = Annotated[
    str,
    Field(max_length=LONGEST_URL, description="An https URL of a public host.", examples=["https://example.com/hooks"]),
]
EventTypes = Annotated[
    list[str],
    Field(max_length=len(EVENT_TYPES), description=f"What is sent; none: all. There are: {', '.join(EVENT_TYPES)}."),
]


class NewWebhook(GivenBody):
    """A target of events."""

    target_url: Target
    event_types: EventTypes | None = None
    is_active: bool = True


class ChangedWebhook(GivenBody):
    """What is changed of a webhook; what is not named stays."""

    target_url: Target | None = None
    event_types: EventTypes | None = None
    is_active: bool | None = None


class TestedWebhook(GivenBody):
    """Which webhook gets an event to try it."""

    id: str


_MEMBERS: dict[str, JsonObject] = {
    "id": TEXT,
    "tenant_id": TEXT_OR_NULL,
    "environment_id": TEXT,
    "target_url": TEXT,
    "event_types": {"type": "array", "items": TEXT},
    "is_active": YES_NO,
    "reason": TEXT_OR_NULL,
    "created_at": TIME,
    "updated_at": TIME,
}
WEBHOOK = described(_MEMBERS)


def shown_webhook(webhook: Webhook) -> JsonObject:
    """Return a webhook as a row, without its secret."""
    return {
        "id": webhook.id,
        "tenant_id": webhook.tenant,
        "environment_id": INSTALLATION,
        "target_url": webhook.target_url,
        "event_types": list(webhook.event_types),
        "is_active": webhook.is_active,
        "reason": webhook.reason,
        "created_at": timestamp(webhook.created_at),
        "updated_at": timestamp(webhook.updated_at),
    }


class WebhookHandlers:
    """What answers, over the use cases."""

    def __init__(self, targets: EventTargets) -> None:
        self._targets = targets

    async def list(self, asking: Asking) -> RestAnswer:
        return platform_list(asking, await self._targets.listed(list_asked(asking)), shown_webhook)

    async def get(self, asking: Asking) -> RestAnswer:
        return RestAnswer(body=shown_webhook(await self._targets.find(asking.caller, asking.path["id"])))

    async def create(self, asking: Asking) -> RestAnswer:
        new = asking.given(NewWebhook)
        webhook, secret = await self._targets.create(
            asking.caller, new.target_url, tuple(new.event_types or ()), is_active=new.is_active
        )
        return RestAnswer(body={**shown_webhook(webhook), "secret": secret.get_secret_value()})

    async def change(self, asking: Asking) -> RestAnswer:
        given = asking.given(ChangedWebhook)
        change = TargetChange(target_url=given.target_url, event_types=given.event_types, is_active=given.is_active)
        return RestAnswer(body=shown_webhook(await self._targets.change(asking.caller, asking.path["id"], change)))

    async def remove(self, asking: Asking) -> RestAnswer:
        await self._targets.remove(asking.caller, asking.path["id"])
        return RestAnswer(body={"id": asking.path["id"]})

    async def test(self, asking: Asking) -> RestAnswer:
        await self._targets.test(asking.caller, asking.given(TestedWebhook).id)
        return RestAnswer(body={"success": True})


def webhook_operations(targets: EventTargets) -> tuple[RestOperation, ...]:
    """Return the operations of webhooks."""
    does = WebhookHandlers(targets)
    about = {"id": "The id of the webhook."}
    operation = partial(RestOperation, tag="webhooks", of_connection=False, permission="events.manage")
    return (
        operation(
            name="listWebhooks",
            path="/webhook",
            summary="List where events are sent, the oldest first.",
            parameters=PAGES,
            answer=does.list,
            answers=platform_listed(WEBHOOK),
        ),
        operation(
            name="createWebhook",
            method="POST",
            path="/webhook",
            summary="Have events sent to an address. The secret that signs them is shown this once.",
            takes=NewWebhook,
            answer=does.create,
            answers=described({**_MEMBERS, "secret": TEXT}),
        ),
        operation(
            name="testWebhook",
            method="POST",
            path="/webhook/test",
            summary="Send the event `test` to a webhook, as soon as its turn comes.",
            takes=TestedWebhook,
            answer=does.test,
            answers=DONE,
        ),
        operation(
            name="getWebhook",
            path="/webhook/{id}",
            summary="Get one webhook.",
            about_path=about,
            answer=does.get,
            answers=WEBHOOK,
        ),
        operation(
            name="updateWebhook",
            method="PATCH",
            path="/webhook/{id}",
            summary="Change a webhook, or switch it off or on.",
            about_path=about,
            takes=ChangedWebhook,
            answer=does.change,
            answers=WEBHOOK,
        ),
        operation(
            name="deleteWebhook",
            method="DELETE",
            path="/webhook/{id}",
            summary="Remove a webhook, its secret and what was to be sent to it.",
            about_path=about,
            answer=does.remove,
            answers=REMOVED,
        ),
    )
