"""`pingone-mcp events`: what was to be sent to webhooks lately, and what became of it; and to send it again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pingone_mcp.commands.ending import OK, WrongUse, asking
from pingone_mcp.commands.verb import Doors, Verb, add_json, whole
from pingone_mcp.commands.words import counted, moment
from pingone_mcp.console import console, print_json, print_table, say, shown
from pingone_mcp.directory.rows import timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from pingone_mcp.control.outbox import EventRecord
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.service.fleet.administration import FleetAdministration

_MOST = 10_000
_STATES = ("waiting", "delivered", "failed")


def _add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", dest="action", required=True)
    listed = actions.add_parser("list", help="the last events, the newest first", allow_abbrev=False)
    listed.add_argument("--state", choices=_STATES, help="only those that wait, arrived, or were given up (failed)")
    listed.add_argument("--webhook", metavar="ID", help="only those of this webhook")
    listed.add_argument("--limit", type=whole(1, _MOST), default=100, metavar="N", help="so many at most (default 100)")
    resend = actions.add_parser(
        "resend", help="send an event again, all that failed, or all since a time", allow_abbrev=False
    )
    resend.add_argument("event", nargs="?", metavar="ID", help="the id of one event, as `list` shows it")
    resend.add_argument("--since", metavar="WHEN", help="all since then: 2026-11-01T08:00:00Z, 12h, 7d")
    resend.add_argument("--failed", action="store_true", help="all that were given up, however long ago they happened")
    resend.add_argument("--webhook", metavar="ID", help="with --since or --failed: only those of this webhook")
    for one in actions.choices.values():
        add_json(one)
        one.set_defaults(parser=one)  # which says what was meant by an option that it does not have


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    if given.action == "resend":
        _check_resend(given)
    async with doors.administration() as administration:
        with asking():
            if given.action == "list":
                events = await administration.events(state=given.state, webhook=given.webhook, limit=given.limit)
                await _list(events, administration, as_json=given.json)
            else:
                await _resend(given, administration)
    return OK


def _check_resend(given: argparse.Namespace) -> None:
    if (given.event is not None) + given.failed + (given.since is not None) != 1:
        raise WrongUse(
            "Either one event is sent again, or all that were given up, or all since a time.",
            "Give its id, --failed, or --since WHEN.",
        )
    if given.webhook is not None and given.event is not None:
        raise WrongUse("An event is one of a single webhook already.", "Leave out --webhook.")


async def _list(events: list[EventRecord], administration: FleetAdministration, *, as_json: bool) -> None:
    if as_json:
        print_json([_facts(event) for event in events])
        return
    off = [webhook for webhook in await administration.webhooks() if not webhook.is_active and webhook.reason]
    for webhook in off:
        say(f"The webhook {webhook.id} is switched off: {shown(webhook.reason or '')}", stderr=True)
    if not events:
        say("There is no such event.")
        return
    names = {linked.id: linked.name for linked in await administration.connections()}
    rows = [
        (
            event.id,
            event.event,
            shown(names.get(event.connection_id, event.connection_id)),
            timestamp(event.created_at),
            event.state,
            str(event.attempts) if event.attempts else "",
            shown(event.last_error or ""),
        )
        for event in events
    ]
    columns = ("id", "event", "connection", "happened", "state", "failures", "last failure")
    print_table(console(), columns, rows, whole=("id",))


async def _resend(given: argparse.Namespace, administration: FleetAdministration) -> None:
    if given.event is not None:
        found = await administration.resend(given.event)
        if given.json:
            print_json(_facts(found))
        else:
            say("It is sent again when its turn comes, under the same id.")
        return
    if given.failed:
        count = await administration.resend_failed(webhook=given.webhook)
    else:
        count = await administration.resend_since(moment(given.since, administration.now()), webhook=given.webhook)
    if given.json:
        print_json({"events": count})
    else:
        say(f"{counted(count, 'event')} will be sent again, each under its id.")


def _facts(event: EventRecord) -> JsonObject:
    return {
        "id": event.id,
        "event": event.event,
        "webhook_id": event.webhook_id,
        "integrated_account_id": event.connection_id or None,
        "state": event.state,
        "created_at": timestamp(event.created_at),
        "failures": event.attempts,
        "last_error": event.last_error,
        "next_try_at": _time(event.next_try_at),
        "delivered_at": _time(event.delivered_at),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


VERB = Verb(
    name="events",
    text="""\
Show the events that were to be sent to webhooks in the last 14 days, and what became of each; and
send one again, all that were given up, or all since a time. An event keeps its id, so that a
receiver that has it already can tell. `pingone-mcp serve` sends them; what it gave up after 24 hours
waits here as failed.

examples:
  pingone-mcp events list --state failed
  pingone-mcp events resend 0c6f9f0e-7f9e-5a0e-8f3c-0f8a4a3c2b1d
  pingone-mcp events resend --failed
  pingone-mcp events resend --since 12h""",
    add=_add,
    run=_run,
)
