"""Answers that refuse a request: one shape of error for the whole HTTP face, and around it that of JSON-RPC on MCP."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from mcp.types import INVALID_REQUEST
from starlette.responses import Response

from pingone_mcp.advice import spelled
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import compact
from pingone_mcp.errors import NoSuchConnection, Problem, Refused


class TurnedAway(Exception):
    """A request that is answered at the gate: with this status, these sentences and these headers."""

    def __init__(self, status: HTTPStatus, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.what)
        self.status, self.problem, self.headers = status, problem, dict(headers or {})

    def response(self, correlation_id: str, *, as_json_rpc: bool = False) -> Response:
        """Return the answer. As JSON-RPC (§5.1) its sentences reach the person at a client of MCP."""
        body = error_body(self.status, self.problem, correlation_id)
        content = compact(_as_json_rpc(self.problem, body) if as_json_rpc else body)
        return Response(content, self.status, {"Cache-Control": "no-store", **self.headers}, "application/json")


def no_such_connection() -> TurnedAway:
    """Return the answer about a connection that does not exist, or is none of the caller's: it is the same."""
    return TurnedAway(HTTPStatus.NOT_FOUND, NoSuchConnection())


def not_for_account_tokens() -> Refused:
    """Return why the token of one connection opens nothing but the operations of REST about that connection."""
    return Refused(
        "The token of one connection is good for /unified, /proxy, /roster, /role-rules and /integrated-account/me.",
        "Use an API key or an access token.",
        code="ACCOUNT_TOKEN",
    )


def _as_json_rpc(problem: Problem, body: JsonObject) -> JsonObject:
    """Return an error of JSON-RPC with the members of ours in `data`; whose request it was, was not looked at."""
    error = {"code": INVALID_REQUEST, "message": spelled(str(problem)), "data": body}
    return {"jsonrpc": "2.0", "id": None, "error": error}


def error_body(status: HTTPStatus, problem: Problem, correlation_id: str) -> JsonObject:
    """Return the members of an error: the status, its phrase, what went wrong, and what to do next.

    `correlation_id` is that of our own answer, by which it is found in our log.
    """
    body: JsonObject = {"statusCode": status.value, "error": status.phrase, "message": spelled(problem.what)}
    if problem.next_step:
        body["next_step"] = spelled(problem.next_step)
    if problem.code:
        body["code"] = problem.code
    return body | {"correlation_id": correlation_id}
