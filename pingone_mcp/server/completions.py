"""Completion of the arguments of resource templates and prompts: what a client offers while a person types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.types import CompleteRequestParams, CompleteResult, Completion

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Problem
from pingone_mcp.service.answering import in_time
from pingone_mcp.service.asking.candidates import candidates
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.connections import ServedConnection

# Arguments of prompts that name a thing by another word.
_MEANT = {"person": "user", "subject": "group"}
_LONGEST = 300
_AT_MOST = 100  # MCP 2025-06-18, "Completion": values


def add_completions(server: MCPServer[ServedConnection]) -> None:
    """Answer completion requests. Where there is nothing to offer, or nothing is configured yet, nothing is offered."""

    async def complete(
        ctx: ServerRequestContext[ServedConnection, Any], params: CompleteRequestParams
    ) -> CompleteResult:
        given = params.context.arguments if params.context is not None else None
        typed = params.argument.value
        place = (given or {}).get("environment") or None
        if max(len(typed), len(place or "")) > _LONGEST:  # no name goes on from there
            return CompleteResult(completion=completion((), ""))
        try:
            backend = await ctx.lifespan_context.backend()
            with in_time(backend):
                found = await _candidates(backend, params.argument.name, typed, place)
        except Problem:
            found = ()
        return CompleteResult(completion=completion(map(harmless, found), typed))

    # The decorator `MCPServer.completion` gives a handler no context, and so no way to the directory.
    server._lowlevel_server.add_request_handler("completion/complete", CompleteRequestParams, complete)  # noqa: SLF001


async def _candidates(backend: Backend, argument: str, typed: str, environment: str | None) -> Iterable[str]:
    """Return candidates for an argument; those of templates and prompts of one name mean the same."""
    if argument == "area":
        return backend.native_api().operations()
    if argument == "path":
        # Without the leading slash: the SDK refuses what looks like a path on disk in a template.
        return [path.lstrip("/") for path in backend.native_api().complete_path(typed)]
    wanted = _MEANT.get(argument, argument)
    return await candidates(backend.directory, wanted, typed, environment=environment)


def completion(candidates: Iterable[str], typed: str) -> Completion:
    """Return the candidates that hold what was typed, those that begin with it first, in either case of letters."""
    part = typed.casefold()
    fitting = [candidate for candidate in candidates if part in candidate.casefold()]
    fitting.sort(key=lambda candidate: not candidate.casefold().startswith(part))
    return Completion(values=fitting[:_AT_MOST], total=len(fitting), has_more=len(fitting) > _AT_MOST)
