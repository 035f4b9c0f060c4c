"""`pingone-mcp changes`: what the syncs of the local copy found to have changed, oldest first."""

from __future__ import annotations

import argparse
import json
from datetime import UTC
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pingone_mcp.commands.current import copy_of
from pingone_mcp.commands.ending import OK
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.commands.words import at_minute, chosen, counted, moment
from pingone_mcp.console import console, print_json, shown
from pingone_mcp.directory.changes import KINDS, Change, ChangeQuestion
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import plain
from pingone_mcp.service.backend import OpenBackend
from pingone_mcp.service.freshness import existing_copy

_STYLES = {"created": "green", "added": "green", "removed": "red", "deactivated": "red", "locked": "yellow"}
_LONGEST = 60
_INDENT = 4
# Said in plain words by another field, or of no use to anybody.
_UNSHOWN = frozenset({"status_source", "updated_at"})


async def changes(open_backend: OpenBackend, *, since: str | None, kinds: str | None, as_json: bool) -> int:
    """Print changes, one in a line. Raises NoReplica, and WrongUse for what cannot be read as a time or a kind."""
    wanted = chosen(kinds, KINDS, "The kinds") if kinds is not None else ()
    out = console()
    async with open_backend() as backend:
        now = backend.replica.now()
        question = ChangeQuestion(since=moment(since, now) if since is not None else None, kinds=wanted)
        state = await existing_copy(backend)
        at: Position | None = None
        while True:
            page = await backend.replica.changes(question, at)
            for change in page.items:
                if as_json:
                    print_json(plain(change))
                else:
                    _print(out, change)
            at = page.next
            if at is None:
                break
    out = console(stderr=True)
    if not as_json:
        out.print(
            Text(
                f"{counted(page.total or 0, 'change')}, in {copy_of(state.synced_at, state.age_seconds)}.", style="bold"
            )
        )
        if page.known_since is not None:
            out.print(Text(f"All changes are known since {at_minute(page.known_since)}.", style="dim"))
    for gap in page.gaps:
        out.print(Text(f"Note: {shown(gap.sentence())}.", style="yellow"))
    return OK


def _print(out: Console, change: Change) -> None:
    """Print one change: in a terminal the fields that changed stand below it, where they have no room beside it."""
    line, differences = _line(change), _differences_of(change)
    beside = Text.assemble(line, "  ", "; ".join(differences)) if differences else line
    if change.actor is not None:
        beside.append(f"  by {shown(change.actor)}", style="dim")
    if not out.is_terminal or beside.cell_len <= out.width:
        out.print(beside)
        return
    if change.actor is not None:
        line.append(f"  by {shown(change.actor)}")
    line.truncate(out.width, overflow="ellipsis")
    out.print(line)
    for difference in differences:
        out.print(Padding(Text(difference), (0, 0, 0, _INDENT)))


def _differences_of(change: Change) -> list[str]:
    if change.group is None and change.kind.startswith("user.") and change.before and change.after:
        return _differences(change.before, change.after)
    return []


def _line(change: Change) -> Text:
    user = change.user.username or change.user.email or change.user.id
    line = Text(f"{change.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z  ", style="dim")
    line.append(f"{change.kind:<18}  ", style=_STYLES.get(change.kind.rpartition(".")[2], "not dim"))
    line.append(shown(user), style="not dim bold")
    if change.group is not None:
        line.append(f"  {shown(change.group.name or change.group.id)}", style="not dim")
    return line


def _differences(before: JsonObject, after: JsonObject, within: str = "") -> list[str]:
    """Say what each field was and is; of an object, such as the address, each member that is another one."""
    found: list[str] = []
    for name, now in after.items():
        then, called = before.get(name), f"{within}{shown(name)}"
        if isinstance(then, dict) and isinstance(now, dict):
            others = [one for one in {**then, **now} if then.get(one) != now.get(one)]
            found += _differences(then, {one: now.get(one) for one in others}, f"{called}.")
        elif within or name not in _UNSHOWN:
            found.append(f"{called}: {_value(then)} → {_value(now)}")
    return found


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    text = shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="WHEN", help="only from then on: 2026-11-01, 2026-11-01T08:00:00Z, 12h, 7d, 2w"
    )
    parser.add_argument("--kinds", metavar="A,B", help="only these kinds: user.created,membership.removed,…")
    add_json(parser)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    return await changes(doors.backend(), since=given.since, kinds=given.kinds, as_json=given.json)


VERB = Verb(
    name="changes",
    text="""\
Print what changed, oldest first, as the syncs found it; with --json one object in a line. Nothing
is known of the time before the first sync: without one the exit status is 1, for wrong use 2.

examples:
  pingone-mcp changes --since 7d
  pingone-mcp changes --since 2026-11-01 --kinds user.created,user.removed
  pingone-mcp changes --json | jq .user.username""",
    add=_add,
    run=_run,
    takes_connection=True,
)
