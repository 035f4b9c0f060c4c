"""The part of the sandbox's back door that is about webhooks: who gets them, what waits, what was sent, sending now."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.errors import ApiError, Json
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.times import timestamp
from pingone_mcp.sandbox.webhooks.feeds import Feed, Feeds
from pingone_mcp.sandbox.webhooks.sender import Sender
from pingone_mcp.sandbox.webhooks.subscription import read_subscription

_TIMES = ("createdAt", "updatedAt")


def routes(sender: Sender, feeds: Feeds, state: EnvironmentState, options: Options) -> list[Route]:
    """Give the routes under `/sandbox/webhooks`, but for the plan of faults; who is added subscribes to `state`."""

    async def show(_request: Request) -> Response:
        waiting = [_shown(feed, sender.waiting(feed.subscription.id)) for feed in feeds]
        return JSONResponse({"subscriptions": waiting, "deliveries": [one.native() for one in sender.deliveries]})

    async def subscribe(request: Request) -> Response:
        try:
            body = _subscription(await request.json())
            made = read_subscription(state.new_id("subscription"), body, list(state.populations), options)
        except ApiError as problem:
            return JSONResponse(problem.body(""), problem.status)
        except (AttributeError, ValueError):
            return JSONResponse({"webhook": "not understood", "fields": ["url", "headers", "action_types"]}, 400)
        now = state.clock.tick()
        made = made.dated({"id": made.id, "environment": {"id": state.id}}, dict.fromkeys(_TIMES, timestamp(now)))
        feeds.of(state.id)[made.id] = Feed(made, state.id, read=len(state.events), resumed=now)
        return JSONResponse({"id": made.id, "url": made.url}, 201)

    async def forget(_request: Request) -> Response:
        sender.deliveries.clear()
        return Response(status_code=204)

    async def deliver(_request: Request) -> Response:
        return JSONResponse({"deliveries": [one.native() for one in await sender.deliver()]})

    return [
        Route("/sandbox/webhooks", show, methods=["GET"]),
        Route("/sandbox/webhooks", subscribe, methods=["POST"]),
        Route("/sandbox/webhooks", forget, methods=["DELETE"]),
        Route("/sandbox/webhooks/delivery", deliver, methods=["POST"]),
    ]


def _subscription(given: Json) -> Json:
    """Return the subscription that a person would enter, to be sent events of these types at a URL."""
    return {
        "name": "by hand",
        "enabled": True,
        "format": "ACTIVITY",
        "verifyTlsCertificates": True,
        "httpEndpoint": {"url": given.get("url"), "headers": given.get("headers")},
        "filterOptions": {"includedActionTypes": given.get("action_types")},
    }


def _shown(feed: Feed, waiting: int) -> dict[str, object]:
    head = feed.head
    return {
        "id": feed.subscription.id,
        "name": feed.subscription.name,
        "environment_id": feed.environment_id,
        "waiting": waiting,
        "attempts": head.attempts if head else 0,
        "next_try": timestamp(head.due) if head and head.attempts else None,
    }
