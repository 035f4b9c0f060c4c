"""What a client posts: one message of JSON-RPC, which can be refused before a session or a tool sees it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from mcp.types import jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.datastructures import Headers

from pingone_mcp.errors import Refused
from pingone_mcp.web.refusals import TurnedAway

_JSON = "application/json"
_READ = ("*/*", "application/*", _JSON)
_STREAMED = ("text/*", "text/event-stream")


def names_stream(headers: Headers) -> bool:
    """Say whether a client names streams of events as what it reads, and does not only take anything."""
    return not _accepted(headers).isdisjoint(_STREAMED)


def _accepted(headers: Headers) -> frozenset[str]:
    """Return the media types of the header Accept (RFC 9110 §12.5.1, without the weights), which may be in several."""
    given = ",".join(headers.getlist("accept")).lower().split(",")
    return frozenset(kind for one in given if (kind := one.partition(";")[0].strip())) or frozenset({"*/*"})


def posted_id(headers: Headers, message: Any) -> str | None:
    """Return the id of the request that a body is, as text; None for a notification or a response.

    Raises TurnedAway (406, 415, 400) for what is not one message of JSON-RPC 2.0, sent as MCP sends it.
    """
    if _accepted(headers).isdisjoint(_READ):
        raise _refused(HTTPStatus.NOT_ACCEPTABLE, "Every answer may be JSON.", "Accept application/json as well.")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise _refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is not sent as JSON.", f"Send it as {_JSON}.")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise _refused(HTTPStatus.BAD_REQUEST, "The body is not one message of JSON-RPC 2.0.", "Send one by itself.")
    identity = message.get("id")
    if "id" in message and not (isinstance(identity, str | int) and not isinstance(identity, bool)):
        raise _refused(HTTPStatus.BAD_REQUEST, "The id of the message is neither a text nor a whole number.")
    if "method" not in message:
        _check_response(message)
        return None
    if not isinstance(message["method"], str) or not isinstance(message.get("params"), dict | None):
        raise _refused(HTTPStatus.BAD_REQUEST, "`method` has to be a text, and `params` an object.")
    return str(identity) if "id" in message else None


def _check_response(message: Any) -> None:
    try:
        jsonrpc_message_adapter.validate_python(message, by_name=False)
    except ValidationError:
        what = "The message is neither a request nor a notification nor a response."
        raise _refused(HTTPStatus.BAD_REQUEST, what) from None


def id_in_use() -> TurnedAway:
    """Return the refusal of a request whose id another one has that is still being answered in its session."""
    what = "A request with this id is being answered in this session."
    return _refused(HTTPStatus.BAD_REQUEST, what, "Give every request an id of its own.")


def _refused(status: HTTPStatus, what: str, next_step: str = "") -> TurnedAway:
    return TurnedAway(status, Refused(what, next_step, code="NO_MESSAGE"))
