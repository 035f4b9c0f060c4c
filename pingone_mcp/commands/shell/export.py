"""`pingone-mcp export`: everybody, every group, every membership or every change, as a file or on stdout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.text import Text

from pingone_mcp.commands.current import copy_of
from pingone_mcp.commands.ending import FAILED, OK, WrongUse, asking
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.commands.words import chosen, counted, moment
from pingone_mcp.console import Progress, console, print_warnings, shown
from pingone_mcp.directory.changes import KINDS, ChangeQuestion
from pingone_mcp.directory.gaps import sentences
from pingone_mcp.private_files import is_no_file, whole_file
from pingone_mcp.reports.tables import ALSO, COLUMNS, FORMATS, SUBJECTS, TableFormat
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.files.exports import NotWritten
from pingone_mcp.service.tables.export import ExportedTable, Fill, TableRequest, export_table

_NOUNS = {
    "users": ("person", "people"),
    "groups": ("group", "groups"),
    "memberships": ("membership", "memberships"),
    "changes": ("change", "changes"),
}


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a table goes: into a file, whole or not at all, or to stdout."""

    path: Path | None

    def put(self, fill: Fill) -> None:
        """Let a table be written. What is not whole takes no whole file's place: it stands beside it."""
        try:
            if self.path is None:
                fill(sys.stdout.buffer)
                sys.stdout.buffer.flush()
                return
            if is_no_file(self.path):  # a pipe or a device, which takes what comes
                with self.path.open("wb") as way:
                    fill(way)
                return
            place = [self.path]
            with whole_file(self.path, name=place.pop) as file:
                if not fill(file):
                    place[:] = [incomplete(self.path)]
        except BrokenPipeError:
            raise _ReaderGoneError from None  # whoever reads the copy takes an OSError for one of the copy's
        except OSError as error:
            raise NotWritten(
                f"The file cannot be written: {error.strerror}.",
                "See that its folder may be written to, and that the disk has room.",
                code="EXPORT_NOT_WRITTEN",
            ) from None


class _ReaderGoneError(Exception):
    """Nobody reads our output any more."""


def incomplete(path: Path) -> Path:
    """Return where a table is put of which something is missing."""
    return path.with_name(f"{path.name}.incomplete")


async def export(
    open_backend: OpenBackend, wanted: Callable[[datetime], TableRequest], *, path: Path | None, live: bool
) -> int:
    """Write a table; return 1 where something of it could not be read. Raises WrongUse, NotWritten and Problem."""
    async with open_backend() as backend:
        request = wanted(backend.replica.now())
        live = live or (request.subject != "changes" and await backend.replica.sound_state() is None)
        one, many = _NOUNS[request.subject]
        with Progress() as progress, asking():
            report = partial(progress.report, many)
            try:
                found = await export_table(backend, request, _Target(path).put, live=live, report=report)
            except _ReaderGoneError:
                raise BrokenPipeError from None
    _say(found, f"{counted(found.rows, one, many)}", path, backend)
    return FAILED if found.gaps else OK


def _say(found: ExportedTable, what: str, path: Path | None, backend: Backend) -> None:
    """Say on stderr what was written, and what is missing of it."""
    out = console(stderr=True)
    source = (
        backend.directory.profile.provider
        if found.state is None
        else copy_of(found.state.synced_at, found.state.age_seconds)
    )
    if not found.gaps:
        where = f" in {shown(str(path))}" if path is not None else ""
        out.print(Text(f"{what}{where}, from {source}.", style="bold green"))
    else:
        where = f" They are in {shown(str(incomplete(path)))}." if path is not None else ""
        kept = f" {shown(str(path))} is left as it was." if path is not None and path.exists() else ""
        out.print(Text(f"Not everything could be read: {what}, from {source}.{where}{kept}", style="bold yellow"))
        for gap in sentences(found.gaps):
            out.print(Text(f"Missing: {shown(gap)}.", style="yellow"))
    print_warnings(out, sentences(found.notes))


def _format(given: argparse.Namespace) -> TableFormat:
    """Return the format that is named, or that the ending of the file says; CSV where neither does."""
    ending = given.out.suffix.lower().removeprefix(".") if given.out is not None else ""
    for one in FORMATS:
        if one == (given.format or ending):
            return one
    return "csv"


def _request(given: argparse.Namespace, now: datetime) -> TableRequest:
    subject = given.what
    names = [column.name for column in (*COLUMNS[subject], *ALSO[subject])]
    fields: tuple[str, ...] = ()
    if given.fields is not None:
        chosen(given.fields, names, "Fields")  # which says what is wrong with them
        fields = tuple(word.strip() for word in given.fields.split(",") if word.strip())
    if given.filter is not None and subject != "users":
        raise WrongUse(
            f"--filter is for users; {subject} take none.",
            "`pingone-mcp query` chooses among them, as in: SELECT * FROM groups WHERE group_type = 'dynamic'",
        )
    if subject != "changes" and (given.since, given.kinds) != (None, None):
        raise WrongUse("--since and --kinds are for changes.", "Example: pingone-mcp export changes --since 7d")
    changes = ChangeQuestion(
        since=moment(given.since, now) if given.since is not None else None,
        kinds=chosen(given.kinds, KINDS, "The kinds") if given.kinds is not None else (),
    )
    return TableRequest(subject=subject, format=_format(given), fields=fields, filter=given.filter, changes=changes)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=SUBJECTS, metavar="WHAT", help=", ".join(SUBJECTS))
    parser.add_argument("--format", choices=FORMATS, help="csv, jsonl or xlsx (default: as FILE ends, or else csv)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write (default: stdout)")
    parser.add_argument("--fields", metavar="A,B", help="only these columns, in this order")
    parser.add_argument("--filter", metavar="F", help="only users of whom this SCIM filter holds")
    parser.add_argument("--since", metavar="WHEN", help="only changes from then on: 2026-11-01, 12h, 7d")
    parser.add_argument("--kinds", metavar="A,B", help="only changes of these kinds: user.created,…")
    parser.add_argument("--live", action="store_true", help="read PingOne itself, though there is a local copy")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    if given.out is not None and given.out.is_dir():
        raise WrongUse("--out names a folder.", "Name a file in it.")
    if given.out is not None and not given.out.absolute().parent.is_dir():
        raise WrongUse("--out names a file in a folder that is not there.", "Make the folder first, or name another.")
    if _format(given) == "xlsx" and given.out is None:
        raise WrongUse("A workbook is no text.", "Name a file: --out users.xlsx")
    if given.live and given.what == "changes":
        raise WrongUse("Changes are what the syncs have found.", "Leave out --live.")
    return await export(doors.backend(), lambda now: _request(given, now), path=given.out, live=given.live)


VERB = Verb(
    name="export",
    text="""\
Write every user, group, membership or change, row by row, from the local copy where there is one
(pingone-mcp sync renews it), or else from PingOne. Nothing is cut. A file is readable by you only,
and is replaced only when everything was read: else what there is goes to FILE.incomplete, stderr
says what is missing, and the exit status is 1. It is 2 for wrong use or configuration. Texts that a
spreadsheet would take for a formula have an apostrophe in front (CSV).

examples:
  pingone-mcp export users --out users.csv
  pingone-mcp export users --filter 'enabled eq false' --fields username,email,last_login_at
  pingone-mcp export memberships --format jsonl | jq .group_name
  pingone-mcp export changes --since 7d --out changes.xlsx""",
    add=_add,
    run=_run,
    takes_connection=True,
)
