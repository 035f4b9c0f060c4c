"""The part of the sandbox's back door that is about webhooks: what waits, what was sent, and sending it now."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pingone_mcp.sandbox.times import timestamp
from pingone_mcp.sandbox.webhooks.feeds import Feed, Feeds
from pingone_mcp.sandbox.webhooks.sender import Sender


def routes(sender: Sender, feeds: Feeds) -> list[Route]:
    """Give the routes under `/sandbox/webhooks`, but for the plan of faults."""

    async def show(_request: Request) -> Response:
        waiting = [_shown(feed, sender.waiting(feed.subscription.id)) for feed in feeds]
        return JSONResponse({"subscriptions": waiting, "deliveries": [one.native() for one in sender.deliveries]})

    async def forget(_request: Request) -> Response:
        sender.deliveries.clear()
        return Response(status_code=204)

    async def deliver(_request: Request) -> Response:
        return JSONResponse({"deliveries": [one.native() for one in await sender.deliver()]})

    return [
        Route("/sandbox/webhooks", show, methods=["GET"]),
        Route("/sandbox/webhooks", forget, methods=["DELETE"]),
        Route("/sandbox/webhooks/delivery", deliver, methods=["POST"]),
    ]


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
