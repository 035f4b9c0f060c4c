"""PingOne's own API, one request at a time, inside the scope of the connection."""

from __future__ import annotations

import dataclasses
import json
import re
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from pingone_mcp.directory import json_text
from pingone_mcp.directory.filterable import configured
from pingone_mcp.directory.gaps import ShortNativeList
from pingone_mcp.directory.models import JsonObject, Page
from pingone_mcp.directory.native import Concerned, Operation, Preview, ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.position import NOTHING_COUNTED, Counted, Position
from pingone_mcp.errors import FilterRefused, Refused, UnexpectedAnswer
from pingone_mcp.http.body import is_too_large
from pingone_mcp.pingone import filters
from pingone_mcp.pingone.api.answers import correlation_id, json_value, problem, too_large
from pingone_mcp.pingone.api.client import MOST_ITEMS, beside, collection, path_with, size
from pingone_mcp.pingone.api.upstream import PAGE
from pingone_mcp.pingone.proxy import catalogue
from pingone_mcp.pingone.proxy.concerned import concerned, reaches_beyond
from pingone_mcp.pingone.proxy.paths import LONGEST, READS, ProxyPaths
from pingone_mcp.pingone.proxy.redaction import redacted, redacted_text
from pingone_mcp.pingone.served import Served

# JSON where it can be had; the few paths that have nothing else answer as they can (PEM, CSV).
_ACCEPT = "application/json, */*;q=0.1"
_JSON = "application/json"
_TEXTS = frozenset({"application/xml", "application/yaml", "application/x-ndjson", "application/x-pem-file"})
_CHARSETS = frozenset(
    {"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16", "utf-16le", "utf-16be"}
)
_ENVELOPE = frozenset({"_links", "_embedded", "count", "size"})
# What a body may be called (RFC 9110 §8.3.1): it is sent as JSON in UTF-8, and as nothing else.
_MEDIA_TYPE = re.compile(
    r"""[\w.+-]{1,100}(/|/[\w.+-]{1,100}\+)json([ \t]*;[ \t]*charset=("?)utf-8\3)?""", re.ASCII | re.IGNORECASE
)
# Lists of days, whose `count` is that of the people on the last of them.
_COUNTS_OTHERS = re.compile(r"/(totalIdentities|activeIdentityCounts)(\?|$)")


