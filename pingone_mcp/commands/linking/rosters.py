"""`pingone-mcp rosters`: the user lists of applications and the rules for roles that are kept for a connection."""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from pingone_mcp.commands.ending import OK, WrongUse, asking
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.commands.words import counted
from pingone_mcp.console import console, print_json, print_table, print_warnings, say, shown
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Problem
from pingone_mcp.interrupts import asking_a_person
from pingone_mcp.private_files import read_named
from pingone_mcp.reports.rosters.files import MAX_BYTES
from pingone_mcp.reports.rules_file import MAX_BYTES as MAX_RULES
from pingone_mcp.service.files.given_files import read_whole
from pingone_mcp.service.files.rosters import kind_of
from pingone_mcp.service.rosters.pulling import LONGEST_TOKEN, NotPulled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.service.rosters.desk import RosterDesk
    from pingone_mcp.service.rosters.keeping import KeptRoster


def _add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", dest="action", required=True)
    actions.add_parser("list", help="the rosters of the connection", allow_abbrev=False)
    push = actions.add_parser("push", help="keep a user list, in the place of the one before", allow_abbrev=False)
    source = actions.add_parser("source", help="say from which SCIM server a roster is pulled", allow_abbrev=False)
    pull = actions.add_parser("pull", help="read a roster from its source now", allow_abbrev=False)
    remove = actions.add_parser("remove", help="remove a roster, its source and its token", allow_abbrev=False)
    for one in (push, source, pull, remove):
        one.add_argument("name", metavar="NAME", help="what the roster is called")
    push.add_argument("file", type=Path, metavar="FILE", help="the list: .csv, .tsv, .txt or .json")
    source.add_argument("--url", required=True, metavar="URL", help="the /Users of a SCIM 2.0 server (https)")
    token = source.add_mutually_exclusive_group()
    token.add_argument(
        "--token-file", type=Path, metavar="FILE", help="the file in which the bearer token stands alone"
    )
    token.add_argument("--token-env", metavar="VARIABLE", help="the environment variable that holds the bearer token")
    token.add_argument("--no-token", action="store_true", help="the server wants no token")
    rules = actions.add_parser("rules", help="put the rules for roles, show or remove them", allow_abbrev=False)
    rules.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="the rules in TOML; without it they are shown"
    )
    rules.add_argument("--remove", action="store_true", help="remove those that were put")
    for one in actions.choices.values():
        add_json(one)
        one.set_defaults(parser=one)  # which says what was meant by an option that it does not have


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    if given.action == "rules" and given.remove and given.file is not None:
        raise WrongUse("Rules are either put or removed.", "Leave out --remove, or FILE.")
    async with doors.rosters() as (connection, desk):
        try:
            with asking():
                await _DOING[given.action](given, desk, connection)
        except WrongUse as wrong:
            if wrong.code == NotPulled.CODE:  # the application's fault, and no wrong use
                raise Problem(wrong.what, wrong.next_step, code=wrong.code) from None
            raise
    return OK


async def _list(given: argparse.Namespace, desk: RosterDesk, connection: str) -> None:
    found = await desk.keeping.listed(connection)
    if given.json:
        print_json([_facts(one) for one in found])
    elif not found:
        say("There is no roster. `pingone-mcp rosters push NAME FILE` keeps one.")
    else:
        rows = [
            (
                one.name,
                one.source,
                "" if one.accounts is None else f"{one.accounts:,}",
                _time(one.received_at) or "",
                shown(one.reason or ""),
            )
            for one in found
        ]
        print_table(console(), ("name", "source", "accounts", "received", "what is wrong"), rows, whole=("name",))


async def _push(given: argparse.Namespace, desk: RosterDesk, connection: str) -> None:
    kind = kind_of(given.file)
    pushed = await desk.keeping.push(connection, given.name, kind, _content(given.file, MAX_BYTES, "The roster"))
    _print(given, pushed.roster, pushed.notes)


async def _source(given: argparse.Namespace, desk: RosterDesk, connection: str) -> None:
    found = await desk.pulls.set_source(connection, given.name, given.url, _token(given))
    if given.json:
        print_json(_facts(found))
    else:
        say(f"{found.name} is pulled from {shown(found.url or '')}.\n\nNext:")
        say(f"  pingone-mcp rosters pull {found.name}{_of(given)}")


async def _pull(given: argparse.Namespace, desk: RosterDesk, connection: str) -> None:
    pulled = await desk.pulls.pull(connection, given.name)
    _print(given, pulled.roster, pulled.notes)


