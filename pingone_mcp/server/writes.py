"""Where PingOne is changed, and nowhere else: `proxy_request` with writes, each confirmed by a person.

It fails closed: writes are off unless a setting allows them; an environment that is not known to be a SANDBOX needs a
second setting; a client that cannot ask its person is refused; a confirmation is good for one request.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import AcceptedElicitation, Context, DeclinedElicitation, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.provider import Preview, ProxyQuestion
from pingone_mcp.directory.rows import fitted, timestamp
from pingone_mcp.directory.text import harmless
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.server import reads
from pingone_mcp.server.edge import App, AppContext, Backend, answer, backend_of, compact, strict_tool
from pingone_mcp.server.journal import Journal
from pingone_mcp.server.reads import Cursor, Query

logger = logging.getLogger(__name__)

READS = ("GET", "HEAD")
_SHOWN = 1_500
_PENDING_AT_MOST = 1_000
_WRITING = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)


@dataclass(slots=True, kw_only=True)
class WriteRules:
    """What is allowed, where it is recorded, and which confirmations have been asked for and not been used yet."""

    journal: Journal
    allow_production: bool = False
    pending: dict[str, None] = field(default_factory=dict[str, None])

    def ask(self, question: str) -> None:
        """Remember that a confirmation was asked for; the oldest ones are forgotten."""
        self.pending[question] = None
        while len(self.pending) > _PENDING_AT_MOST:
            del self.pending[next(iter(self.pending))]

    def use(self, question: str) -> bool:
        """Use up a confirmation; say whether there was one."""
        return self.pending.pop(question, "unknown") is None


class Confirmation(BaseModel):
    """What the person is asked."""

    confirm: bool = Field(description="Send this request to PingOne")


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Body = Annotated[Any, Field(description="JSON body of a write.")]
ContentType = Annotated[
    str | None,
    Field(description="Media type of the body, e.g. application/vnd.pingidentity.account.lock+json; default JSON."),
]


async def confirmed(
    ctx: Context[App, Any],
    *,
    path: str,
    method: str,
    query: Query,
    body: Any,
    content_type: str | None,
) -> Elicit[Confirmation] | Confirmation:
    """Ask the person whether to send a write; reads need no asking. Refuse here what may not be sent at all."""
    if method in READS:
        return Confirmation(confirm=True)
    try:
        backend = await backend_of(ctx)
        rules = _rules(backend)
        question = write_question(path, method, query, body, content_type)
        preview = await backend.directory.preview(question)
        _check(ctx, rules, preview)
    except Problem as problem:
        raise ToolError(str(problem)) from problem
    if ctx.input_responses is None:
        rules.ask(_digest(question))
    return Elicit(_message(question, preview), Confirmation)


def write_question(path: str, method: str, query: Query, body: Any, content_type: str | None) -> ProxyQuestion:
    return ProxyQuestion(method=method, path=path, query=reads.parameters(query), body=body, content_type=content_type)


async def send(
    ctx: AppContext, question: ProxyQuestion, confirmation: ElicitationResult[Confirmation]
) -> CallToolResult:
    """Send a write that the person confirmed; record what was decided, sent and answered."""
    backend = await backend_of(ctx)
    rules = _rules(backend)
    preview = await backend.directory.preview(question)
    record = _recorder(ctx, rules.journal, question, preview)
    was_asked = rules.use(_digest(question))
    if not isinstance(confirmation, AcceptedElicitation) or not confirmation.data.confirm:
        word = "cancelled" if not isinstance(confirmation, DeclinedElicitation | AcceptedElicitation) else "declined"
        record(word, {})
        raise Refused(
            f"The person {word} this request, so nothing was sent.", "Do not repeat it unasked.", code="DECLINED"
        )
    if not was_asked:
        record("refused", {"code": "CONFIRMATION_USED"})
        raise Refused(
            "This confirmation was used already, so nothing was sent.",
            "Make the request anew to ask the person again.",
            code="CONFIRMATION_USED",
        )
    record("sending", {})  # what cannot be recorded is not sent
    try:
        sent = await backend.directory.proxy(question)
    except Problem as problem:
        _record_result(record, "failed", {"code": problem.code, "correlation_id": problem.correlation_id})
        raise
    except BaseException:
        _record_result(record, "unknown", {"note": "ended before the answer; it may have happened"})
        raise
    facts: JsonObject = {"status": sent.status, "correlation_id": sent.correlation_id}
    recorded = _record_result(record, "answered", facts)
    if not recorded:
        facts = facts | {"audit": "sent, but its result could not be recorded"}
    body = {} if sent.body is None else {"body": sent.body}
    return answer(fitted(facts | body, backend.answer_characters))


def _record_result(record: Callable[[str, JsonObject], None], event: str, more: JsonObject) -> bool:
    """Record what became of a request that was sent; a full disk must not hide that it was."""
    try:
        record(event, more)
    except Refused:
        logger.warning("the result of a write could not be recorded")
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
        proxy_request, title="Call the PingOne API", output_schema=reads.PROXY_SCHEMA, annotations=_WRITING
    )


def _rules(backend: Backend) -> WriteRules:
    if backend.writes is None:
        raise Refused(
            "Writes are off, so nothing was sent.",
            "The person who runs this server can allow them with PINGONE_ALLOW_WRITES.",
            code="WRITES_OFF",
        )
    return backend.writes


def _check(ctx: Context[App, Any], rules: WriteRules, preview: Preview) -> None:
    """Raise Refused for a write that may not even be asked about."""
    if preview.organization.type != "SANDBOX" and not rules.allow_production:
        raise Refused(
            f"This environment is of type {_kind(preview)}, so nothing was sent.",
            "The person who runs this server can allow it with PINGONE_ALLOW_PRODUCTION_WRITES.",
            code="PRODUCTION_WRITES_OFF",
        )
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


def _message(question: ProxyQuestion, preview: Preview) -> str:
    """Say what would be sent, where, and what it changes; secrets in the body are blanked."""
    name = harmless(preview.organization.name or "unnamed").replace("`", "'")[:100]
    lines = [
        f"{question.method} {question.path}" + (f" with {compact(question.query)}" if question.query else ""),
        f"Environment: `{name}` ({_kind(preview)}), {preview.organization.id}",
    ]
    if question.content_type:
        lines.append(f"Media type: {harmless(question.content_type)[:200]}")
    if question.body is not None:
        text = harmless(compact(preview.body))
        lines.append(f"Body: {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}")
    if question.method == "DELETE":
        lines.append("This deletes what the path names.")
    return "Send this to PingOne?\n" + "\n".join(lines)


def _digest(question: ProxyQuestion) -> str:
    parts = [question.method, question.path, question.query, question.body, question.content_type]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _recorder(
    ctx: Context[App, Any], journal: Journal, question: ProxyQuestion, preview: Preview
) -> Callable[[str, JsonObject], None]:
    """Return what records one event of this write. Of the body only the names of its members are kept."""
    client = ctx.session.client_params.client_info if ctx.session.client_params is not None else None
    identity = str(uuid.uuid4())
    members = sorted(question.body) if isinstance(question.body, dict) else []

    def record(event: str, more: JsonObject) -> None:
        journal.write(
            {
                "at": timestamp(datetime.now(UTC)),
                "id": identity,
                "event": event,
                "client": {"name": client.name, "version": client.version} if client is not None else None,
                "method": question.method,
                "path": question.path,
                "query": sorted(question.query),
                "environment": {"id": preview.organization.id, "type": preview.organization.type},
                "content_type": question.content_type,
                "body_members": members,
                **more,
            }
        )

    return record