class PingOneApi:
    """Pass requests through; each method is described in `NativeApi`."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._client = served.client
        connection = served.connection
        self._paths = ProxyPaths(connection.api_base, connection.scope, connection.allow_writes)

    def operations(self) -> dict[str, tuple[Operation, ...]]:
        return catalogue.areas()

    def complete_path(self, prefix: str) -> tuple[str, ...]:
        return catalogue.complete(prefix)

    async def concerned(self, question: ProxyQuestion) -> tuple[Concerned, ...]:
        return await concerned(self._served, self._completed(question))

    async def send(self, question: ProxyQuestion, at: Position | None = None) -> ProxyAnswer:
        """Send one request. Raises Refused before that for what the connection may not reach.

        A page that ends a list before all came whom PingOne counts is asked for twice; then it is told as a gap.
        """
        try:
            return await self._sent_inside(self._completed(question), at)
        finally:  # a write may have happened also where no answer came, or nobody waited for it
            if question.method not in READS:
                self._served.names.forget()

    async def _sent_inside(self, question: ProxyQuestion, at: Position | None) -> ProxyAnswer:
        self._paths.url(question.path.partition("?")[0], question.method)
        target = _target(question) if at is None or at.after is None else at.after
        before = at.counted if at is not None else NOTHING_COUNTED
        answer = await self._sent(question, target)
        if _missing(answer, before, target) and question.method in READS:
            answer = await self._sent(question, target)
        if answer.page is None:
            return answer
        behind = before.behind(answer.page.scanned, answer.page.total)
        page = dataclasses.replace(
            answer.page,
            at=Position(after=target, counted=before),
            next=dataclasses.replace(answer.page.next, counted=behind) if answer.page.next is not None else None,
        )
        if _missing(answer, before, target):
            gap = ShortNativeList(counted=behind.said or 0, came=behind.came)
            page = dataclasses.replace(page, total=None, gaps=(gap,))
        return dataclasses.replace(answer, page=page)

    async def _sent(self, question: ProxyQuestion, target: str) -> ProxyAnswer:
        url = self._paths.url(target.partition("?")[0], question.method) + target[len(target.partition("?")[0]) :]
        response = await self._client.send(question.method, url, most=PAGE, **_content(question))
        answer = ProxyAnswer(status=response.status_code, correlation_id=correlation_id(response))
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return answer
        if not response.is_success:
            failed = problem(response)
            if isinstance(failed, FilterRefused) and target.partition("?")[0].endswith("/users"):
                raise configured(filters.USERS, self._client.connection.attributes).advised(failed, _filter(target))
            raise failed
        if question.method == "HEAD" or not (response.content or is_too_large(response)):
            return answer
        reading = partial(self._read, response, target, listed=question.method in READS)
        try:
            return dataclasses.replace(answer, **await beside(len(response.content), reading))
        except UnexpectedAnswer as unread:
            if question.method in READS:
                raise
            return dataclasses.replace(answer, unread=unread.what)  # it is done, whatever its answer looks like

    def _completed(self, question: ProxyQuestion) -> ProxyQuestion:
        """Return the request with the path that is meant: without `/v1`, with the only environment that is served."""
        return dataclasses.replace(question, path=self._paths.completed(question.path))

    async def preview(self, question: ProxyQuestion) -> Preview:
        """Return what of a request a person may see; refuse what `send` would refuse later."""
        question = self._completed(question)
        environment = self._paths.written(question.path)
        _content(question)
        path, _, written = _target(question).partition("?")
        segments = path.strip("/").split("/")
        given: dict[str, list[str]] = {}
        for name, value in parse_qsl(written, keep_blank_values=True):
            given.setdefault(name, []).append(value)
        query = {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        return Preview(
            organization=await self._served.names.environment_now(environment),
            path=path,
            query=redacted(query, at=segments),
            body=_counted(question.body, redacted(question.body, at=segments)),
            beyond=reaches_beyond(environment, question.body),
        )

    def _read(self, response: httpx.Response, target: str, *, listed: bool) -> dict[str, Any]:
        if is_too_large(response):
            raise too_large(size(PAGE), correlation_id(response))
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind.endswith(("/json", "+json")):
            return {"content_type": kind, **self._read_json(response, target, listed=listed)}
        if not (kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXTS):
            raise UnexpectedAnswer(
                "The answer is neither JSON nor text, so it is not shown.",
                "Ask for another path, or fetch it outside this server.",
                code="BINARY_BODY",
                correlation_id=correlation_id(response),
            )
        return {"content_type": kind, "body": redacted_text(_text(response))}

    def _read_json(self, response: httpx.Response, target: str, *, listed: bool) -> dict[str, Any]:
        whole = _parsed(response)
        body = json_text.shallow(whole)
        cut = body is not whole
        if listed and (many := _listed(body)) is not None and len(many[0]) > MOST_ITEMS:
            raise too_large(f"{MOST_ITEMS:,} items", correlation_id(response))
        segments = target.partition("?")[0].strip("/").split("/")
        body = redacted(body, at=segments)
        found = _listed(body) if listed else None
        if found is None:
            return {"body": body, "cut": cut}
        items, rest = found
        hal = self._client.hal_page(body, items, environment=_environment(segments)) if isinstance(body, dict) else None
        following = hal.next if hal is not None else None
        if following is not None:  # the place of a link was checked; what may be read there is not the link's to say
            self._paths.url(following.partition("?")[0])
        native = tuple({key: value for key, value in item.items() if key != "_links"} for item in items)
        count = hal.count if hal is not None else None
        page = Page(
            items=native,
            at=Position(after=target),
            next=Position(after=following) if following is not None else None,
            scanned=len(native),
            total=count,
            about=count,
        )
        return {"page": page, "body": rest, "cut": cut}


def _text(response: httpx.Response) -> str:
    """Return a text body as what it says it is written in, if that is one of a few.

    Python knows many more, among them some that unpack (zlib), that fail, or that take the square of the length
    (punycode).
    """
    named = (response.charset_encoding or "").lower()
    return response.content.decode(named if named in _CHARSETS else "utf-8", "replace")


def _filter(target: str) -> str | None:
    return dict(parse_qsl(target.partition("?")[2])).get("filter")


def _missing(answer: ProxyAnswer, before: Counted, target: str) -> bool:
    """Say whether an answer ends a list before all came whom PingOne counts."""
    if answer.page is None or answer.page.next is not None or _COUNTS_OTHERS.search(target):
        return False
    return before.behind(answer.page.scanned, answer.page.total).missing > 0


def _target(question: ProxyQuestion) -> str:
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


def _counted(given: Any, blanked: Any) -> Any:
    """Return a blanked body in which each blank says how many characters it stands for: nothing can hide in one."""
    if isinstance(blanked, dict) and isinstance(given, dict):
        return {name: _counted(given[name], value) for name, value in blanked.items()}
    if isinstance(blanked, list) and isinstance(given, list):
        return [_counted(one, other) for one, other in zip(given, blanked, strict=True)]
    if given == blanked:
        return blanked
    return f"[redacted, {len(given if isinstance(given, str) else json.dumps(given)):,} characters]"


def _bad_query(what: str) -> Refused:
    return Refused(what, "Give parameters as `query`. Nothing was requested.", code="QUERY_REFUSED")


def _content(question: ProxyQuestion) -> dict[str, Any]:
    """Return what a request carries besides its URL: the body as JSON, under the media type asked for."""
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


def _parsed(response: httpx.Response) -> Any:
    """Return JSON data. Raises UnexpectedAnswer for what is not JSON."""
    try:
        return json_value(response)
    except ValueError:
        raise UnexpectedAnswer(
            "PingOne's answer is not the JSON that it says it is, or is nested too deeply to be read.",
            "Try again, or ask for a part of it.",
            code="UNREADABLE_ANSWER",
            correlation_id=correlation_id(response),
        ) from None


def _listed(body: Any) -> tuple[list[JsonObject], Any] | None:
    """Return the items of a list and what stands around them (None: nothing), or None for a single resource.

    Lists are HAL collections and bare arrays of objects. A page that embeds several lists has no items of its own:
    what stands around them is all of it.
    """
    if isinstance(body, list):
        return (body, None) if body and all(isinstance(item, dict) for item in body) else None
    if not isinstance(body, dict) or "id" in body:
        return None
    rest = {key: value for key, value in body.items() if key not in _ENVELOPE}
    if found := collection(body):
        return found[1], rest or None
    embedded = body.get("_embedded")
    counted = embedded is None and (body.get("count") == 0 or body.get("size") == 0)
    if embedded == {} or counted:
        return [], rest or None
    links = body.get("_links")
    return ([], body) if isinstance(embedded, dict) and isinstance(links, dict) and "next" in links else None


def _environment(segments: list[str]) -> str | None:
    return unquote(segments[1]) if segments[0] == "environments" and len(segments) > 1 else None
