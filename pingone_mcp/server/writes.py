"""Where PingOne is changed, and nowhere else: `proxy_request` with writes, each confirmed by a person.

It fails closed: writes are off unless a setting allows them; an environment that is not known to be a SANDBOX needs a
second setting; a client that cannot ask its person is refused; a confirmation is good for one request.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import AcceptedElicitation, Context, DeclinedElicitation, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field, StrictBool

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.provider import Concerned, Preview, ProxyQuestion
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text import revealed
from pingone_mcp.errors import Problem, Refused, ServerFailed, UnexpectedAnswer, Unreachable
from pingone_mcp.server import reads
from pingone_mcp.server.edge import App, AppContext, Backend, answer, backend_of, compact, open_object, strict_tool
from pingone_mcp.server.journal import Journal
from pingone_mcp.server.reads import Cursor, Query

logger = logging.getLogger(__name__)

READS = ("GET", "HEAD")
_SHOWN = 6_000
_LONGEST_NAME = 100
_AROUND = 600
_LOOK = "It may have happened all the same: read the resource before you repeat the request."
_PENDING_AT_MOST = 1_000
_WRITING = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)


@dataclass(slots=True, kw_only=True)
class WriteRules:
    """What is allowed, where it is recorded, and which confirmations have been asked for and not been used yet."""

    journal: Journal
    allow_production: bool = False
    pending: dict[str, str] = field(default_factory=dict[str, str])

    def reference(self, request: str) -> str:
        """Return the reference of the question about a request; a new one each time a confirmation was used up.

        It stands in the question, so that an answer to an earlier question is none to this one. The oldest questions
        are forgotten.
        """
        found = self.pending.setdefault(request, secrets.token_hex(4))
        while len(self.pending) > _PENDING_AT_MOST:
            del self.pending[next(iter(self.pending))]
        return found

    def use(self, request: str) -> bool:
        """Use up the confirmation of a request; say whether there was one."""
        return self.pending.pop(request, None) is not None


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
    """One call of the tool: how to refuse it for the answer to its question (None: none was asked or still counts)."""

    refuse: Callable[[], None] | None = None


_ASKING: ContextVar[_Asking] = ContextVar("asking")


class AskingTool(Tool):
    """A tool whose question may be answered in ways that the SDK tells in its own words, or as a protocol error."""

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:  # noqa: FBT001, FBT002 - the SDK's signature
        asking = _Asking()
        token = _ASKING.set(asking)
        try:
            return await super().run(arguments, context, convert_result)
        except (MCPError, ToolError):
            if asking.refuse is None:
                raise
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


async def confirmed(
    ctx: Context[App, Any],
    *,
    path: str,
    method: str,
    query: Query,
    body: Any,
    content_type: str | None,
    cursor: str | None,
) -> Elicit[Confirmation] | Confirmation:
    """Ask the person whether to send a write; reads need no asking. Refuse here what may not be sent at all."""
    if method in READS:
        return Confirmation(confirm=True)
    try:
        backend = await backend_of(ctx)
        rules = _rules(backend)
        question = write_question(path, method, query, body, content_type)
        with _refusals(_recorder(ctx, rules.journal, question, None)):
            if cursor is not None:
                raise Refused("A write takes no `cursor`.", "Leave it out. Nothing was sent.", code="CURSOR_REFUSED")
            preview = await backend.directory.preview(question)
        record = _recorder(ctx, rules.journal, question, preview)
        with _refusals(record):
            _check(rules, preview)
            _check_client(ctx)
            about = await backend.directory.concerned(question)
            message = _message(question, preview, about, rules.reference(_digest(question)))
    except Problem as problem:
        raise ToolError(str(problem)) from problem

    def refuse() -> None:
        rules.use(_digest(question))
        record("refused", {"code": "NO_CONFIRMATION"})

    _ASKING.get().refuse = refuse
    return Elicit(message, Confirmation)


@contextmanager
def _refusals(record: Callable[[str, JsonObject], None]) -> Iterator[None]:
    """Record what is refused; that it is matters more to who asked than that it cannot be recorded."""
    try:
        yield
    except Problem as problem:
        _record_result(record, "refused", {"code": problem.code})
        raise


def write_question(path: str, method: str, query: Query, body: Any, content_type: str | None) -> ProxyQuestion:
    return ProxyQuestion(method=method, path=path, query=reads.parameters(query), body=body, content_type=content_type)


async def send(
    ctx: AppContext, question: ProxyQuestion, confirmation: ElicitationResult[Confirmation]
) -> CallToolResult:
    """Send a write that the person confirmed; record what was decided, sent and answered."""
    _ASKING.get().refuse = None
    backend = await backend_of(ctx)
    rules = _rules(backend)
    with _refusals(_recorder(ctx, rules.journal, question, None)):
        preview = await backend.directory.preview(question)
    record = _recorder(ctx, rules.journal, question, preview)
    was_asked = rules.use(_digest(question))
    if not isinstance(confirmation, AcceptedElicitation) or not confirmation.data.confirm:
        word = "cancelled" if not isinstance(confirmation, DeclinedElicitation | AcceptedElicitation) else "declined"
        record(word, {})
        raise Refused(
            f"The person {word} this request, so nothing was sent.", "Do not repeat it unasked.", code="DECLINED"
        )
    with _refusals(record):
        if not was_asked:
            raise Refused(
                "This confirmation was used up, by this request or one just like it, so nothing was sent.",
                "Make the request anew to ask the person again.",
                code="CONFIRMATION_USED",
            )
        _check(rules, preview)  # the person may have taken their time
    record("sending", {})  # what cannot be recorded is not sent
    try:
        sent = await backend.directory.proxy(question)
    except (Unreachable, ServerFailed, UnexpectedAnswer) as problem:
        _record_result(record, "unknown", {"code": problem.code, "correlation_id": problem.correlation_id})
        raise type(problem)(problem.what, _LOOK, code=problem.code, correlation_id=problem.correlation_id) from problem
    except Problem as problem:
        _record_result(record, "failed", {"code": problem.code, "correlation_id": problem.correlation_id})
        raise
    except BaseException:
        _record_result(record, "unknown", {"code": "ENDED"})
        raise
    told: JsonObject = {"status": sent.status, "correlation_id": sent.correlation_id}
    notes = [] if _record_result(record, "answered", told) else ["It was sent, but its result could not be recorded."]
    if sent.unread is not None:
        notes.append(f"It was done, but its answer cannot be shown: {sent.unread}")
    facts = reads.proxied(sent, {}, backend.answer_characters - _AROUND)
    return answer(facts | ({"note": " ".join(notes)} if notes else {}))


def _record_result(record: Callable[[str, JsonObject], None], event: str, more: JsonObject) -> bool:
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
            "The person who runs this server can allow it with PINGONE_ALLOW_PRODUCTION_WRITES.",
            code="PRODUCTION_WRITES_OFF",
        )


def _check_client(ctx: Context[App, Any]) -> None:
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


def _message(question: ProxyQuestion, preview: Preview, about: tuple[Concerned, ...], reference: str) -> str:
    """Say what would be sent, where, to whom, and what it changes: all of it, each part on one line of its own.

    Secrets are blanked, and characters that nobody would see are written as their codes. Raises Refused for what is
    too large to be looked at.
    """
    lines = [
        f"{question.method} {preview.path}",
        f"Environment: {_quoted(preview.organization.name or 'unnamed')} ({_kind(preview)}), {preview.organization.id}",
        *map(_whom, about),
    ]
    if preview.query:
        lines.append(f"Query: {revealed(compact(preview.query))}")
    if question.content_type:
        lines.append(f"Media type: {question.content_type}")
    if question.body is not None:
        lines.append(f"Body: {revealed(compact(preview.body))}")
    if question.method == "DELETE":
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
    username = f", username {_quoted(one.username)}" if one.username is not None else ""
    return f"{word}: {_quoted(one.name) if one.name is not None else 'without a name'}{username}, {one.id}"


def _quoted(name: str) -> str:
    """Return a name that cannot leave its quotes or its line, cut where it is longer than a name should be."""
    shown = revealed(name).replace("`", "'")
    return f"`{shown if len(shown) <= _LONGEST_NAME else shown[:_LONGEST_NAME] + '…'}`"


def _digest(question: ProxyQuestion) -> str:
    parts = [question.method, question.path, question.query, question.body, question.content_type]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _recorder(
    ctx: Context[App, Any], journal: Journal, question: ProxyQuestion, preview: Preview | None
) -> Callable[[str, JsonObject], None]:
    """Return what records one event of this write. Of query and body only the names of the members are kept.

    Without a `preview`, which is where nothing was let through, path and query are those that were given.
    """
    client = ctx.session.client_params.client_info if ctx.session.client_params is not None else None
    identity = str(uuid.uuid4())
    place: JsonObject = {
        "path": preview.path if preview is not None else question.path.partition("?")[0][:_SHOWN],
        "query": sorted(preview.query if preview is not None else question.query),
        "environment": {"id": preview.organization.id, "type": preview.organization.type} if preview else None,
    }

    def record(event: str, more: JsonObject) -> None:
        journal.write(
            {
                "at": timestamp(datetime.now(UTC)),
                "id": identity,
                "event": event,
                "client": {"name": client.name, "version": client.version} if client is not None else None,
                "method": question.method,
                **place,
                "content_type": question.content_type,
                "body_members": sorted(question.body) if isinstance(question.body, dict) else [],
                **more,
            }
        )

    return record