async def _remove(given: argparse.Namespace, desk: RosterDesk, connection: str) -> None:
    await desk.keeping.remove(connection, given.name)
    if given.json:
        print_json({"name": given.name})
    else:
        say(f"Removed {given.name}.")


async def _rules(given: argparse.Namespace, desk: RosterDesk, connection: str) -> None:
    if given.remove:
        await desk.rules.remove(connection)
        if given.json:
            print_json({"removed": True})
        else:
            say("Removed.")
        return
    if given.file is None:
        kept = await desk.rules.show(connection)
    else:
        kept = await desk.rules.put(connection, _content(given.file, MAX_RULES, "The file of rules"))
    if given.json:
        facts = {"rules": kept.rules, "exclusive": kept.exclusive, "received_at": _time(kept.received_at)}
        print_json({**facts, "toml": kept.text})
    elif given.file is None:
        say("\n".join(map(shown, kept.text.splitlines())))
    else:
        say(f"Kept {counted(kept.rules or 0, 'rule')}.")


_DOING: dict[str, Callable[[argparse.Namespace, RosterDesk, str], Awaitable[None]]] = {
    "list": _list,
    "push": _push,
    "source": _source,
    "pull": _pull,
    "remove": _remove,
    "rules": _rules,
}


def _print(given: argparse.Namespace, roster: KeptRoster, notes: Sequence[str]) -> None:
    if given.json:
        print_json({**_facts(roster), "notes": list(notes)})
        return
    print_warnings(console(), notes)
    say(f"Kept {counted(roster.accounts or 0, 'account')}.\n\nNext:\n  pingone-mcp drift {roster.name}{_of(given)}")


def _of(given: argparse.Namespace) -> str:
    """Return what names the same connection in another command."""
    return "" if given.connection is None else f" --connection {shlex.quote(shown(given.connection))}"


def _facts(roster: KeptRoster) -> JsonObject:
    return {
        "name": roster.name,
        "source": roster.source,
        "url": roster.url,
        "accounts": roster.accounts,
        "received_at": _time(roster.received_at),
        "age_seconds": roster.age_seconds,
        "tried_at": _time(roster.tried_at),
        "reason": roster.reason,
        "created_at": timestamp(roster.created_at),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def _content(path: Path, most: int, what: str) -> bytes:
    try:
        return read_whole(path, most, what=what)
    except OSError as error:
        raise WrongUse(f"{what} cannot be read: {error.strerror}.", "Name another file.") from None


def _token(given: argparse.Namespace) -> SecretStr:
    """Return the token from where it stands, or as a person enters it; empty for none. Raises WrongUse."""
    if given.no_token:
        return SecretStr("")
    if given.token_env is not None:
        text = os.environ.get(given.token_env, "")
    elif given.token_file is not None:
        try:
            text = read_named(given.token_file, LONGEST_TOKEN + 2).decode("ascii", "replace")
        except OSError as error:
            raise WrongUse(f"The file of the token cannot be read: {error.strerror}.", "Name another one.") from None
    else:
        return SecretStr(_asked())
    if not text.strip():
        raise WrongUse("There is no token where it should be.", "Put it there; or say --no-token.")
    return SecretStr(text.strip())


def _asked() -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise WrongUse(
            "There is nobody to ask for the token.",
            "Name where it is with --token-file or --token-env; or say --no-token.",
        )
    try:
        with asking_a_person():  # which leaves the terminal as it was
            return getpass.getpass("Bearer token (not shown; empty for none): ", stream=sys.stderr).strip()
    except EOFError:
        say("", stderr=True)
        raise WrongUse("The input ended before there was a token.", "Nothing was kept.") from None


VERB = Verb(
    name="rosters",
    text="""\
Keep the user lists of applications for a connection, so that `drift NAME`, `roles --diff NAME` and
an assistant find them by their names wherever the connection is asked: pushed as a file, or pulled
from the SCIM server of the application. A list takes the place of the one before as a whole, or not
at all. `rules` keeps the rules for roles of the connection in the same way. The token of a source
is sealed, and sent to no other URL than it was given for.
The exit status is 0 when it is done, 1 when a pull comes to nothing, 2 for wrong use.

examples:
  pingone-mcp rosters push ledger ledger.csv --connection acme
  pingone-mcp rosters source wiki --url https://wiki.example.com/scim/v2/Users --connection acme
  pingone-mcp rosters pull wiki --connection acme
  pingone-mcp rosters rules roles.toml --connection acme
  pingone-mcp drift ledger --connection acme""",
    add=_add,
    run=_run,
    takes_connection=True,
)
