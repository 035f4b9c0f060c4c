"""Other people's clients at MCP over HTTP, behind the gate: each signs in with a key, reads, writes and hears."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio

from pingone_mcp.clock import Clock
from tests.conformance.environments import environment
from tests.web.mcp.serving import PREFIX, Served

HERE = Path(__file__).parent
FASTMCP = "fastmcp==4.1.2"
_SEEN = {"asked": 1, "progress": 1, "rows": 1, "written": 200}
_INSPECTIONS = {
    "tools/list --strict": ("--method", "tools/list", "--strict"),
    "tools/call": ("--method", "tools/call", "--tool-name", "list_users", "--tool-arg", "limit=3"),
}

Report = Callable[[str, str, str, str | None], bool]
"""Prints a line: era or version, what was tried, what was said, and what counted as passed (None: nothing)."""


async def clients(folder: Path, home: Path, report: Report) -> list[bool]:
    """Let each client do what clients do; `folder` has the node packages, `home` is for what the server keeps."""
    served = Served(home, clock=Clock(monotonic=lambda: time.monotonic() * 1_000))  # limits of requests never hold
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    node = str(folder / "node_modules" / ".bin" / "node")
    python = str(environment(folder, FASTMCP))
    async with served.listening():
        common = (served.path("acme"), f"{PREFIX}acme", json.dumps(_write(served)))
        return [
            await _client("TypeScript SDK 1.x", "session", (node, str(folder / "session_client.mjs"), *common), report),
            *[
                await _client(
                    "TypeScript SDK 2.x", era, (node, str(folder / "pinned_client.mjs"), *common, era), report
                )
                for era in ("legacy", "auto", "modern")
            ],
            await _client("fastmcp", "auto", (python, str(HERE / "fastmcp_client.py"), *common), report),
            *[
                await _inspection(folder, served, era, name, report)
                for era in ("legacy", "modern")
                for name in _INSPECTIONS
            ],
        ]


def _write(served: Served) -> Mapping[str, object]:
    sandbox = served.worlds["acme"].sandbox
    path = f"/environments/{sandbox.environment_id}/users/{sandbox.state().user(10)['id']}/enabled"
    return {"method": "PUT", "path": path, "body": {"enabled": False}}


async def _client(name: str, era: str, command: tuple[str, ...], report: Report) -> bool:
    """Run a client that says as JSON what it has met."""
    status, said = await _run(command)
    met = json.loads(said.splitlines()[-1]) if status == 0 else {}
    passed = {key: met.get(key) for key in _SEEN} == _SEEN
    return report(era, f"over HTTP: {name}", said, f"{met['tools']} tools, a write" if passed else None)


async def _inspection(folder: Path, served: Served, era: str, name: str, report: Report) -> bool:
    asked = (served.path("acme"), "--transport", "http", "--header", f"Authorization: Bearer {PREFIX}acme")
    inspector = str(folder / "node_modules" / ".bin" / "mcp-inspector")
    status, said = await _run((inspector, "--cli", *asked, "--protocol-era", era, *_INSPECTIONS[name]))
    passed = status == 0 and '"isError": true' not in said
    return report(era, f"over HTTP: inspector: {name}", said, "answered" if passed else None)


async def _run(command: tuple[str, ...]) -> tuple[int, str]:
    programs = Path(command[0]).parent
    env = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    with anyio.fail_after(120):
        done = await anyio.run_process([*command], env=env, check=False, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace")
