"""`pingone-mcp connect`: link a connection, once it works."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pingone_mcp.advice import variable
from pingone_mcp.commands.check import hearing
from pingone_mcp.commands.ending import FAILED, OK, WrongUse
from pingone_mcp.commands.linking.questions import asked
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.console import Report, print_json, say, shown
from pingone_mcp.errors import Refused
from pingone_mcp.service.fleet.linking import CannotLink, LinkRequest

if TYPE_CHECKING:
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.service.checks import Heard
    from pingone_mcp.service.fleet.administration import FleetAdministration


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="N", help="what to call it (default: the beginning of the environment's id)")
    parser.add_argument("--tenant", metavar="T", help="the customer it belongs to, as your programs call that customer")
    parser.add_argument("--reconnect", metavar="C", help="give this connection new values; its id stays")
    add_json(parser)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    report = Report(as_json=given.json)
    # The file describes what is to be linked, and not the connection that this process is configured with.
    async with doors.administration(with_file=False) as administration:
        try:
            linked = await _linked(given, doors, administration, hearing(report))
        except CannotLink:
            if given.json:
                raise
            report.close()
            say("Nothing was kept. Mend that, and connect again.", stderr=True)
            return FAILED
    if given.json:
        print_json({"id": linked.id, "name": linked.name, "tenant": linked.tenant, "status": linked.status})
        return OK
    report.close()
    say(f"Linked: {shown(linked.name)}, {linked.id}.\n\nNext:")
    say(f"  pingone-mcp sync --connection {linked.id}")
    say(f"  pingone-mcp keys create my-program --connection {linked.id}")
    say("  pingone-mcp serve")
    return OK


async def _linked(
    given: argparse.Namespace, doors: Doors, administration: FleetAdministration, heard: Heard
) -> LinkedConnection:
    """Link what is wanted, or put it in the place of what a connection has. Raises CannotLink, WrongUse."""
    try:
        if given.reconnect is None:
            return await administration.linking.connect(_wanted(given, doors), heard)
        old = await administration.find(given.reconnect)
        return await administration.linking.reconnect(old.id, _wanted(given, doors).values, heard)
    except CannotLink:
        raise
    except Refused as problem:
        raise WrongUse(problem.what, problem.next_step, code=problem.code) from None


def _wanted(given: argparse.Namespace, doors: Doors) -> LinkRequest:
    """Return what a file says, or a person who is asked. Raises Unconfigured, and WrongUse where nobody is there."""
    values = doors.values_to_link()
    if values is not None:
        return LinkRequest(values=values, name=given.name, tenant=given.tenant)
    if given.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise WrongUse(
            "There is nobody to ask for the values of the connection.",
            "Put them into a file and name it with --env-file (`pingone-mcp guide settings` prints one to fill in).",
        )
    values, name = asked(doors.wrong_value, with_name=given.name is None and given.reconnect is None)
    return LinkRequest(values=values, name=given.name or name, tenant=given.tenant)


VERB = Verb(
    name="connect",
    text=f"""\
Link a PingOne environment, so that `pingone-mcp serve` serves it. The values come from a file of
settings (--env-file), or you are asked for them. Each right is tried first, as `check` does, and
nothing is kept before it works. The secret is sealed by a key ring in the state folder
({variable("state_dir")}); where that is lost, the connection is linked anew with --reconnect.
The exit status is 0 when it is linked, 1 when it does not work, 2 for wrong use or settings.
With --json it prints {{"id", "name", "tenant", "status"}}.

examples:
  pingone-mcp connect
  pingone-mcp connect --name acme --tenant customer-17 --env-file acme.env --json
  pingone-mcp connect --reconnect acme --env-file acme.env""",
    add=_add,
    run=_run,
)
