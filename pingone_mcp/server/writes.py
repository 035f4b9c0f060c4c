"""Where PingOne is changed, and nowhere else: `proxy_request` with writes, each confirmed by a person.

It fails closed: writes are off unless a setting allows them; an environment that is not known to be a SANDBOX needs a
second setting; a client that cannot ask its person is refused; one yes to one question sends one request.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import AcceptedElicitation, Context, DeclinedElicitation, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import BaseModel, Field, StrictBool

from pingone_mcp.advice import setting
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.native import Concerned, Preview, ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text import coded, quoted
from pingone_mcp.errors import Problem, Refused, ServerFailed, UnexpectedAnswer, Unreachable
from pingone_mcp.server import reads
from pingone_mcp.server.edge import AppContext, answer, backend_of, open_object, strict_tool
from pingone_mcp.server.reads import Cursor, Query
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.journal import Journal
from pingone_mcp.service.questions import Client, Question
from pingone_mcp.service.writes import WriteRules

logger = logging.getLogger(__name__)

READS = ("GET", "HEAD")
Recorder = Callable[[str, JsonObject], None]
"""Records one event of a write, by its name and what more is to be said."""
_SHOWN = 6_000
_LONGEST_NAME = 100
_AROUND = 600
_LOOK = "It may have happened all the same: read the resource before you repeat the request."
# What a confirmed write waits for: 55 s together where it is checked twice in one call, as in that which brings the
# answer to a question. Clients give up after 60, and should hear what became of it.
_CHECK_SECONDS, _SEND_SECONDS = 10.0, 35.0
_WRITING = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)


class Confirmation(BaseModel):
    """What the person is asked."""

    confirm: StrictBool = Field(description="Send this request to PingOne")


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Body = Annotated[
    Annotated[Any, open_object(id="string", name="string", enabled="boolean")] | None,
    Field(description="JSON body of a write; an array may be sent as JSON text."),
]
ContentType = Annotated[
    str | None,
    Field(description="Media type of the body, e.g. application/vnd.pingidentity.account.lock+json; default JSON."),
]


@dataclass(slots=True, kw_only=True)
class _Asking:
    """One call of the tool: the question that its person answers, and how to refuse what is no answer to it."""

    question: Question | None = None
    refuse: Callable[[], None] | None = None


_ASKING: ContextVar[_Asking] = ContextVar("asking")


class AskingTool(Tool):
    """A tool whose question may be answered in ways that the SDK tells in its own words, or as a protocol error."""

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:  # noqa: FBT001, FBT002 - the SDK's signature
        asking = _Asking()
        token = _ASKING.set(asking)
        try:
            result = await super().run(arguments, context, convert_result)
        except (MCPError, ToolError):
            if asking.refuse is None:
                raise
        else:
            await _let_wait(context, result, asking.question)
            return result
        finally:
            _ASKING.reset(token)
        try:
            asking.refuse()
            raise Refused(
                "The question was not answered with a yes, so nothing was sent.",
                "Do not repeat the request unasked.",
                code="NO_CONFIRMATION",
            )
        except Problem as problem:
            raise ToolError(str(problem)) from problem


async def _let_wait(ctx: Context[Any, Any], result: Any, question: Question | None) -> None:
    """Let a question that leaves with the answer of this call be answered by another one."""
    if isinstance(result, InputRequiredResult) and result.request_state is not None and question is not None:
        _rules(await backend_of(ctx)).questions.wait(result.request_state, question)


async def confirmed(
    ctx: AppContext,
    *,
    path: str,
    method: str,
    query: Query,
    body: Any,
    content_type: str | None,
    cursor: str | None,
) -> Elicit[Confirmation] | Confirmation:
    """Ask the person whether to send a write; reads need no asking. Refuse here what may not be sent at all.

    Where the answer comes with a second call, this runs again there: it takes the question that the person has seen,
    and asks the same, to which the SDK has the answer.
    """
    if method in READS:
        return Confirmation(confirm=True)
    try:
        backend = await backend_of(ctx)
        rules = _rules(backend)
        request = write_question(path, method, query, body, content_type)
        with _refusals(_recorder(ctx, rules.journal, request, None)):
            if cursor is not None:
                raise Refused("A write takes no `cursor`.", "Leave it out. Nothing was sent.", code="CURSOR_REFUSED")
            with _bounded(rules, _CHECK_SECONDS, "Nothing was sent. Try again."):
                preview = await backend.native_api().preview(request)
        record = _recorder(ctx, rules.journal, request, preview)
        with _refusals(record):
            question = _taken(ctx, rules, request) or await _asked(ctx, backend, request, preview)
    except Problem as problem:
        raise ToolError(str(problem)) from problem
    asking = _ASKING.get()
    asking.question = question
    asking.refuse = lambda: record("refused", {"code": "NO_CONFIRMATION"})
    return Elicit(question.text, Confirmation)


def _taken(ctx: AppContext, rules: WriteRules, request: ProxyQuestion) -> Question | None:
    """Take the question that this call answers; None where it answers none. Raises Refused for one taken before."""
    if ctx.request_state is None or not ctx.input_responses:
        return None
    found = rules.questions.take(ctx.request_state, _digest(request), _client(ctx))
    if found is None:
        raise _used()
    return found


async def _asked(ctx: AppContext, backend: Backend, request: ProxyQuestion, preview: Preview) -> Question:
    """Return a new question. Raises Refused for what may not be sent, or not be asked."""
    rules = _rules(backend)
    _check(rules, preview)
    _check_client(ctx)
    about = await backend.native_api().concerned(request)
    text = _message(request, preview, about, rules.questions.reference())
    return rules.questions.ask(text, _digest(request), _client(ctx))


def _used() -> Refused:
    return Refused(
        "This confirmation was used up before, or came too late, so this call sent nothing.",
        "Read the resource to see whether the request was sent; make it anew to ask the person again.",
        code="CONFIRMATION_USED",
    )


@contextmanager
def _bounded(rules: WriteRules, seconds: float, step: str) -> Iterator[None]:
    """Bound what is waited for. Raises Unreachable when that ends; `step` says what is known then."""
    with rules.within(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise Unreachable(f"PingOne did not answer within {seconds:g} s.", step, code="TOO_SLOW")


@contextmanager
def _refusals(record: Recorder) -> Iterator[None]:
    """Record what is refused; that it is matters more to who asked than that it cannot be recorded."""
    try:
        yield
    except Problem as problem:
        _record_result(record, "refused", {"code": problem.code})
        raise


def write_question(path: str, method: str, query: Query, body: Any, content_type: str | None) -> ProxyQuestion:
    return ProxyQuestion(method=method, path=path, query=reads.parameters(query), body=body, content_type=content_type)


async def send(
    ctx: AppContext, request: ProxyQuestion, confirmation: ElicitationResult[Confirmation]
) -> CallToolResult:
    """Send a write that the person confirmed; record what was decided, sent and answered."""
    asking = _ASKING.get()
    asking.refuse = None
    backend = await backend_of(ctx)
    rules = _rules(backend)
    with (
        _refusals(_recorder(ctx, rules.journal, request, None)),
        _bounded(rules, _CHECK_SECONDS, "Nothing was sent. Make the request anew to ask the person again."),
    ):
        preview = await backend.native_api().preview(request)
    record = _recorder(ctx, rules.journal, request, preview)
    if not isinstance(confirmation, AcceptedElicitation) or not confirmation.data.confirm:
        word = "cancelled" if not isinstance(confirmation, DeclinedElicitation | AcceptedElicitation) else "declined"
        record(word, {})
        raise Refused(
            f"The person {word} this request, so nothing was sent.", "Do not repeat it unasked.", code="DECLINED"
        )
    with _refusals(record):
        if asking.question is None or not rules.questions.is_open(asking.question):
            raise _used()
        _check(rules, preview)  # the person may have taken their time
    record("sending", {})  # what cannot be recorded is not sent
    sent = await _sent(backend, rules, request, record)
    told: JsonObject = {"status": sent.status, "correlation_id": sent.correlation_id}
    notes = [] if _record_result(record, "answered", told) else ["It was sent, but its result could not be recorded."]
    if sent.unread is not None:
        notes.append(f"It was done, but its answer cannot be shown: {sent.unread}")
    facts = reads.proxied(sent, {}, backend.answer_characters - _AROUND)
    return answer(facts | ({"note": " ".join(notes)} if notes else {}))


async def _sent(backend: Backend, rules: WriteRules, request: ProxyQuestion, record: Recorder) -> ProxyAnswer:
    """Send a write and return its answer; record it when there is none. Nothing that may have happened is repeated."""
    try:
        with _bounded(rules, _SEND_SECONDS, _LOOK):
            return await backend.native_api().send(request)
    except (Unreachable, ServerFailed, UnexpectedAnswer) as problem:
        _record_result(record, "unknown", {"code": problem.code, "correlation_id": problem.correlation_id})
        raise type(problem)(problem.what, _LOOK, code=problem.code, correlation_id=problem.correlation_id) from problem
    except Problem as problem:
        _record_result(record, "failed", {"code": problem.code, "correlation_id": problem.correlation_id})
        raise
    except BaseException:
        _record_result(record, "unknown", {"code": "ENDED"})
        raise


def _record_result(record: Recorder, event: str, more: JsonObject) -> bool:
    """Record what became of a request, sent or refused; a full disk must not hide that it was."""
    try:
        record(event, more)
    except Refused:
        logger.warning("what became of a write could not be recorded")
        return False
    return True


async def proxy_request(
    ctx: AppContext,
    *,
    path: Annotated[str, Field(min_length=1, description="Path below the API base, e.g. /environments/{id}/users.")],
    method: Method = "GET",
    query: Query = None,
    body: Body = None,
    content_type: ContentType = None,
    cursor: Cursor = None,
    confirmation: Annotated[ElicitationResult[Confirmation], Resolve(confirmed)],
) -> CallToolResult:
    """Send one request to the PingOne API as it is, for what the other tools do not cover.

    Reads answer {status, correlation_id} with result (a collection's native items without _links, and next_cursor for
    the next page) or body (a single resource verbatim). A write (POST, PUT, PATCH, DELETE) is sent only after the
    person has confirmed it. Secrets are blanked.
    """
    if method in ("GET", "HEAD"):
        return await reads.proxy_request(ctx, path=path, method=method, query=query, cursor=cursor)
    return await send(ctx, write_question(path, method, query, body, content_type), confirmation)


def tool() -> Tool:
    """Return `proxy_request` as it is offered where writes are allowed."""
    return strict_tool(
        proxy_request,
        title="Call the PingOne API",
        annotations=_WRITING,
        kind=AskingTool,
    )


def _rules(backend: Backend) -> WriteRules:
    if backend.writes is None:
        raise reads.writes_off()
    return backend.writes


def _check(rules: WriteRules, preview: Preview) -> None:
    """Raise Refused for an environment that may not be changed."""
    if preview.organization.type != "SANDBOX" and not rules.allow_production:
        raise Refused(
            f"This environment is of type {_kind(preview)}, so nothing was sent.",
            f"The person who runs this server can allow it with {setting('allow_production_writes')}.",
            code="PRODUCTION_WRITES_OFF",
        )
    if preview.beyond and not rules.allow_production:
        raise Refused(
            "This gives a role over more than the environment in its path, so nothing was sent.",
            "Give the role over that environment (scope: its id, type ENVIRONMENT) or a population in it. The person who "
            f"runs this server can allow more with {setting('allow_production_writes')}.",
            code="PRODUCTION_WRITES_OFF",
        )


def _check_client(ctx: AppContext) -> None:
    """Raise Refused for a client that cannot show a question with a form."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        raise Refused(
            "This client cannot ask its person for a confirmation, so nothing was sent.",
            "Use a client with MCP elicitation for writes.",
            code="CANNOT_ASK",
        )


