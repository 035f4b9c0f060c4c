"""`make conformance`: the server before the official referees of MCP, which are node programs.

The conformance suite speaks HTTP only and meets the server behind `face.py`. Of its scenarios, those are left out that
call tools of fixed names. The Inspector starts the server as any client does, in both protocol eras. Clients of others
meet MCP over HTTP behind its gate (`over_http.py`), and REST at a running `pingone-mcp serve` (`rest.py`).
"""
# ruff: noqa: T201 - it prints a report

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from tests.conformance.face import http_face
from tests.conformance.over_http import clients
from tests.conformance.rest import rest_api

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".conformance"
PROGRAMS = FOLDER / "node_modules" / ".bin"
# The suite needs node 22 and does not say so; node itself comes as a package, whatever this machine has.
PACKAGES = (
    "node@22.23.3",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/sdk@1.32.2",
    "@modelcontextprotocol/client@2.4.0",
)

_SESSIONS = ("2025-06-18", "2025-11-25")
_STATELESS = "2026-07-28"
SCENARIOS: dict[str, tuple[str, ...]] = {
    "server-initialize": _SESSIONS,
    "server-session-lifecycle": ("2025-03-26", *_SESSIONS),
    "ping": _SESSIONS,
    "server-sse-multiple-streams": ("2025-11-25", _STATELESS),
    "tools-list": (*_SESSIONS, _STATELESS),
    "resources-list": (*_SESSIONS, _STATELESS),
    "prompts-list": (*_SESSIONS, _STATELESS),
    "dns-rebinding-protection": ("2025-11-25", _STATELESS),
    "caching": (_STATELESS,),
    "http-header-validation": (_STATELESS,),
    "sep-2164-resource-not-found": (_STATELESS,),
    "input-required-result-unsupported-methods": (_STATELESS,),
}
INSPECTIONS = {
    "tools/list --strict": ("--method", "tools/list", "--strict"),
    "tools/call": ("--method", "tools/call", "--tool-name", "list_users", "--tool-arg", "limit=3"),
    "prompts/list": ("--method", "prompts/list"),
    "resources/list": ("--method", "resources/list"),
}


def install() -> None:
    """Put the packages into a folder of their own, once per set of versions."""
    stamp = FOLDER / "installed"
    wanted = "\n".join(PACKAGES)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    if (npm := shutil.which("npm")) is None:
        sys.exit("make conformance needs npm, to install the referees with. Everything else works without it.")
    print("Installing the referees, once; it takes about a quarter of a minute.", flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
    subprocess.run([npm, "install", "--prefix", str(FOLDER), *quiet, *PACKAGES], cwd=FOLDER, check=True)
    stamp.write_text(wanted, encoding="utf-8")


async def run(program: str, *arguments: str) -> tuple[int, str]:
    """Run a node program and return its exit status and what it said."""
    env = os.environ | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    with anyio.fail_after(120):
        done = await anyio.run_process(
            [str(PROGRAMS / program), *arguments], env=env, cwd=ROOT, check=False, stderr=subprocess.STDOUT
        )
    return done.returncode, done.stdout.decode(errors="replace")


def report(version: str, what: str, said: str, counted: str | None) -> bool:
    """Print one line; with everything the referee said if it counted nothing that counts as passed."""
    print(f"{'ok' if counted else 'FAILED':7} {version:11} {what:42} {counted or ''}".rstrip(), flush=True)
    if counted is None:
        print(said)
    return counted is not None


async def scenario(address: str, name: str, version: str) -> bool:
    asked = ("--url", address, "--scenario", name, "--spec-version", version)
    status, said = await run("conformance", "server", *asked)
    found = re.search(r"^Passed: (\d+)/(\d+), 0 failed", said, re.MULTILINE)
    # A scenario that is skipped exits with 0 too: what counts is that checks were made, and all passed.
    passed = status == 0 and found is not None and found[1] == found[2] != "0"
    return report(version, name, said, f"checks: {found[1]}" if passed and found else None)


async def inspection(era: str, name: str, arguments: tuple[str, ...], home: str) -> bool:
    told = ("-e", "PINGONE_SANDBOX=1", "-e", f"PINGONE_CACHE_DIR={home}/cache", "--protocol-era", era)
    status, said = await run("mcp-inspector", "--cli", *told, *arguments, "--", sys.executable, "-m", "pingone_mcp")
    found = re.search(r"^0 errors, \d+ warnings?", said, re.MULTILINE)
    counted = found[0] if found else "answered"
    return report(era, f"inspector: {name}", said, counted if status == 0 and '"isError": true' not in said else None)


async def referee(home: str) -> bool:
    results: list[bool] = []
    async with http_face() as address:
        for name, versions in SCENARIOS.items():
            results += [await scenario(address, name, version) for version in versions]
    for era in ("legacy", "modern"):
        results += [await inspection(era, name, arguments, home) for name, arguments in INSPECTIONS.items()]
    results += await clients(FOLDER, Path(home), report)
    results += await rest_api(FOLDER, Path(home), report)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return all(results)


def main() -> int:
    install()
    for name in [name for name in os.environ if name.startswith("PINGONE_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        # The Inspector keeps a catalog in the home folder.
        os.environ |= {"HOME": home, "PINGONE_SANDBOX": "1", "PINGONE_CACHE_DIR": f"{home}/cache"}
        return 0 if anyio.run(referee, home) else 1


if __name__ == "__main__":
    sys.exit(main())
