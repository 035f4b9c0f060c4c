"""`proxy_request` where writes are allowed: each is confirmed by the person at the client, by elicitation."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import AcceptedElicitation, Context, DeclinedElicitation, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.request_state import authenticated_principal
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field, StrictBool

from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.errors import Problem
from pingone_mcp.server.arguments import Cursor, Query
from pingone_mcp.server.edge import AppContext, answer, backend_of, connection_of
from pingone_mcp.server.strict import StrictTool, open_object, strict_tool
from pingone_mcp.server.tools import proxy
from pingone_mcp.service.questions import Addressee
from pingone_mcp.service.writes import Decision, Write, writes_off

READS = ("GET", "HEAD")
_AROUND = 600  # what is said of an answer beside its body
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
class _Call:
    """One call of the tool: the write that its person was asked about, and whether the answer is still to come."""

    write: Write | None = None
    is_asking: bool = False


_CALL: ContextVar[_Call] = ContextVar("call")


class AskingTool(StrictTool):
    """A tool whose question may be answered in ways that the SDK states in its own words, or as a protocol error."""

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:  # noqa: FBT001, FBT002 - the SDK's signature
        call = _Call()
        token = _CALL.set(call)
        try:
            result = await super().run(arguments, context, convert_result)
        except (MCPError, ToolError):
            if call.write is None or not call.is_asking:
                raise
        else:
            if call.write is not None and isinstance(result, InputRequiredResult) and result.request_state is not None:
                call.write.wait_for_answer(result.request_state)
            return result
        finally:
            _CALL.reset(token)
        try:
            call.write.refuse_unanswered()
        except Problem as problem:
            raise ToolError(str(problem)) from problem


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
    and asks the same, to which the SDK has the answer. Raises ToolError.
    """
    if method in READS:
        return Confirmation(confirm=True)
    call = _CALL.get()
    request = ProxyQuestion(
        method=method, path=path, query=proxy.parameters(query), body=body, content_type=content_type
    )
    try:
        backend = await backend_of(ctx)
        if backend.writes is None:
            raise writes_off()
        call.write = Write(backend.native_api(), backend.writes, request, _addressee(ctx))
        state = ctx.request_state if ctx.input_responses else None
        text = await call.write.ask(cursor=cursor, state=state, can_ask=_can_ask(ctx))
    except Problem as problem:
        raise ToolError(str(problem)) from problem
    call.is_asking = True
    return Elicit(text, Confirmation)


def _can_ask(ctx: AppContext) -> bool:
    """Say whether the client can show a question with a form, and the question can reach it inside this call.

    In a session it goes out while the call is answered, which takes a stream; later clients call again.
    """
    if ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS and not ctx.session.can_send_request:
        return False
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _addressee(ctx: AppContext) -> Addressee:
    known = ctx.session.client_params
    return Addressee(
        connection=connection_of(ctx).id,
        client=(known.client_info.name, known.client_info.version) if known is not None else None,
        principal=authenticated_principal(ctx.request_context),
    )


def _decision(confirmation: ElicitationResult[Confirmation]) -> Decision:
    if isinstance(confirmation, AcceptedElicitation) and confirmation.data.confirm:
        return "confirmed"
    return "declined" if isinstance(confirmation, DeclinedElicitation | AcceptedElicitation) else "cancelled"


async def _send(ctx: AppContext, confirmation: ElicitationResult[Confirmation]) -> CallToolResult:
    call = _CALL.get()
    call.is_asking = False
    if call.write is None:
        raise writes_off()
    sent = await call.write.send(_decision(confirmation))
    room = (await backend_of(ctx)).answer_characters - _AROUND
    note = {"note": " ".join(sent.notes)} if sent.notes else {}
    return answer(proxy.proxied(sent.answer, {}, room) | note)


async def proxy_request(
    ctx: AppContext,
    *,
    path: Annotated[str, Field(min_length=1, description="Path below the API base, e.g. /environments/{id}/users.")],
    method: Method = "GET",
    query: Query = None,
    body: Body = None,  # noqa: ARG001 - `confirmed` takes it
    content_type: ContentType = None,  # noqa: ARG001 - as above
    cursor: Cursor = None,
    confirmation: Annotated[ElicitationResult[Confirmation], Resolve(confirmed)],
) -> CallToolResult:
    """Send one request to the PingOne API as it is, for what the other tools do not cover.

    Reads answer {status, correlation_id} with result (a collection's native items without _links, and next_cursor for
    the next page) or body (a single resource verbatim). A write (POST, PUT, PATCH, DELETE) is sent only after the
    person has confirmed it. Secrets are blanked.
    """
    if method in ("GET", "HEAD"):
        return await proxy.proxy_request(ctx, path=path, method=method, query=query, cursor=cursor)
    return await _send(ctx, confirmation)


def tool() -> StrictTool:
    """Return `proxy_request` as it is offered where writes are allowed."""
    return strict_tool(
        proxy_request,
        place=proxy.PLACE,
        title="Call the PingOne API",
        annotations=_WRITING,
        kind=AskingTool,
    )