def _kind(preview: Preview) -> str:
    return preview.organization.type if preview.organization.type in ("PRODUCTION", "SANDBOX") else "unknown"


def _message(request: ProxyQuestion, preview: Preview, about: tuple[Concerned, ...], reference: str) -> str:
    """Say what would be sent, where, to whom, and what it changes: all of it, each part on one line of its own.

    Secrets are blanked. What somebody else wrote stands in quotes that it cannot leave, or holds no space, and shows
    as what it is wherever it is displayed. Raises Refused for what is too large to be looked at.
    """
    lines = [
        f"{request.method} {coded(preview.path)}",
        f"Environment: {_named(preview.organization.name or 'unnamed')} ({_kind(preview)}), {preview.organization.id}",
        *map(_whom, about),
    ]
    if preview.query:
        lines.append(f"Query: {quoted(preview.query)}")
    if request.content_type:
        lines.append(f"Media type: {quoted(request.content_type)}")
    if request.body is not None:
        lines.append(f"Body: {quoted(preview.body)}")
    if request.method == "DELETE":
        lines.append("This deletes what the path names.")
    text = "\n".join(lines)
    if len(text) > _SHOWN:
        raise Refused(
            f"This request has {len(text):,} characters, more than a person can look through, so nothing was sent.",
            f"Send it in parts of less than {_SHOWN:,} characters.",
            code="TOO_LARGE_TO_CONFIRM",
        )
    return f"Send this to PingOne? ({reference})\n{text}"


