"""`pingone-mcp connections`: the connections that were linked, and what is done with one of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pingone_mcp.advice import variable
from pingone_mcp.commands.check import hearing
from pingone_mcp.commands.ending import FAILED, OK, WrongUse, asking
from pingone_mcp.commands.linking.hook import hook_facts, hook_rows, show_hook
from pingone_mcp.commands.linking.hook_creation import create_hook
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.console import Report, console, print_json, print_rows, print_table, say, shown
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.interrupts import asking_a_person
from pingone_mcp.service.fleet.linking import MadeByVariables

if TYPE_CHECKING:
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.service.fleet.administration import FleetAdministration

_ACTIONS = {
    "show": "what is known of one",
    "check": "try each right of one, and note what comes of it",
    "pause": "ask nothing for one any more, until it is resumed",
    "resume": "serve one again",
    "rename": "call one something else",
    "hook": "what to enter in PingOne, so that it sends its events to one",
    "remove": "remove one: its credentials, local copy, tokens and exports",
}


def _add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", dest="action", required=True)
    add_json(actions.add_parser("list", help="all of them", allow_abbrev=False))
    for name, text in _ACTIONS.items():
        added = actions.add_parser(name, help=text, allow_abbrev=False)
        added.add_argument("reference", metavar="C", help="the name or the id of a connection")
        if name == "rename":
            added.add_argument("name", metavar="N", help="its new name")
        if name == "hook":
            ways = added.add_mutually_exclusive_group()
            ways.add_argument("--rotate", action="store_true", help="make another secret; this one holds for a day")
            ways.add_argument(
                "--create", action="store_true", help="enter it in PingOne, or bring up to date what is there"
            )
            added.add_argument("--yes", action="store_true", help="do not ask whether --create is meant")
        if name == "remove":
            added.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
        add_json(added)
    for one in actions.choices.values():
        one.set_defaults(parser=one)  # which says what was meant by an option that it does not have


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    async with doors.administration() as administration:
        if given.action == "list":
            _list(await administration.connections(), as_json=given.json)
            return OK
        with asking():
            linked = await administration.find(given.reference)
            return await _DOING[given.action](given, administration, linked)


def _list(connections: list[LinkedConnection], *, as_json: bool) -> None:
    if as_json:
        print_json([_facts(linked) for linked in connections])
    elif not connections:
        say("No connection has been linked. `pingone-mcp connect` links one.")
    else:
        rows = [
            (shown(one.name), one.id, shown(one.tenant or ""), _state(one), _time(one.last_sync_at))
            for one in connections
        ]
        print_table(console(), ("name", "id", "tenant", "status", "last sync"), rows, whole=("id",))


async def _show(given: argparse.Namespace, administration: FleetAdministration, linked: LinkedConnection) -> int:
    state = await administration.hook_state(linked)
    if given.json:
        print_json({**_facts(linked), "hook": None if state is None else hook_facts(state)})
    else:
        _print_rows([*_rows(linked), *(hook_rows(state) if state is not None else ())])
    return OK


async def _check(given: argparse.Namespace, administration: FleetAdministration, linked: LinkedConnection) -> int:
    report = Report(as_json=given.json)
    await administration.check(linked, hearing(report))
    return OK if report.close() else FAILED


async def _pause(given: argparse.Namespace, administration: FleetAdministration, linked: LinkedConnection) -> int:
    _print(await administration.linking.pause(linked.id), as_json=given.json)
    return OK


async def _resume(given: argparse.Namespace, administration: FleetAdministration, linked: LinkedConnection) -> int:
    _print(await administration.linking.resume(linked.id), as_json=given.json)
    return OK


async def _rename(given: argparse.Namespace, administration: FleetAdministration, linked: LinkedConnection) -> int:
    _print(await administration.linking.rename(linked.id, given.name), as_json=given.json)
    return OK


async def _hook(given: argparse.Namespace, administration: FleetAdministration, linked: LinkedConnection) -> int:
    if given.create:
        return await create_hook(administration, linked, agreed=given.yes, as_json=given.json)
    if given.yes:
        raise WrongUse("--yes is for --create: nothing else is asked.")
    form = await administration.hook(linked, rotate=given.rotate)
    show_hook(form, as_json=given.json, is_new=given.rotate)
    return OK


async def _remove(given: argparse.Namespace, administration: FleetAdministration, linked: LinkedConnection) -> int:
    if linked.id == DEFAULT:
        raise MadeByVariables
    if not given.yes and not _is_meant(linked):
        say("Nothing was removed.", stderr=True)
        return FAILED
    removed = await administration.linking.remove(linked.id)
    if given.json:
        print_json({"id": linked.id, "removed": list(removed)})
    else:
        say(f"Removed {shown(linked.name)} ({linked.id}): {', '.join(removed)}.")
    return OK


_DOING: dict[str, Callable[[argparse.Namespace, FleetAdministration, LinkedConnection], Awaitable[int]]] = {
    "show": _show,
    "check": _check,
    "pause": _pause,
    "resume": _resume,
    "rename": _rename,
    "hook": _hook,
    "remove": _remove,
}


def _is_meant(linked: LinkedConnection) -> bool:
    """Ask a person; where nobody is there to be asked, it is not."""
    with asking_a_person():  # from before the question is seen
        say(
            f"Remove {shown(linked.name)} ({linked.id}) with its credentials and its local copy? Type its name:",
            stderr=True,
        )
        return sys.stdin.readline().strip() == linked.name


def _print(linked: LinkedConnection, *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(linked))
    else:
        _print_rows(_rows(linked))


def _print_rows(rows: Sequence[tuple[str, str]]) -> None:
    print_rows(console(), [(name, shown(value)) for name, value in rows if value], prose=True)


def _rows(linked: LinkedConnection) -> list[tuple[str, str]]:
    return [
        ("id", linked.id),
        ("name", linked.name),
        ("tenant", linked.tenant or ""),
        ("provider", linked.provider),
        ("status", _state(linked)),
        ("reason", linked.reason or ""),
        ("made by", "the environment variables" if linked.id == DEFAULT else ""),
        ("linked", timestamp(linked.created_at)),
        ("last sync", _time(linked.last_sync_at)),
        ("next sync", _time(linked.next_sync_at)),
        *((name.replace("_", " "), _value(value)) for name, value in linked.settings.items()),
    ]


def _value(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value)


def _facts(linked: LinkedConnection) -> JsonObject:
    return {
        "id": linked.id,
        "name": linked.name,
        "tenant": linked.tenant,
        "provider": linked.provider,
        "status": linked.status,
        "reason": linked.reason,
        "is_paused": linked.is_paused,
        "settings": dict(linked.settings),
        "created_at": timestamp(linked.created_at),
        "last_sync_at": _time(linked.last_sync_at) or None,
        "next_sync_at": _time(linked.next_sync_at) or None,
    }


def _state(linked: LinkedConnection) -> str:
    return f"{linked.status}, paused" if linked.is_paused else linked.status


def _time(at: datetime | None) -> str:
    return timestamp(at) if at is not None else ""


VERB = Verb(
    name="connections",
    text=f"""\
Look after the connections that `pingone-mcp connect` has linked: all of them in a list, or one by
its name or id. `hook` prints the URL, the secret header and the action types that PingOne needs to
send its events, which `pingone-mcp serve` takes; `hook --create` enters that in PingOne, in each
environment of the connection, after it has shown what it would do and was told the name of the
connection (--yes for scripts). That is a write, which needs {variable("allow_writes", "1")}, outside environments of type
SANDBOX {variable("allow_production_writes", "1")} too: set for this one command, or of the connection. `check` compares it with
what is needed, `show` says what came. Removing one removes all that was kept of it, which is said; its
id never comes back.
The exit status is 0 when it is done, 1 when not or when a check fails, 2 for wrong use.

examples:
  pingone-mcp connections list --json
  pingone-mcp connections check acme
  pingone-mcp connections hook acme
  {variable("allow_writes", "1")} pingone-mcp connections hook acme --create
  pingone-mcp connections remove acme""",
    add=_add,
    run=_run,
)
