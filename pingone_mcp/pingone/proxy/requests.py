"""What a request to PingOne's own API carries: path and query, a body as JSON, and what a person may see of it."""

from __future__ import annotations

import json
import re
from typing import Any, TypedDict
from urllib.parse import parse_qsl

from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.directory.text import json_text
from pingone_mcp.errors import Refused
from pingone_mcp.pingone.api.client import path_with
from pingone_mcp.pingone.proxy.paths import LONGEST

# JSON where it can be had; the few paths that have nothing else answer as they can (PEM, CSV).
_ACCEPT = "application/json, */*;q=0.1"
_JSON = "application/json"
# What a body may be called (RFC 9110 §8.3.1): it is sent as JSON in UTF-8, and as nothing else.
_MEDIA_TYPE = re.compile(
    r"""[\w.+-]{1,100}(/|/[\w.+-]{1,100}\+)json([ \t]*;[ \t]*charset=("?)utf-8\3)?""", re.ASCII | re.IGNORECASE
)


class Content(TypedDict, total=False):
    """Headers, and the body of a request that has one."""

    headers: dict[str, str]
    content: bytes


def target_of(question: ProxyQuestion) -> str:
    """Return path and query, percent-encoded. Raises Refused for a query that cannot be written as one."""
    path, _, written = question.path.partition("?")
    if "#" in written:
        raise _bad_query("`path` holds a fragment (#).")
    parameters: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(written, keep_blank_values=True, errors="strict"):
            parameters.setdefault(name, []).append(value)
        for name, given in question.query.items():
            parameters[name] = [given] if isinstance(given, str) else given
        target = path_with("/" + path.strip().strip("/"), parameters)
    except ValueError:  # half a percent-encoded letter, or half a surrogate pair
        raise _bad_query("The query holds what is no text.") from None
    if len(target) > LONGEST:
        raise _bad_query(f"Path and query have {len(target):,} characters; PingOne takes {LONGEST:,}.")
    return target


def content_of(question: ProxyQuestion) -> Content:
    """Return what a request carries besides its URL: the body as JSON, under the media type asked for.

    Raises Refused for what is no JSON, is nested too deeply, or would be sent as another media type.
    """
    headers = {"Accept": _ACCEPT}
    if question.body is None and question.content_type is None:
        return {"headers": headers}
    kind = question.content_type or _JSON
    if not _MEDIA_TYPE.fullmatch(kind):
        raise Refused(
            "`content_type` is no media type of JSON in UTF-8, which is what a body is sent as.",
            "Give one such as application/json, with no parameter but charset=utf-8. Nothing was requested.",
            code="MEDIA_TYPE_REFUSED",
        )
    if json_text.shallow(question.body) is not question.body:
        what = f"`body` is nested deeper than {json_text.LEVELS} levels."
        raise Refused(what, "Nothing was requested.", code="BODY_REFUSED")
    try:
        body = b"" if question.body is None else json.dumps(question.body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise Refused("`body` is no JSON.", "Nothing was requested.", code="BODY_REFUSED") from None
    return {"content": body, "headers": headers | {"Content-Type": kind}}


def measured(given: Any, blanked: Any) -> Any:
    """Return a blanked body in which each blank says how many characters it stands for: nothing can hide in one."""
    if isinstance(blanked, dict) and isinstance(given, dict):
        return {name: measured(given[name], value) for name, value in blanked.items()}
    if isinstance(blanked, list) and isinstance(given, list):
        return [measured(one, other) for one, other in zip(given, blanked, strict=True)]
    if given == blanked:
        return blanked
    return f"[redacted, {len(given if isinstance(given, str) else json.dumps(given)):,} characters]"


def _bad_query(what: str) -> Refused:
    return Refused(what, "Give parameters as `query`. Nothing was requested.", code="QUERY_REFUSED")