def _whom(one: Concerned) -> str:
    """Name somebody that a write is about, as data in quotes."""
    word = one.kind.capitalize()
    if one.found is None:
        return f"{word}: the name cannot be read, {one.id}"
    if not one.found:
        return f"{word}: there is none of this id, {one.id}"
    username = f", username {_named(one.username)}" if one.username is not None else ""
    return f"{word}: {_named(one.name) if one.name is not None else 'without a name'}{username}, {one.id}"


def _named(name: str) -> str:
    """Return a name in quotes, cut where it is longer than a name should be."""
    return quoted(name) if len(name) <= _LONGEST_NAME else f"{quoted(name[:_LONGEST_NAME])} and more"


def _digest(request: ProxyQuestion) -> str:
    parts = [request.method, request.path, request.query, request.body, request.content_type]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _members(given: Mapping[str, Any]) -> list[str]:
    """Return names as they are recorded: what is refused may hold any number of any length."""
    return [name[:_LONGEST_NAME] for name in sorted(given)[:_LONGEST_NAME]]


def _client(ctx: AppContext) -> Client | None:
    told = ctx.session.client_params
    return (told.client_info.name, told.client_info.version) if told is not None else None


def _recorder(ctx: AppContext, journal: Journal, request: ProxyQuestion, preview: Preview | None) -> Recorder:
    """Return what records one event of this write. Of query and body only the names of the members are kept.

    Without a `preview`, which is where nothing was let through, path and query are those that were given.
    """
    client = _client(ctx)
    identity = str(uuid.uuid4())
    place: JsonObject = {
        "path": preview.path if preview is not None else request.path.partition("?")[0][:_SHOWN],
        "query": _members(preview.query if preview is not None else request.query),
        "environment": {"id": preview.organization.id, "type": preview.organization.type} if preview else None,
    }

    def record(event: str, more: JsonObject) -> None:
        journal.write(
            {
                "at": timestamp(datetime.now(UTC)),
                "id": identity,
                "event": event,
                "client": dict(zip(("name", "version"), client, strict=True)) if client is not None else None,
                "method": request.method,
                **place,
                "content_type": request.content_type[:_LONGEST_NAME] if request.content_type is not None else None,
                "body_members": _members(request.body) if isinstance(request.body, dict) else [],
                **more,
            }
        )

    return record
