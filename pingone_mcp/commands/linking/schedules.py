"""`pingone-mcp schedules`: what is done for connections by the hour, and to have it done now."""
# ruff: noqa: PLC0415 - what schedules need is of an extra, and loaded when one is added

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pingone_mcp.advice import variable
from pingone_mcp.commands.ending import OK, asking
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.console import console, print_json, print_table, say, shown
from pingone_mcp.control.announcing.rows import shown_schedule
from pingone_mcp.directory.rows import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.control.watching.schedules import ScheduleRecord
    from pingone_mcp.service.schedules.desk import ScheduleDesk

_LISTS = ("match_on", "compare")
_ARGUMENTS = ("roster", "match_on", "expected_group", "compare", "tell_first")


def _add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", dest="action", required=True)
    actions.add_parser("list", help="all of them, or those of one connection", allow_abbrev=False)
    added = actions.add_parser("add", help="have something done by the hour", allow_abbrev=False)
    added.add_argument(
        "kind",
        metavar="KIND",
        help="what: drift and role_drift check a roster, roster_pull reads one, full_sync everything",
    )
    added.add_argument(
        "--cron", required=True, metavar="WHEN", help="minute, hour, day, month, day of the week: “0 7 * * mon-fri”"
    )
    added.add_argument("--zone", default="UTC", metavar="Z", help="the time zone of that: Europe/Berlin (default UTC)")
    added.add_argument("--roster", metavar="NAME", help="the name of the roster")
    added.add_argument("--match-on", metavar="A,B", help="of drift: by which identities (email, username, external_id)")
    added.add_argument("--expected-group", metavar="G", help="of drift: whose members ought to have an account")
    added.add_argument("--compare", metavar="A,B", help="of drift: which attributes (“”: none)")
    added.add_argument(
        "--tell-first", action="store_true", default=None, help="of checks: an event of what the first one finds, too"
    )
    for name, text in (("remove", "remove one, and what its checks found"), ("run", "have one done now, by `serve`")):
        one = actions.add_parser(name, help=text, allow_abbrev=False)
        one.add_argument("schedule", metavar="ID", help="the id, as `list` shows it")
    for one in actions.choices.values():
        add_json(one)
        one.set_defaults(parser=one)  # which says what was meant by an option that it does not have


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    async with doors.schedules() as desk:
        with asking():
            match given.action:
                case "list":
                    await _list(given, desk)
                case "add":
                    await _new(given, desk)
                case "remove":
                    removed = await desk.remove(given.connection, given.schedule)
                    if given.json:
                        print_json(shown_schedule(removed))
                    else:
                        say("Removed.")
                case _:
                    await _now(given, desk)
    return OK


async def _list(given: argparse.Namespace, desk: ScheduleDesk) -> None:
    schedules = await desk.listed(given.connection)
    if given.json:
        print_json([shown_schedule(one) for one in schedules])
        return
    if not schedules:
        say("Nothing is done by the hour. `pingone-mcp schedules add --help` shows how it would be.")
        return
    names = await desk.names()
    rows = [
        (
            one.id,
            shown(names.get(one.connection_id, one.connection_id)),
            shown(_what(one)),
            f"{one.cron} ({one.zone})",
            timestamp(one.next_at) if one.is_active else "off",
            shown(_outcome(one)),
        )
        for one in schedules
    ]
    print_table(console(), ("id", "connection", "what", "when", "next", "last"), rows, whole=("id",))


async def _new(given: argparse.Namespace, desk: ScheduleDesk) -> None:
    from pingone_mcp.service.schedules.schedules import NewSchedule

    new = NewSchedule(kind=given.kind, cron=given.cron, zone=given.zone, arguments=_arguments(given))
    made = await desk.add(given.connection, new)
    if given.json:
        print_json(shown_schedule(made))
        return
    say(f"{made.id}: next at {timestamp(made.next_at)}, by `pingone-mcp serve`.")


async def _now(given: argparse.Namespace, desk: ScheduleDesk) -> None:
    asked = await desk.run(given.connection, given.schedule)
    is_served = desk.is_served()
    if given.json:
        print_json({**shown_schedule(asked), "is_served": is_served})
    elif is_served:
        say("It is done within seconds: `pingone-mcp schedules list` shows what came of it.")
    else:
        say("No process serves out of this state folder. It is done once one does: `pingone-mcp serve`.")


def _arguments(given: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that were typed."""
    typed: Mapping[str, Any] = {name: getattr(given, name) for name in _ARGUMENTS}
    return {
        name: [word.strip() for word in value.split(",") if word.strip()] if name in _LISTS else value
        for name, value in typed.items()
        if value is not None
    }


def _what(schedule: ScheduleRecord) -> str:
    roster = schedule.arguments.get("roster")
    return schedule.kind if roster is None else f"{schedule.kind} {roster}"


def _outcome(schedule: ScheduleRecord) -> str:
    if schedule.ran_at is None:
        return ""
    return f"{timestamp(schedule.ran_at)} {schedule.outcome}: {schedule.summary}"


VERB = Verb(
    name="schedules",
    text=f"""\
Have things done for a connection by the hour, while `pingone-mcp serve` runs: a roster compared
with the directory (drift), its roles with your rules (role_drift), a roster read from its source
(roster_pull), everything read again (full_sync). A check remembers what it found: what is new since
is sent to webhooks as the event `drift:new`, and `list` shows what came of the last run. What was
missed is done once. How often a connection is synced is a setting of it ({variable("sync_minutes")}).
Without --connection, `list` shows all, and `add` is about the connection of the variables.

examples:
  pingone-mcp schedules add drift --roster crm --cron "0 7 * * mon-fri" --zone Europe/Berlin --connection acme
  pingone-mcp schedules add roster_pull --roster crm --cron "30 6 * * *" --connection acme
  pingone-mcp schedules add full_sync --cron "30 2 * * sun" --connection acme
  pingone-mcp schedules list --connection acme --json
  pingone-mcp schedules run 0c6f9f0e-7f9e-5a0e-8f3c-0f8a4a3c2b1d""",
    add=_add,
    run=_run,
    takes_connection=True,
)
