"""Whether the server lives, and whether it is ready to answer: for load balancers and process managers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from pingone_mcp.errors import Problem
from pingone_mcp.web.operations.metrics import Metrics

Probe = Callable[[], Awaitable[None]]
"""Raises whatever is wrong with a part without which nothing can be answered."""

_PATIENCE = 5.0  # seconds; load balancers wait about as long
_logger = logging.getLogger(__name__)


Note = Callable[[], Awaitable[str | None]]
"""Returns a sentence about something that a person should look at, while everything is answered; None: nothing."""


def routes(
    probes: Mapping[str, Probe], metrics: Metrics, notes: Mapping[str, Note] = MappingProxyType({})
) -> list[BaseRoute]:
    """Return `/healthz` (alive), `/readyz` (every probe succeeds: 200, else 503 and which failed), `/metrics`.

    `/readyz` shows the notes too, which make nothing unready.
    """

    async def ready(_: Request) -> JSONResponse:
        found: dict[str, str] = {}
        async with anyio.create_task_group() as asking:
            for name, probe in probes.items():
                asking.start_soon(_probe, name, probe, found)
        whole = all(state == "ok" for state in found.values())
        said = await _said(notes) if whole else {}
        answer = {"ready": whole, "parts": dict(sorted(found.items())), "notes": said}
        return JSONResponse(answer, status_code=200 if whole else 503)

    async def alive(_: Request) -> JSONResponse:
        return JSONResponse({"alive": True})

    return [
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
        Route("/metrics", metrics.show, methods=["GET"]),
    ]


async def _said(notes: Mapping[str, Note]) -> dict[str, str]:
    """Return what there is to say; what cannot be found out now is left out, as a probe says why."""
    found: dict[str, str] = {}
    with anyio.move_on_after(_PATIENCE), suppress(Problem):
        for name, note in notes.items():
            if (text := await note()) is not None:
                found[name] = text
    return found


async def _probe(name: str, probe: Probe, found: dict[str, str]) -> None:
    """Note what comes of a probe: words that tell nothing of what is inside."""
    found[name] = f"no answer within {_PATIENCE:.0f} s"
    try:
        with anyio.move_on_after(_PATIENCE):
            await probe()
            found[name] = "ok"
    except Problem as problem:
        found[name] = problem.code or "failed"
    except Exception:
        _logger.exception("The part %s is not ready", name)
        found[name] = "failed"
