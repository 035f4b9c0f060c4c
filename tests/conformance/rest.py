"""REST as others use it: Truto's public SDKs as they are, and schemathesis, which reads `/openapi.json`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import anyio

from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.service.callers import Permission
from tests.conformance.environments import NotToBeHad, environment
from tests.conformance.over_http import Report
from tests.process.programs import PROGRAM, bare, run

HERE = Path(__file__).parent
PYTHON_SDK = "truto-python-sdk==0.1.6"
TYPESCRIPT_SDK = "@truto/truto-ts-sdk@2.0.12"
SCHEMATHESIS = "schemathesis==4.32.5"
EVERYTHING: tuple[Permission, ...] = get_args(Permission)
DIRECTORY: tuple[Permission, ...] = ("directory.read", "directory.sync", "directory.write")
KEYS: Mapping[str, tuple[Permission, ...]] = {
    "all connections": EVERYTHING,
    "everything": EVERYTHING,
    "the directory": DIRECTORY,  # which stays as it is: who may manage connections pauses and removes them
    "nothing": (),
}
"""What the keys are good for, by their names; all but the first are those of one connection."""
_EXAMPLES = 20  # of each operation and phase
_BY_PYTHON: Mapping[str, Any] = {
    "users": 500,
    "proxy": [500, True],
    "written": ["Tester", "truto.sdk", "", 404],
    "accounts": [True, "active", "renamed", {"success": True}, True],
    "removed": 404,
    "not made": 400,
    "account token": [2, 403],
    "link tokens": True,
    "webhooks": [True, False, {"success": True}, True, False],
    "webhook removed": True,
    "runs": True,
    "without a key": 401,
}
_BY_TYPESCRIPT: Mapping[str, Any] = {
    "users": 500,
    "one": True,
    "proxy": [500, True],
    "changed": ["Tester", "{}"],
    "gone": 404,
    "account": "active",
    "listed": True,
    "link": True,
    "refreshed": True,
    "slashed": True,
}
# What is valid for a schema may be refused: a cursor that nobody has given, two parameters that exclude each other.
_NOT_CHECKED = "positive_data_acceptance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """A state folder with two linked connections, which may write or not, and what calls them."""

    env: Mapping[str, str]
    connections: tuple[str, str]
    keys: Mapping[str, str]


async def linked(home: Path, *, writes: bool) -> Company:
    """Link the sample company twice, as a person does, and give out a key of every permission, and one of none."""
    home.mkdir()
    env = bare(home, PINGONE_STATE_DIR=str(home / "state"))
    file = home / "sample.env"
    file.write_text(f"PINGONE_SANDBOX=1\nPINGONE_ALLOW_WRITES={str(writes).lower()}\n", encoding="utf-8")
    file.chmod(0o600)
    link = ("connect", "--env-file", str(file), "--json", "--tenant", "customer", "--name")
    first, second = [run(*link, name, env=env).json()["id"] for name in ("first", "second")]
    keys: dict[str, str] = {}
    async with open_control(ControlPlace(folder=home / "state")) as control:
        for name, permissions in KEYS.items():
            only = None if name == "all connections" else [first]
            made = await control.api_keys.create(name=name, permissions=frozenset(permissions), connections=only)
            keys[name] = made.text.get_secret_value()
    return Company(env=env, connections=(first, second), keys=keys)


@asynccontextmanager
async def serving(company: Company, command: Sequence[str]) -> AsyncIterator[str]:
    """Run a server for as long as the block lasts; gives where it listens."""
    log = Path(company.env["HOME"]) / "serve.log"
    with log.open("w") as lines:
        async with await anyio.open_process([*command], env=company.env, stderr=lines) as process:
            try:
                with anyio.fail_after(60):
                    while "\n" not in (said := log.read_text(encoding="utf-8")):  # noqa: ASYNC110 - a file has no event
                        await anyio.sleep(0.05)
                yield json.loads(said.splitlines()[0])["url"]
            finally:
                process.terminate()
                await process.wait()


async def rest_api(folder: Path, home: Path, report: Report) -> list[bool]:
    """Let the SDKs do what they do, and schemathesis try what it can think of."""
    passed: list[bool] = []
    company = await linked(home / "truto", writes=True)
    async with serving(company, (*PROGRAM, "serve", "--port", "0")) as url:
        passed += await _python_sdk(folder, company, url, report)
        passed += await _typescript_sdk(folder, company, url, report)
    try:
        python = environment(folder, SCHEMATHESIS)
    except NotToBeHad as reason:
        return [*passed, *_left_out("schemathesis", reason)]
    for writes in (True, False):
        company = await linked(home / f"schemathesis-{writes}", writes=writes)
        async with serving(company, (sys.executable, "-m", "tests.conformance.unhurried")) as url:
            for key in ("the directory", "everything", "nothing"):
                name = f"writes {'on' if writes else 'off'}, key of {key}"
                passed.append(await _schemathesis(python, url, company.keys[key], name, report))
    return passed


async def _python_sdk(folder: Path, company: Company, url: str, report: Report) -> list[bool]:
    name = "REST: Truto's SDK for Python"
    try:
        python = environment(folder, PYTHON_SDK, oldest=(3, 12))
    except NotToBeHad as reason:
        return _left_out(name, reason)
    asked = (url, company.keys["all connections"], *company.connections)
    return [await _sdk((str(python), str(HERE / "truto_client.py"), *asked), _BY_PYTHON, name, report)]


async def _typescript_sdk(folder: Path, company: Company, url: str, report: Report) -> list[bool]:
    name = "REST: Truto's SDK for TypeScript"
    place = folder / "truto-ts"
    if not (place / "node_modules").is_dir():
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
        npm = shutil.which("npm") or "npm"
        done = await anyio.run_process([npm, "install", "--prefix", str(place), *quiet, TYPESCRIPT_SDK], check=False)
        if done.returncode:
            shutil.rmtree(place, ignore_errors=True)
            return _left_out(name, f"the npm registry has no {TYPESCRIPT_SDK}")
    shutil.copy(HERE / "truto_client.mjs", place)
    node = str(folder / "node_modules" / ".bin" / "node")
    asked = (url, company.keys["all connections"], company.connections[0])
    return [await _sdk((node, str(place / "truto_client.mjs"), *asked), _BY_TYPESCRIPT, name, report)]


async def _sdk(command: Sequence[str], wanted: Mapping[str, Any], name: str, report: Report) -> bool:
    """Run a client that says as JSON what it has met."""
    with anyio.fail_after(300):
        done = await anyio.run_process([*command], check=False, stderr=subprocess.STDOUT)
    said = done.stdout.decode(errors="replace")
    met = json.loads(said.splitlines()[-1]) if done.returncode == 0 else {}
    is_well = {key: met.get(key) for key in wanted} == wanted
    return report("live", name, said, f"{len(met)} things" if is_well else None)


async def _schemathesis(python: Path, url: str, key: str, name: str, report: Report) -> bool:
    asked = ("run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {key}", "-n", str(_EXAMPLES), "--no-color")
    checked = ("--checks", "all", "--exclude-checks", _NOT_CHECKED, "--continue-on-failure", "--seed", "14")
    command = [str(python.with_name("schemathesis")), *asked, *checked]
    with anyio.fail_after(600):
        done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT, cwd=python.parent)
    said = done.stdout.decode(errors="replace")
    counted = re.search(r"^ *(\d+) generated", said, re.MULTILINE)
    is_well = done.returncode == 0 and counted is not None
    return report("4.x", f"REST: schemathesis, {name}", said, f"{counted[1]} requests" if is_well and counted else None)


def _left_out(name: str, reason: object) -> list[bool]:
    """Say what is left out, and why."""
    print(f"{'skipped':7} {'':11} {name:42} {reason}", flush=True)  # noqa: T201 - a line of the report
    return []
