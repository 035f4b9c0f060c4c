"""`pingone-mcp check`: what works of the configured connection, step by step."""

from __future__ import annotations

import argparse

from pingone_mcp.advice import spelled, variable
from pingone_mcp.commands.ending import FAILED, MISCONFIGURED, OK
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import Report
from pingone_mcp.errors import Unconfigured
from pingone_mcp.service.checks import Heard, Step


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    report = Report(as_json=given.json)
    try:
        await doors.check(hearing(report), report.note)
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


def hearing(report: Report) -> Heard:
    """Return what hears the steps of a check-up, and adds them to a report."""

    def heard(step: Step) -> None:
        report.add(step.step, spelled(step.text), ok=step.ok, needed=step.needed)

    return heard


VERB = Verb(
    name="check",
    text=f"""\
Verify the configured connection step by step, and say in plain words what is wrong and what to change.
What comes of it is noted where the connection was linked, as `connections check` does.
The exit status is 0 when it works (parts that are not needed may be missing), 1 when it does not, 2 when
it is not configured. With --json it prints {{"ok": …, "findings": [{{"step", "ok", "needed", "text"}}]}} in each
of these cases.

examples:
  pingone-mcp check
  pingone-mcp check --env-file my.env --json
  {variable("sandbox", "1")} pingone-mcp check""",
    add=_add,
    run=_run,
    takes_connection=True,
)
