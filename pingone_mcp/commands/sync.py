"""`pingone-mcp sync`: bring the local copy up to date, once or again and again."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pingone_mcp.commands.ending import FAILED, OK
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.commands.words import at_minute, counted, in_words, span, spelt
from pingone_mcp.console import Progress, console, print_json, print_rows, shown
from pingone_mcp.directory.rows import plain
from pingone_mcp.errors import Problem
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.syncing import Mode

if TYPE_CHECKING:
    from pingone_mcp.service.syncing import SyncReport


Noted = Callable[["SyncReport | Problem", datetime], Awaitable[None]]
"""Notes what came of a sync, and when it ended."""


async def unnoted(_: SyncReport | Problem, __: datetime) -> None:
    """Note nothing: nobody keeps what comes of the syncs of this connection."""


async def sync(
    open_backend: OpenBackend,
    *,
    full: bool,
    every: float | None,
    as_json: bool,
    accept_removals: bool = False,
    noted: Noted = unnoted,
) -> int:
    """Sync, and with `every` again so many seconds after each end; a round that fails does not end it.

    `accept_removals` says of those whom the last sync could not find that they are gone indeed; for the first round.
    """
    async with open_backend() as backend:
        mode: Mode = "full" if full else "auto"
        status = await _round(backend, mode, every, noted, as_json=as_json, accept_removals=accept_removals)
        while every is not None:
            await backend.replica.source.clock.sleep(every)
            status = await _round(backend, "auto", every, noted, as_json=as_json)
    return status


async def _round(
    backend: Backend, mode: Mode, every: float | None, noted: Noted, *, as_json: bool, accept_removals: bool = False
) -> int:
    first = await backend.replica.sound_state() is None
    again = every is not None and not first
    try:
        with Progress(kept=not again, lines=not as_json and not again) as progress:
            report = await backend.replica.sync(mode, report=in_words(progress.report), accept_removals=accept_removals)
    except Problem as problem:
        await noted(problem, backend.replica.now())
        if as_json:
            print_json({"complete": False, "reason": str(problem), "code": problem.code})
        elif every is None:
            raise
        else:
            out = console(stderr=True)
            out.print(Text(f"This sync failed: {shown(str(problem))}", style="red"))
            out.print(Text(f"The next one begins in {spelt(every)}."))
        return FAILED
    await noted(report, backend.replica.now())
    if as_json:
        print_json({"changes": {}, "reason": None} | plain(report))
    elif again and every is not None and report.complete and not report.changes and not report.gaps:
        _print_idle(console(), report, backend.replica.now(), every)
    else:
        _print(console(), report, first=first)
        if every is not None:
            console(stderr=True).print(Text(f"The next one begins in {spelt(every)}.", style="dim"))
    return OK if report.complete else FAILED


def _print(out: Console, report: SyncReport, *, first: bool) -> None:
    if not report.taken_over:
        out.print(Text("Not complete, so that nothing was taken over.", style="bold red"))
        out.print(Text(shown(report.reason or "")))
        return
    if report.complete:
        how = f"{report.mode} sync, {report.seconds:.1f} s"
        if report.gaps:
            out.print(Text(f"The local copy is up to date, but for what is missing ({how}).", style="bold yellow"))
        else:
            out.print(Text(f"The local copy is up to date ({how}).", style="bold green"))
    else:
        out.print(Text("Not everybody could be read; what could be is in the local copy.", style="bold yellow"))
    print_rows(out, [(name.replace("_", " "), f"{count:,}") for name, count in report.counts.items() if count])
    _print_changes(out, report, first=first)
    if report.watermark is not None:
        out.print(Text(f"It holds {_held(report)}."))
    missing = [f"Missing: {gap.sentence()}." for gap in report.gaps]
    for line in filter(None, [*missing, report.reason]):
        out.print(Text(shown(line), style="yellow"))


def _print_idle(out: Console, report: SyncReport, now: datetime, every: float) -> None:
    """Say in one line that nothing has happened."""
    line = f"{at_minute(now)}: no changes ({report.seconds:.1f} s). The next sync begins in {spelt(every)}."
    out.print(Text(line, style="dim"), no_wrap=True, overflow="ellipsis")


def _held(report: SyncReport) -> str:
    if report.gaps:
        return f"what could be read of PingOne as of {report.watermark}"
    return f"all that PingOne knew at {report.watermark}"


def _print_changes(out: Console, report: SyncReport, *, first: bool) -> None:
    total = sum(report.changes.values())
    if first:
        out.print(Text("This is the first copy: what changes from now on is written down by the next syncs."))
    else:
        out.print(Text(f"{counted(total, 'change')} since the last sync." if total else "No changes were found."))
    print_rows(out, [(kind, f"{count:,}") for kind, count in sorted(report.changes.items())])


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help="read the whole directory, not only what has changed")
    parser.add_argument("--every", metavar="SPAN", help="sync again so long after each end: 30s, 15m, 2h")
    parser.add_argument(
        "--accept-removals",
        action="store_true",
        help="those whom the last sync could not find are gone indeed: take it over",
    )
    add_json(parser)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    every = span(given.every) if given.every is not None else None
    return await sync(
        doors.backend(),
        full=given.full,
        every=every,
        as_json=given.json,
        accept_removals=given.accept_removals,
        noted=doors.note_sync,
    )


VERB = Verb(
    name="sync",
    text="""\
Bring the local copy of the directory up to date; PingOne itself is only read. Assistants ask the
copy about changes, drift, access and everything in SQL. What changed is written down from the first
sync on. The exit status is 0 when it is up to date, 1 when it could not be read whole (nothing is
taken over then) or at all, 2 when it is not configured. With --every it goes on until Ctrl-C, also
after a sync that failed; with --json each sync is one line.

examples:
  pingone-mcp sync
  pingone-mcp sync --full --json
  pingone-mcp sync --every 15m --env-file my.env""",
    add=_add,
    run=_run,
    takes_connection=True,
)
