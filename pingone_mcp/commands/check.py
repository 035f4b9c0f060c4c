"""`pingone-mcp check`: what works of the configured connection, step by step."""

from __future__ import annotations

import argparse

from pingone_mcp.advice import spelled, variable
from pingone_mcp.commands.ending import FAILED, OK
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import Report


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    report = Report(as_json=given.json)
    async with doors.checkup() as steps:
        async for one in steps:
            report.add(one.step, spelled(one.text), ok=one.ok, needed=one.needed)
    return OK if report.close() else FAILED


VERB = Verb(
    name="check",
    text=f"""\
Verify the configured connection step by step, and say in plain words what is wrong and what to change.
The exit status is 0 when it works (parts that are not needed may be missing), 1 when it does not, 2 when
it is not configured.

examples:
  pingone-mcp check
  pingone-mcp check --env-file my.env --json
  {variable("sandbox", "1")} pingone-mcp check""",
    add=_add,
    run=_run,
)
