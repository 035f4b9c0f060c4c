"""`/proxy/{path}`: the provider's own API, one to one inside the fence of the connection.

Whoever calls a program's API is its own person, so nobody is asked about a write. All else holds: the permission to
write, the switches of the connection, the journal, and the second switch for what is no sandbox.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import anyio
from starlette.responses import Response

from pingone_mcp.control.idempotency import KeptAnswer, KeyedRequest
from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.native import ProxyAnswer, ProxyQuestion
from pingone_mcp.errors import Refused, UpstreamProblem
from pingone_mcp.service.answering import Listed
from pingone_mcp.service.asking.native import NativeRead, read_native
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.fleet.repeats import Repeats
from pingone_mcp.service.questions import Addressee
from pingone_mcp.service.writes import Sent, Write, writes_off
from pingone_mcp.web.rest.content import TEXT
from pingone_mcp.web.rest.failures import NoRowYet, failed
from pingone_mcp.web.rest.operation import GAPS_HEADER, Asking, Method, RestAnswer, RestOperation, sent
from pingone_mcp.web.rest.parameters import UNKNOWN_PARAMETER, Parameter
from pingone_mcp.web.rest.query import shown

IDEMPOTENCY_KEY = "Idempotency-Key"
_REPEATED = {"Idempotent-Replayed": "true"}
_LONGEST_KEY = 255
# What stands at the top of the provider's API; all else lies in an environment, whose place may be left out where
# there is but one.
_TOP = frozenset({"environments", "organizations", "roles", "v1"})
_REMOTE_QUERY = ("remote_query[", "]")
_CURSOR = Parameter(name="next_cursor", about="Where to go on: `next_cursor` of the answer before; empty is absent.")
_JSON = "application/json"
Words = Mapping[str, str | list[str]]


async def read(asking: Asking) -> RestAnswer:
    """Answer a read: a list in the envelope of lists, and anything else as the provider has it."""
    backend = await asking.backend()
    path, query = _native_path(asking.path["path"]), _native_query(asking)
    found = await _first_row(backend, path, query, asking.query.texts.get(_CURSOR.name))
    answer = found.answer
    headers = _headers(answer)
    if answer.page is None:
        return _single(answer, headers)
    gaps = found.listed.gathered.gaps
    return RestAnswer(body=_list(found), headers={**headers, GAPS_HEADER: str(len(gaps))} if gaps else headers)


async def _first_row(backend: Backend, path: str, query: Words, cursor: str | None) -> NativeRead:
    """Read on until there is a row, or the end: clients take a page without rows for the end. Raises NoRowYet."""
    until = anyio.current_time() + backend.answer_seconds
    while True:
        found = await read_native(backend, method="GET", path=path, query=query, cursor=cursor, report=_quietly)
        listed = found.listed
        if found.answer.page is None or listed.gathered.rows or listed.next_cursor is None or found.answer.body:
            return found
        if anyio.current_time() >= until:
            raise NoRowYet(listed.next_cursor)
        cursor = listed.next_cursor


def _list(found: NativeRead) -> JsonObject:
    """Return a list in its envelope. What a page embeds beside no list of its own is one row."""
    answer, listed = found.answer, found.listed
    gathered = listed.gathered
    if not gathered.rows and gathered.problem is not None:
        raise gathered.problem
    rows = gathered.rows or ([answer.body] if answer.body is not None and listed.next_cursor is not None else [])
    return _envelope(listed, rows) | ({"around": answer.body} if gathered.rows and answer.body is not None else {})


def _envelope(listed: Listed, rows: list[JsonObject]) -> JsonObject:
    gathered = listed.gathered
    body: JsonObject = {
        "result": rows,
        "next_cursor": listed.next_cursor,
        "prev_cursor": None,
        "result_count": len(rows),
        "is_partial_response": listed.is_partial,
        "total": gathered.total,
    }
    if gathered.gaps:
        body["gaps"] = sentences(gathered.gaps)
    if gathered.problem is not None:
        body["error"] = str(gathered.problem)
    return body


def _single(answer: ProxyAnswer, headers: Mapping[str, str]) -> RestAnswer:
    """Return the provider's body as it is, with its status; a body that is no JSON as plain text, whatever it is."""
    if answer.content_type is None:
        return RestAnswer(body=None, status=HTTPStatus.NO_CONTENT, headers=headers)
    status = HTTPStatus(answer.status)
    is_text = isinstance(answer.body, str) and not answer.content_type.endswith("json")
    return RestAnswer(body=answer.body, status=status, headers=headers, is_text=is_text)


def _headers(answer: ProxyAnswer) -> dict[str, str]:
    return {"Correlation-Id": answer.correlation_id} if answer.correlation_id is not None else {}


class ProxyWrites:
    """What answers requests that change something."""

    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats

    def of(self, method: Method) -> Callable[[Asking], Awaitable[Response]]:
        async def answer(asking: Asking) -> Response:
            return await self._answer(method, asking)

        return answer

    async def _answer(self, method: Method, asking: Asking) -> Response:
        question = await _question(method, asking)
        key = _key(asking)

        async def carried_out() -> Response:
            return sent(_written(await _carried_out(asking, question)))

        if key is None:
            return await carried_out()
        assert asking.served is not None, "an operation that is about a connection"
        request = KeyedRequest(
            principal=asking.caller.principal,
            connection_id=asking.served.id,
            path=f"{method} {question.path}",
            key=key,
            body=repr((sorted(question.query.items()), question.content_type)).encode() + await asking.request.body(),
        )

        async def kept() -> KeptAnswer:
            return _kept(await carried_out())

        def worded(problem: UpstreamProblem) -> KeptAnswer:
            return _kept(failed(problem, asking.correlation_id, as_answered=True))

        first, is_repeated = await self._repeats.once(request, kept, worded)
        headers = {"Cache-Control": "no-store", **(_REPEATED if is_repeated else {})}
        return Response(first.body, first.status, headers, first.media_type or None)


