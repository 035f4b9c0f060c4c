"""PingOne's HTTP answers, read: a JSON object, or the problem that the answer states.

Decisions hang on status, `code` and detail `code` alone; PingOne's texts may change and are never shown
(PingOne Platform API, "Response codes").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar, cast

import httpx

from pingone_mcp.advice import setting
from pingone_mcp.directory import rights
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.text import json_text
from pingone_mcp.errors import (
    AnotherServer,
    AnswerTooLarge,
    FilterRefused,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnexpectedAnswer,
    UpstreamProblem,
)
from pingone_mcp.pingone.api.hal import ListBody, list_body
from pingone_mcp.pingone.filters import OTHER_LISTS, USERS

T = TypeVar("T")

# Codes of error bodies; any other text in their place is not repeated to anybody.
_CODES = frozenset(
    "ACCESS_FAILED INVALID_DATA INVALID_REQUEST NOT_FOUND REQUEST_FAILED REQUEST_LIMITED UNEXPECTED_ERROR "
    "ACCOUNT_NOT_USABLE CONSTRAINT_VIOLATION EMPTY_VALUE INSUFFICIENT_PERMISSIONS INVALID_FILTER INVALID_OTP "
    "INVALID_PARAMETER INVALID_TOKEN INVALID_VALUE LICENSE_EXCEEDED LIMIT_EXCEEDED MFA_AUTH_METHODS_CONFLICT "
    "NO_PASSWORD OUT_OF_RANGE QUOTA_EXCEEDED REQUIRED_VALUE SIZE_LIMIT_EXCEEDED UNIQUENESS_VIOLATION".split()
)
_CORRELATION = re.compile(r"[0-9A-Za-z-]{8,64}")
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_READ = "pingone_mcp.read"  # a body that was parsed already
# Commas, at which the time goes that it takes to look at a body; 1,000 users have about 50 each.
_MOST_VALUES = 100_000
# The first of these that is in a path tells what right reading it takes.
_RIGHTS: Mapping[str, rights.Right] = MappingProxyType(
    {
        "activities": rights.AUDIT,
        "roleAssignments": rights.ROLES,
        "memberOfGroups": rights.MEMBERS,
        "groups": rights.GROUPS,
        "populations": rights.POPULATIONS,
        "users": rights.USERS,
    }
)
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{0,63}")


def correlation_id(response: httpx.Response) -> str | None:
    """Return the id under which PingOne logged the request, if it looks like one."""
    value = response.headers.get("correlation-id") or response.headers.get("x-amzn-requestid") or ""
    return value if _CORRELATION.fullmatch(value) else None


def is_read(response: httpx.Response, read: Callable[[bytes], Any]) -> bool:
    """Say whether a successful answer in JSON is what `read` reads (None: it is not), and keep it for `json_value`."""
    found = read(_content(response)) if _is_json(response) else None
    if found is not None:
        response.extensions[_READ] = found
    return found is not None


def is_cut_short(response: httpx.Response, read: Callable[[bytes], Any] = json_text.loads) -> bool:
    """Say whether a successful answer calls itself JSON and breaks off; nothing at all is an answer of its own.

    What could be read is kept with the answer for `json_value`, so that no body is read twice. `read` raises ValueError
    as `json_text.loads` does.
    """
    if not _is_json(response):
        return False
    try:
        response.extensions[_READ] = read(_content(response))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return True
    except ValueError:  # whole, and still nothing that can be read: asking again would not help
        return False
    return False


def _content(response: httpx.Response) -> bytes:
    """Return the body; no text of it holds a character at which databases and programs would end it."""
    return json_text.without_nul(response.content)


def _is_json(response: httpx.Response) -> bool:
    """Say whether a successful answer calls itself JSON, and holds anything, and not too much of it."""
    kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
    is_named = bool(response.is_success and response.content and kind.endswith(("/json", "+json")))
    return is_named and not _has_too_many(response)


def json_value(response: httpx.Response, read: Callable[[bytes], T] = json_text.loads) -> T:
    """Return the body as JSON data, or as what `read` makes of it; as it was read before where it was.

    Raises ValueError for what is none, and AnswerTooLarge for one of more values than anybody would look at.
    """
    if _READ in response.extensions:
        return cast(T, response.extensions.pop(_READ))
    if _has_too_many(response):
        raise too_large(f"{_MOST_VALUES:,} values", correlation_id(response))
    return read(_content(response))


def _has_too_many(response: httpx.Response) -> bool:
    return response.content.count(b",") > _MOST_VALUES


def list_of(response: httpx.Response, key: str) -> ListBody:
    """Return the body of a successful answer as a list of `key`. Raises as `json_object` does."""
    return _body(response, partial(list_body, key=key))


def json_object(response: httpx.Response) -> JsonObject:
    """Return the body of a successful answer. Raises the UpstreamProblem that the answer states otherwise."""
    body = _body(response, json_text.loads)
    if not isinstance(body, dict):
        raise _unreadable(response)
    return cast(JsonObject, body)


def _body(response: httpx.Response, read: Callable[[bytes], T | None]) -> T:
    if not response.is_success:
        raise problem(response)
    try:
        body = json_value(response, read)
    except ValueError:
        raise _unreadable(response) from None
    if body is None:
        raise _unreadable(response)
    return body


def too_large(most: str, correlation: str | None = None) -> AnswerTooLarge:
    """Return the failure for an answer that is larger than `most`, such as "8 MiB"."""
    return AnswerTooLarge(
        f"PingOne's answer is larger than the {most} that are read of it.",
        f"Ask for less: a smaller `limit`, a narrower filter, a longer path. In a sync, set a smaller {setting('page_size')}.",
        code="ANSWER_TOO_LARGE",
        correlation_id=correlation,
    )


def not_unpacked(what: str = "PingOne's answer") -> UnexpectedAnswer:
    """Return the failure for an answer that is packed in a way that was not asked for, or damaged (DecodingError)."""
    return UnexpectedAnswer(
        f"{what} cannot be unpacked.", "Check any proxy in between, then try again.", code="UNREADABLE_ANSWER"
    )


def repeated_link() -> UnexpectedAnswer:
    return UnexpectedAnswer(
        "PingOne's pages run in a circle: a `next` link came twice.", "Try again.", code="REPEATED_LINK"
    )


def is_from_elsewhere(response: httpx.Response) -> bool:
    """Say whether a redirection, or a page where JSON should be, bears no sign of being PingOne's.

    What failed in between (5xx) answers so too, and says nothing about who stands at the other end, but for 511: so
    answers a network that wants a sign-in first (RFC 6585 §6).
    """
    status = response.status_code
    is_other = 300 <= status < 400 or status == 511 or (status < 500 and status != 429 and _is_page(response))
    return is_other and correlation_id(response) is None


def failed(response: httpx.Response, who: str) -> tuple[str, str]:
    """Return what to say of a 5xx of whom we asked, or of what stands in its place, and what to do."""
    status = response.status_code
    if _is_page(response) and correlation_id(response) is None:
        return (
            f"{who}, or a proxy in its place, failed (HTTP {status}, a web page).",
            "Try again in a few minutes. If it stays so, ask who runs the network or the proxy.",
        )
    return f"{who} failed (HTTP {status}).", "Try again in a few minutes."


def _is_page(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() in _PAGES


def another_server(response: httpx.Response, host: str, named_by: str) -> AnotherServer:
    """Return the failure for an answer from elsewhere; `named_by` are the settings from which its host comes."""
    what = "a redirection, which was not followed" if 300 <= response.status_code < 400 else "a web page"
    return AnotherServer(
        f"{host} answers with {what} (HTTP {response.status_code}), as PingOne's API does not.",
        f"Check {named_by}, and whether a proxy or the sign-in page of a network answers in PingOne's place.",
        code="NOT_PINGONE",
    )


def problem(response: httpx.Response) -> UpstreamProblem:
    """Return what a failed answer means, and what to do about it, in our words; with its status."""
    meant = _meant(response)
    meant.status = response.status_code
    return meant


def _meant(response: httpx.Response) -> UpstreamProblem:
    status = response.status_code
    if is_from_elsewhere(response):
        return another_server(response, response.request.url.host, f"{setting('region')} and {setting('api_url')}")
    code, details, hints = _stated(response)
    known = {"code": details[0] if details else code or f"HTTP_{status}", "correlation_id": correlation_id(response)}
    path = response.request.url.path
    if status == 400 and "INVALID_FILTER" in details:
        listed = path.rstrip("/").rpartition("/")[2]
        return FilterRefused("PingOne does not support this filter.", filter_advice(hints, listed), **known)
    if status == 401:
        return NotAuthenticated(
            "PingOne did not accept the access token (401), not even a new one.",
            f"A token is good for the API of its own region (its audience): check {setting('region')}, and {setting('api_url')} and "
            f"{setting('auth_url')} if they are set.",
            **known,
        )
    if status == 403:
        place = re.search(r"/environments/([0-9a-fA-F-]{36})", path)
        where = f" in environment {place.group(1)}" if place else ""
        return _not_permitted(response.request, where, details, known)
    if status == 404:
        return NotFound("PingOne has no such resource (404).", "Check the id and the environment.", **known)
    if status == 429:
        return RateLimited(
            "PingOne's rate limit is reached and repeating did not help.", "Try again in a minute.", **known
        )
    if status >= 500:
        what, step = failed(response, "PingOne")
        return ServerFailed(what, step, **known)
    if 300 <= status < 400 or status < 200:
        return UnexpectedAnswer(
            f"PingOne answered with a redirection ({status}), which was not followed.",
            f"Check {setting('api_url')} and any proxy in between.",
            **known,
        )
    if status == 400 and path.endswith("/activities"):
        return RequestRefused(
            f"PingOne refused the request ({status}).",
            f"Filters of activities take {OTHER_LISTS['activities']}.",
            **known,
        )
    step = {
        405: "This path does not take this method.",
        415: "This path takes another `content_type`.",
    }.get(status, "Check the arguments against PingOne's documentation of this path.")
    return RequestRefused(f"PingOne refused the request ({status}).", step, **known)


def _stated(response: httpx.Response) -> tuple[str | None, list[str], dict[str, list[str]]]:
    """Return `code`, the detail codes and the lists of supported names from an error body of any shape."""
    try:
        body: Any = json_text.loads(response.content)
    except ValueError:
        return None, [], {}
    if not isinstance(body, dict):
        return None, [], {}
    details = [detail for detail in _list(body.get("details")) if isinstance(detail, dict)]
    hints: dict[str, list[str]] = {}
    for detail in details:
        inner = detail.get("innerError")
        for name in ("supportedAttributes", "supportedOperators"):
            values = _list(inner.get(name)) if isinstance(inner, dict) else []
            words = [value for value in values if isinstance(value, str) and _ATTRIBUTE.fullmatch(value)]
            if words:
                hints[name] = words[:60]
    return _code(body.get("code")), [code for detail in details if (code := _code(detail.get("code")))], hints


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _code(value: Any) -> str | None:
    return value if isinstance(value, str) and value in _CODES else None


def filter_advice(hints: dict[str, list[str]], listed: str = "users") -> str:
    """Name what PingOne says it supports in filters of a list; else what is documented for it, where that is known."""
    attributes, operators = hints.get("supportedAttributes", ()), hints.get("supportedOperators", ())
    if listed == "users":
        return USERS.supported(attributes=tuple(attributes), operators=tuple(operators))
    parts = [f"Filters of {listed} take {OTHER_LISTS[listed]}."] if listed in OTHER_LISTS else []
    parts += [f"Supported operators: {', '.join(operators)}."] if operators else []
    parts += [f"Supported attributes: {', '.join(attributes)}."] if attributes else []
    return " ".join(parts) or "Check the filter against PingOne's documentation of this path."


def _not_permitted(
    request: httpx.Request, where: str, details: list[str], known: dict[str, str | None]
) -> NotPermitted:
    """Say what may not be read, and which role lets it be read; what lets things be changed depends on the change."""
    what, such_as = f"PingOne refused this (403){where}.", ""
    if "LICENSE_EXCEEDED" in details:
        return NotPermitted(what, "The organization's PingOne licence does not cover it.", **known)
    if request.method == "GET":
        right = _right(request.url.path)
        what, such_as = f"The worker application may not read {right.what} (403){where}.", f", such as {right.given_by}"
    return NotPermitted(
        what,
        f"Give the worker application a role over this environment that allows it{such_as}; a new role takes some minutes to "
        f"work. PingOne also answers so when the environment does not exist: check {setting('environment_id')}, "
        f"{setting('environments')} and {setting('region')}.",
        **known,
    )


def _right(path: str) -> rights.Right:
    """Return the right that reading a path takes."""
    return next((right for part, right in _RIGHTS.items() if f"/{part}" in path), rights.CONFIGURATION)


def _unreadable(response: httpx.Response) -> UnexpectedAnswer:
    if is_from_elsewhere(response):
        return another_server(response, response.request.url.host, f"{setting('region')} and {setting('api_url')}")
    return UnexpectedAnswer(
        f"PingOne's answer ({response.status_code}) is not the JSON that it should be: cut short, or from another server.",
        f"Check {setting('api_url')} and any proxy in between, then try again.",
        code="UNREADABLE_ANSWER",
        correlation_id=correlation_id(response),
    )
