"""How findings are printed: how many there are, each kind under its heading, the first rows of it, and the rest."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pingone_mcp.commands.words import counted
from pingone_mcp.console import print_rows, shown
from pingone_mcp.reports.matching import Account, Person
from pingone_mcp.reports.rosters.columns import MAPPABLE

SHOWN = 20
"""Rows of each kind that are printed; --json prints all."""


def print_outcome(
    out: Console,
    total: int,
    *,
    compared_nobody: bool = False,
    matched_nobody: bool = False,
    lacks: bool,
    nothing: str,
    what: str,
) -> None:
    """Print how many findings there are, or that there are none, as far as that is known.

    `lacks` says that something could not be read; `nothing` and `what` are the words for none, and for the subject.
    """
    if compared_nobody:
        heading, style = "Nothing was compared", "bold red"
    elif matched_nobody:
        heading, style = "No account fits anybody", "bold red"
    elif total:
        heading, style = counted(total, "finding"), "bold red"
    else:
        heading, style = (f"{nothing} in what was read", "bold yellow") if lacks else (nothing, "bold green")
    out.print(Text(heading, style=style).append(f": {what}.", style="not bold default"))


def print_kind(out: Console, kind: str, count: int, means: str, rows: Sequence[Sequence[str]]) -> None:
    """Print a kind of findings: its heading, the first of its rows, and how many more there are."""
    out.print(Text(f"\n{kind} ({count:,})", style="bold").append(f": {means}", style="not bold"))
    print_rows(out, rows[:SHOWN], prose=True)
    print_rest(out, count)


def print_rest(out: Console, count: int) -> None:
    if count > SHOWN:
        out.print(Text(f"  and {count - SHOWN:,} more; --json tells them", style="dim"))


def account_name(account: Account) -> str:
    """Return what an account is known by: its first identity, or its name."""
    return shown(account.email or account.username or account.external_id or account.name or "")


def person_name(person: Person | None) -> str:
    return "nobody" if person is None else shown(person.username or person.email or person.id)


def add_map(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says of a roster which column is which; `mapping_of` reads it."""
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=HEADING",
        help=f'what a column of the roster is, as email="Work Mail"; may be repeated ({", ".join(MAPPABLE)})',
    )
