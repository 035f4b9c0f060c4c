"""The endpoints under `/environments/{environment}/subscriptions`: who is sent which events."""

from __future__ import annotations

from pingone_mcp.sandbox.company.people import value_at
from pingone_mcp.sandbox.endpoints.calls import Call, Endpoint
from pingone_mcp.sandbox.errors import NO_ACCESS, ApiError, Json, detail, not_found
from pingone_mcp.sandbox.hal import Reply, href
from pingone_mcp.sandbox.times import timestamp
from pingone_mcp.sandbox.webhooks.feeds import Feed
from pingone_mcp.sandbox.webhooks.subscription import MOST_SUBSCRIPTIONS, Subscription, read_subscription, shown


def _body(call: Call, subscription: Subscription) -> Json:
    address = f"{call.home}/subscriptions/{subscription.id}"
    links = {"self": href(address), "environment": href(call.home)}
    return {"_links": links} | shown(subscription.native, call.options)


def _feeds(call: Call) -> dict[str, Feed]:
    return call.world.feeds.of(call.state.id)


def _find(call: Call) -> Feed:
    feed = _feeds(call).get(call.named("subscription"))
    if feed is None:
        raise not_found()
    return feed


def _written(call: Call, subscription_id: str, created: str, now: str) -> Subscription:
    read = read_subscription(subscription_id, call.body(), list(call.state.populations), call.options)
    head = {"id": subscription_id, "environment": {"id": call.state.id}}
    return read.dated(head, {"createdAt": created, "updatedAt": now})


def _record(call: Call, subscription: Subscription, done: str) -> None:
    resource = (subscription.id, subscription.name, f"subscriptions/{subscription.id}")
    call.record(f"SUBSCRIPTION.{done.upper()}", f"{done} Subscription", resource)


def list_subscriptions(call: Call) -> Reply:
    """List the subscriptions, oldest first."""
    rows = [(at, _body(call, feed.subscription)) for at, feed in enumerate(_feeds(call).values())]
    return call.listed("subscriptions", rows, value_of=value_at)


def create_subscription(call: Call) -> Reply:
    """Add a subscription; it is sent what happens from now on."""
    if len(_feeds(call)) >= MOST_SUBSCRIPTIONS:
        message = f"An environment has {MOST_SUBSCRIPTIONS} subscriptions at most."
        raise ApiError(403, "ACCESS_FAILED", NO_ACCESS, detail("LICENSE_EXCEEDED", message))
    now = call.world.clock.tick()
    made = _written(call, call.state.new_id("subscription"), timestamp(now), timestamp(now))
    _record(call, made, "Created")
    _feeds(call)[made.id] = Feed(made, call.state.id, read=len(call.state.events), resumed=now)
    return Reply(201, _body(call, made), location=f"{call.home}/subscriptions/{made.id}")


def read_subscription_alone(call: Call) -> Reply:
    """Give one subscription."""
    return Reply(200, _body(call, _find(call).subscription))


def replace_subscription(call: Call) -> Reply:
    """Replace a subscription. What waits goes on waiting, to be sent to the new target; what piled up is sent."""
    feed = _find(call)
    now = call.world.clock.tick()
    changed = _written(call, feed.subscription.id, feed.subscription.native["createdAt"], timestamp(now))
    feed.collect(call.state.events, now, call.options)  # what has happened is matched as it was then
    feed.change(changed, now)
    _record(call, changed, "Updated")
    call.state.recorded()
    return Reply(200, _body(call, changed))


def delete_subscription(call: Call) -> Reply:
    """Remove a subscription, and what waits for it."""
    gone = _find(call).subscription
    del _feeds(call)[gone.id]
    _record(call, gone, "Deleted")
    return Reply(204)


_SUBSCRIPTIONS = "/v1/environments/{environment}/subscriptions"
_SUBSCRIPTION = f"{_SUBSCRIPTIONS}/{{subscription}}"
ENDPOINTS = (
    Endpoint("GET", _SUBSCRIPTIONS, "read subscriptions", list_subscriptions),
    Endpoint("POST", _SUBSCRIPTIONS, "manage subscriptions", create_subscription),
    Endpoint("GET", _SUBSCRIPTION, "read subscriptions", read_subscription_alone),
    Endpoint("PUT", _SUBSCRIPTION, "manage subscriptions", replace_subscription),
    Endpoint("DELETE", _SUBSCRIPTION, "manage subscriptions", delete_subscription),
)
