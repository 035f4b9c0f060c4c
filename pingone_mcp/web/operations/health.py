"""Whether the server lives, and whether it is ready to answer: for load balancers and process managers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

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


def routes(probes: Mapping[str, Probe], metrics: Metrics) -> list[BaseRoute]:
    """Return `/healthz` (alive), `/readyz` (every probe succeeds: 200, else 503 and which failed), `/metrics`."""

    async def ready(_: Request) -> JSONResponse:
        found: dict[str, str] = {}
        async with anyio.create_task_group() as asking:
            for name, probe in probes.items():
                asking.start_soon(_probe, name, probe, found)
        whole = all(state == "ok" for state in found.values())
        return JSONResponse({"ready": whole, "parts": dict(sorted(found.items()))}, status_code=200 if whole else 503)

    async def alive(_: Request) -> JSONResponse:
        return JSONResponse({"alive": True})

    return [
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
        Route("/metrics", metrics.show, methods=["GET"]),
    ]


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
