"""`pingone-mcp check`: what works of the configured connection, step by step."""

from __future__ import annotations

import argparse

from pingone_mcp.advice import spelled, variable
from pingone_mcp.commands.ending import FAILED, MISCONFIGURED, OK
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import Report
from pingone_mcp.errors import Unconfigured


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    report = Report(as_json=given.json)
    try:
        async with doors.checkup(report.note) as steps:
            async for one in steps:
                report.add(one.step, spelled(one.text), ok=one.ok, needed=one.needed)
    except Unconfigured as problem:
        if not given.json:
            raise
        for wrong in problem.wrong or (str(problem),):
            report.add("settings", spelled(wrong), ok=False)
        for note in problem.notes:
            report.note(note)
        report.close()
        return MISCONFIGURED
    return OK if report.close() else FAILED


VERB = Verb(
    name="check",
    text=f"""\
Verify the configured connection step by step, and say in plain words what is wrong and what to change.
The exit status is 0 when it works (parts that are not needed may be missing), 1 when it does not, 2 when
it is not configured. With --json it prints {{"ok": …, "findings": [{{"step", "ok", "needed", "text"}}]}} in each
of these cases.

examples:
  pingone-mcp check
  pingone-mcp check --env-file my.env --json
  {variable("sandbox", "1")} pingone-mcp check""",
    add=_add,
    run=_run,
)
