"""The main job, done by a program that is installed somewhere: all that is known of it is how it is started."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pingone_mcp import __version__
from tests.process.programs import PATIENCE, started


def bare(home: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a bare machine, in which nothing of this one is found."""
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), **variables}


def do_the_main_job(program: Sequence[str], home: Path) -> None:
    """See that a program says its version, tells its story, and answers as a server."""
    assert said(program, "--version", home=home) == f"pingone-mcp {__version__}\n"
    story = said(program, "demo", home=home)
    assert "That is the main job." in story, story
    assert "Traceback" not in story, story
    answer_as_a_server(program, bare(home, PINGONE_SANDBOX="1"))


def said(program: Sequence[str], *arguments: str, home: Path, **variables: str) -> str:
    """Return what a command prints. One that fails raises AssertionError, with all that it said."""
    env = bare(home, **variables)
    end = subprocess.run(
        [*program, *arguments], env=env, cwd=home, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert end.returncode == 0, f"{arguments} ended with {end.returncode}:\n{end.stdout}\n{end.stderr}"
    return end.stdout


def answer_as_a_server(program: Sequence[str], env: dict[str, str]) -> None:
    """See that a server on stdio opens a session, lists its tools, and answers a call."""
    with started(program=program, env=env) as server:
        server.greet()
        tools = server.answer(server.ask("tools/list"))["result"]["tools"]
        assert {"list_users", "query_directory"} <= {tool["name"] for tool in tools}
        answer = server.answer(server.call("list_users", limit=3))["result"]
        assert answer["structuredContent"]["result_count"] == 3, json.dumps(answer)