async def _question(method: Method, asking: Asking) -> ProxyQuestion:
    """Return the request that is meant. Raises Refused for a body that is no JSON, and a cursor."""
    if _CURSOR.name in asking.query.texts:
        raise Refused("A write takes no `next_cursor`.", "Leave it out. Nothing was sent.", code="CURSOR_REFUSED")
    body = await asking.json()
    kind = asking.request.headers.get("content-type")
    is_plain = kind is None or kind.partition(";")[0].strip().lower() in (_JSON, TEXT)
    return ProxyQuestion(
        method=method,
        path=_native_path(asking.path["path"]),
        query=_native_query(asking),
        body=body,
        content_type=None if is_plain else kind,
    )


async def _carried_out(asking: Asking, question: ProxyQuestion) -> Sent:
    backend = await asking.backend()
    if backend.writes is None:
        raise writes_off()
    assert asking.served is not None, "an operation that is about a connection"
    caller = asking.caller
    addressee = Addressee(
        connection=asking.served.id,
        client=(caller.client_id, caller.kind),
        principal=caller.principal.replace("\0", " "),
    )
    return await Write(backend.native_api(), backend.writes, question, addressee).perform()


def _written(done: Sent) -> RestAnswer:
    """Return the answer to a write; what there is to say besides is in a header, for the body is the provider's."""
    headers = _headers(done.answer) | ({"X-Notes": " ".join(done.notes)} if done.notes else {})
    return _single(done.answer, headers)


def _kept(response: Response) -> KeptAnswer:
    return KeptAnswer(
        status=response.status_code, media_type=response.headers.get("content-type", ""), body=bytes(response.body)
    )


def _key(asking: Asking) -> str | None:
    """Return what a caller calls its request. Raises Refused for what is no such name."""
    keys = asking.request.headers.getlist(IDEMPOTENCY_KEY)
    if not keys:
        return None
    [key, *more] = keys
    if more or not 0 < len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise Refused(
            f"The header {IDEMPOTENCY_KEY} is one text of at most {_LONGEST_KEY} printable ASCII characters.",
            "Send a new UUID for each request.",
            code="WRONG_KEY",
        )
    return key


def _native_path(path: str) -> str:
    """Return a path as the provider has it. What was percent-encoded stays so, but for what any path may hold.

    Raises Refused for none at all.
    """
    given = quote(path.strip("/"), safe="/:@$()~")
    if not given:
        raise Refused("There is no path behind /proxy/.", "Give one such as /proxy/users.", code="PATH_REFUSED")
    return f"/{given}" if given.partition("/")[0] in _TOP else f"/environments/{{id}}/{given}"


def _native_query(asking: Asking) -> Words:
    """Return the parameters that are passed on. Raises Refused for those that mean something to nobody."""
    query: dict[str, str | list[str]] = {}
    for name, values in asking.others.items():
        if name.startswith("truto_"):
            raise Refused(
                f"There is no parameter `{shown(name)}` here.",
                "What is asked of the provider itself is answered as it is.",
                code=UNKNOWN_PARAMETER,
            )
        begin, end = _REMOTE_QUERY
        bare = name[len(begin) : -len(end)] if name.startswith(begin) and name.endswith(end) else name
        query[bare] = values[0] if len(values) == 1 else list(values)
    return query


async def _quietly(_: object) -> None:
    """Take no note of how far a list is: nobody is shown it here."""


_ANY: Any = {}
_LISTED: JsonObject = {
    "type": "object",
    "properties": {
        "result": {"type": "array", "items": {"type": "object"}},
        "next_cursor": {"type": ["string", "null"], "minLength": 1},
        "prev_cursor": {"type": "null"},
        "result_count": {"type": "integer"},
        "is_partial_response": {"type": "boolean"},
        "total": {"type": ["integer", "null"]},
        "gaps": {"type": "array", "items": {"type": "string"}},
        "error": {"type": "string"},
        "around": _ANY,
    },
    "required": ["result", "next_cursor", "prev_cursor", "result_count", "is_partial_response", "total"],
}
_SUMMARIES: Mapping[Method, str] = {
    "POST": "Send a POST to the provider's API, where the connection may write.",
    "PUT": "Send a PUT to the provider's API, where the connection may write.",
    "PATCH": "Send a PATCH to the provider's API, where the connection may write.",
    "DELETE": "Send a DELETE to the provider's API, where the connection may write.",
}
_ABOUT_PATH = {
    "path": "Path below the provider's API, with its slashes: `environments/{id}/users`; where one environment is "
    "served, `users` will do."
}


def proxy_operations(repeats: Repeats) -> tuple[RestOperation, ...]:
    """Return the operations of the provider's own API."""
    writes = ProxyWrites(repeats)
    return (
        RestOperation(
            name="readNative",
            path="/proxy/{path}",
            tag="proxy",
            summary="Read from the provider's API: lists in the envelope of lists, anything else as it is.",
            about_path=_ABOUT_PATH,
            parameters=(_CURSOR,),
            passes_on=True,
            answer=read,
            answers={"anyOf": [_LISTED, _ANY]},
        ),
        *(
            RestOperation(
                name=f"{method.lower()}Native",
                method=method,
                path="/proxy/{path}",
                tag="proxy",
                summary=summary,
                about_path=_ABOUT_PATH,
                parameters=(_CURSOR,),
                permission="directory.write",
                takes_json=True,
                passes_on=True,
                answer=writes.of(method),
                answers=_ANY,
            )
            for method, summary in _SUMMARIES.items()
        ),
    )
