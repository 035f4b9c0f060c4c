"""Bodies of requests: JSON, and what an operation takes of it, as a model that also describes it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from pingone_mcp.errors import Refused
from pingone_mcp.service.callers import Permission
from pingone_mcp.web.rest.failures import NO_JSON, WrongContent
from pingone_mcp.web.rest.query import shown

_MOST_FINDINGS = 10
_JSON_TYPES = ("/json", "+json")
TEXT = "text/plain"
"""What `fetch` calls a string that it sends, and so an SDK its JSON. No page of another origin gains by it: who comes
with a cookie is asked for the origin (gate.py)."""


class GivenBody(BaseModel):
    """What an operation takes in its body: nothing else, and each value as its type says. Values are never shown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    def needs(self) -> Collection[Permission]:
        """Return the permissions that these values need beyond that of their operation."""
        return ()


C = TypeVar("C", bound=GivenBody)


async def json_of(request: Request, absent: Any = None) -> Any:
    """Return the JSON of a body; `absent` where there is no body. Raises Refused for what is no JSON (RFC 8259)."""
    raw = await request.body()
    if not raw.strip():
        return absent
    kind = media_type(request, "application/json")
    if not kind.endswith(_JSON_TYPES) and kind != TEXT:
        raise Refused("The body is not called JSON.", "Send it with Content-Type: application/json.", code=NO_JSON)
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise Refused("The body is no JSON in UTF-8.", "Mend that, and send it again.", code="WRONG_BODY") from None
    return value


async def file_of(request: Request, kinds: Sequence[str]) -> tuple[str, bytes]:
    """Return the media type of a body, which is one of these, and its bytes as they came. Raises Refused."""
    kind = media_type(request)
    if kind not in kinds:
        raise Refused(
            "The body is not called what is taken here.",
            f"Send it with Content-Type: {' or '.join(kinds)}.",
            code=NO_JSON,
        )
    return kind, await request.body()


def media_type(request: Request, absent: str = "") -> str:
    """Return what a body is called, without parameters."""
    return request.headers.get("content-type", absent).partition(";")[0].strip().lower()


def read_content(kind: type[C], value: Any) -> C:
    """Return the body of an operation. Raises WrongContent."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
        findings = [f"{_place(item['loc'])}: {_what(item)}." for item in wrong[:_MOST_FINDINGS]]
    raise WrongContent(tuple(findings))


def _place(loc: tuple[int | str, ...]) -> str:
    return f"`{shown('.'.join(map(str, loc)))}`" if loc else "The whole"


def _what(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such member here"
    return str(item["msg"]).rstrip(".")


def _refuse(_: str) -> None:
    """Take no NaN and no Infinity: they are no JSON."""
    raise ValueError
