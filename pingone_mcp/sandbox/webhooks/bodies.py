"""The body of a delivery: events in the format that was asked for, or bent by a fault."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pingone_mcp.sandbox.activities import Activity
from pingone_mcp.sandbox.company.ids import stable_id
from pingone_mcp.sandbox.errors import Json
from pingone_mcp.sandbox.hal import written
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.webhooks.faults import DeliveryFault, DeliveryFaultKind
from pingone_mcp.sandbox.webhooks.subscription import Payload

_MIB = 1024 * 1024
_SHORT = ("id", "recordedAt", "source", "actors", "action", "resources", "result")
UNKNOWN_ACTION = "USER.TELEPORTED"


def event_written(event: Activity, base: str, environment_id: str, payload: Payload, options: Options) -> Json:
    """Write an event as a subscription gets it; `base` is the address of the environments."""
    body = event.native(base, environment_id)
    source = {name: value for name, value in body.pop("source", {}).items() if name in payload.exposed}
    if source:
        body["source"] = source
    if options.webhook_events == "short":
        kept = {name: body[name] for name in _SHORT if name in body}
        kept["action"] = {"type": body["action"]["type"]}
        kept["_embedded"] = body.get("_embedded", {})
        body = dict(sorted(kept.items()))
    return body


def bent(events: list[Json], faults: Sequence[DeliveryFault], key: bytes) -> list[Json]:
    """Return what faults make of the events of a batch; what they add has the same id each time."""
    for fault in faults:
        match fault.kind:
            case "repeated_event":
                events = [*events, events[-1]]
            case "unknown_action" | "event_of_nobody" | "foreign_environment":
                events = [*events, _stray(events[-1], fault.kind, key)]
            case "without_modified_attributes":
                events = [{name: value for name, value in one.items() if name != "_embedded"} for one in events]
            case "empty_embedded":
                events = [one | {"_embedded": {}} for one in events]
    return events


def _stray(model: Json, kind: DeliveryFaultKind, key: bytes) -> Json:
    """Make an event after the model of another that nobody expects."""
    event = model | {"id": stable_id(key, kind, model["id"]), "_embedded": {}}
    if kind == "unknown_action":
        return event | {"action": {"type": UNKNOWN_ACTION}}
    resource = dict(model["resources"][0])
    here, there = resource["environment"]["id"], stable_id(key, "another environment")
    if kind == "foreign_environment":
        resource |= {"environment": {"id": there}, "href": resource["href"].replace(here, there)}
    else:
        nobody = stable_id(key, "nobody", model["id"])
        root = resource["href"].partition(f"/{here}/")[0]
        resource |= {"type": "USER", "id": nobody, "name": "nobody", "href": f"{root}/{here}/users/{nobody}"}
    return event | {"action": {"type": "USER.UPDATED"}, "resources": [resource]}


def body_of(events: list[Json], payload: Payload, options: Options, faults: Sequence[DeliveryFault]) -> bytes:
    """Write the body of a delivery."""
    kinds: Collection[DeliveryFaultKind] = {fault.kind for fault in faults}
    member = {"SPLUNK": options.splunk_member, "NEWRELIC": options.newrelic_member}.get(payload.format)
    rows = [{member: one} for one in events] if member else events
    if "single_object" in kinds:
        body = written(rows[0], pretty=False)
    elif payload.lines or "nd_json" in kinds:
        body = b"".join(written(row, pretty=False) + b"\n" for row in rows)
    else:
        body = written(rows, pretty=payload.pretty)
    for fault in faults:
        if fault.kind == "large_body":
            body = _padded(body, fault.amount * _MIB)
    return body[: len(body) // 2] if "cut_body" in kinds else body


def _padded(body: bytes, size: int) -> bytes:
    """Make a body as large as asked for with blanks, which mean nothing in JSON."""
    return b" " * max(0, size - len(body)) + body
