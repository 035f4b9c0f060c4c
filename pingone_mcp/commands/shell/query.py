"""`pingone-mcp query`: a question in SQL over the local copy, once or at a prompt."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from typing import Literal, get_args

from rich.console import Console
from rich.text import Text

from pingone_mcp.commands.ending import FAILED, OK, WrongUse, asking
from pingone_mcp.commands.shell.prompt import Prompt
from pingone_mcp.commands.verb import Doors, Verb, whole
from pingone_mcp.commands.words import counted, spelt
from pingone_mcp.console import console, print_json, print_table, print_warnings, shown
from pingone_mcp.directory.gaps import sentences
from pingone_mcp.reports.export import cell
from pingone_mcp.service.asking.queries import QueryOutcome, described_views, query
from pingone_mcp.service.backend import Backend, OpenBackend

Format = Literal["table", "csv", "json"]

# What nobody reads has to end somewhere: everything is what `export` is for.
_MOST_ROWS = 100_000
_MOST_CHARACTERS = 32_000_000
_MOST_SECONDS = 60.0


async def ask(open_backend: OpenBackend, sql: str, *, format_: Format, limit: int) -> int:
    """Answer one SELECT; return 1 where there are more rows than were printed. Raises WrongUse, and Problem."""
    async with open_backend() as backend:
        with asking():
            found = await _answered(backend, sql, limit)
    print_outcome(found, format_)
    return FAILED if found.answer.truncated else OK


async def talk(open_backend: OpenBackend, *, format_: Format, limit: int) -> int:
    """Answer what is typed at a prompt, until it ends."""
    async with open_backend() as backend:

        async def answer(sql: str) -> None:
            print_outcome(await _answered(backend, sql, limit), format_)

        await Prompt(views=described_views(), answer=answer, describe=print_views).run()
    return OK


async def _answered(backend: Backend, sql: str, limit: int) -> QueryOutcome:
    return await query(backend, sql, limit=limit, characters=_MOST_CHARACTERS, seconds=_MOST_SECONDS)


def print_outcome(found: QueryOutcome, format_: Format) -> None:
    """Print the rows on stdout, and on stderr how many they are, how old, and what is missing."""
    answer = found.answer
    match format_:
        case "table":
            rows = [["" if value is None else shown(str(value)) for value in row] for row in answer.rows]
            print_table(console(), [shown(name) for name in answer.columns], rows)
        case "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow([cell(name) for name in answer.columns])
            writer.writerows([cell(value) for value in row] for row in answer.rows)
            sys.stdout.flush()
        case "json":
            names = _told_apart(answer.columns)
            print_json([dict(zip(names, row, strict=True)) for row in answer.rows], indent=1)
    out = console(stderr=True)
    out.print(
        Text(f"{counted(answer.row_count, 'row')}, from a local copy {spelt(found.age_seconds)} old.", style="dim")
    )
    if answer.truncated:
        out.print(
            Text(
                "There are more rows, or longer texts, than are shown: --limit allows up to "
                f"{_MOST_ROWS:,}; `pingone-mcp export` writes everything.",
                style="yellow",
            )
        )
    print_warnings(out, sentences(found.gaps))


def _told_apart(columns: Sequence[str]) -> list[str]:
    """Return names for the members of an object: a name that comes again gets a number."""
    names: list[str] = []
    for column in columns:
        name, number = column, 2
        while name in names:
            name, number = f"{column}_{number}", number + 1
        names.append(name)
    return names


def print_views(out: Console, wanted: str = "") -> None:
    """Print the views, or one of them with its columns. Raises WrongUse for one that there is not."""
    views = described_views()
    if not wanted:
        print_table(out, ("view", "what it holds"), [(name, view.about) for name, view in views.items()], prose=True)
        return
    if wanted not in views:
        raise WrongUse(f"There is no view {shown(wanted)}.", f"The views are: {', '.join(views)}.")
    out.print(Text(f"{wanted}: {views[wanted].about}", style="bold"))
    print_table(out, ("column", "what it means"), list(views[wanted].columns.items()), prose=True)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sql", nargs="?", metavar="SQL", help="one SELECT over the views; without it, a prompt")
    parser.add_argument(
        "--format", choices=get_args(Format), default="table", help="table, csv or json (default table)"
    )
    parser.add_argument(
        "--limit", type=whole(1, _MOST_ROWS), default=1_000, metavar="N", help="most rows to print (default 1,000)"
    )
    parser.add_argument(
        "--views", nargs="?", const="", metavar="VIEW", help="print the views, or the columns of one, and end"
    )


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    if given.views is not None:
        print_views(console(), given.views)
        return OK
    sql = given.sql
    if sql is None and sys.stdin.isatty():
        return await talk(doors.backend(), format_=given.format, limit=given.limit)
    sql = sys.stdin.read() if sql is None else sql
    if not sql.strip():
        raise WrongUse("There is no SQL.", "Example: pingone-mcp query 'SELECT count(*) FROM users'")
    return await ask(doors.backend(), sql, format_=given.format, limit=given.limit)


VERB = Verb(
    name="query",
    text="""\
Answer one SELECT (SQLite) over the local copy, which is only read; without SQL, at a prompt (or from
a pipe). The views: users, removed_users, groups, memberships, populations, environments,
role_assignments, changes, people (words); --views says what they hold, --views users its columns.
The exit status is 1 when there are more rows than were printed, or no copy; 2 for SQL that is refused.

examples:
  pingone-mcp query "SELECT department, count(*) FROM users GROUP BY 1 ORDER BY 2 DESC"
  pingone-mcp query --format csv "SELECT username FROM users WHERE last_login_at IS NULL" > never.csv
  pingone-mcp query --views memberships
  pingone-mcp query""",
    add=_add,
    run=_run,
    takes_connection=True,
)
