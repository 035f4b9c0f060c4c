"""Lists of the platform: their switches and their envelope, which is not that of the directory's lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.service.fleet.cursors import ListAsked, Paged
from pingone_mcp.web.rest.operation import Asking, RestAnswer
from pingone_mcp.web.rest.parameters import Parameter

Thing = TypeVar("Thing")

MOST = 5_000
PAGES = (
    Parameter(name="limit", kind="integer", about="How many at most.", least=1, most=MOST, default=MOST),
    Parameter(name="next_cursor", about="Where to go on: `next_cursor` of the answer before; empty is absent."),
)


def list_asked(asking: Asking, chosen: Mapping[str, str | None] | None = None) -> ListAsked:
    """Return what a list is asked, narrowed by what is `chosen`."""
    query = asking.query
    return ListAsked(
        caller=asking.caller, limit=query.integers["limit"], cursor=query.texts.get("next_cursor"), chosen=chosen
    )


def platform_list(asking: Asking, found: Paged[Thing], show: Callable[[Thing], JsonObject]) -> RestAnswer:
    """Return the answer of a list."""
    return RestAnswer(
        body={
            "result": [show(one) for one in found.items],
            "next_cursor": found.next_cursor,
            "limit": asking.query.integers["limit"],
        }
    )


def platform_listed(row: JsonObject) -> JsonObject:
    """Return the schema of a list of rows."""
    return {
        "type": "object",
        "properties": {
            "result": {"type": "array", "items": row},
            "next_cursor": {"type": ["string", "null"], "minLength": 1},
            "limit": {"type": "integer"},
        },
        "required": ["result", "next_cursor", "limit"],
        "additionalProperties": False,
    }


def described(properties: Mapping[str, JsonObject]) -> JsonObject:
    """Return the schema of an object that has all of these members, and no other."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT: JsonObject = {"type": "string"}
TEXT_OR_NULL: JsonObject = {"type": ["string", "null"]}
TIME: JsonObject = {"type": "string", "format": "date-time"}
TIME_OR_NULL: JsonObject = {"type": ["string", "null"], "format": "date-time"}
YES_NO: JsonObject = {"type": "boolean"}
DONE: JsonObject = described({"success": {"const": True}})
REMOVED: JsonObject = described({"id": TEXT})
