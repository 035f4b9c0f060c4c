"""`pingone-mcp connect`: link a connection, once it works."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Mapping

from pingone_mcp.advice import spelled, variable
from pingone_mcp.commands.ending import OK, WrongUse
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.console import print_json, say, shown
from pingone_mcp.service.checks import Step
from pingone_mcp.service.fleet.linking import LinkRequest


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="N", help="what to call it (default: the beginning of the environment's id)")
    parser.add_argument("--tenant", metavar="T", help="the customer it belongs to, as your programs call that customer")
    parser.add_argument("--reconnect", metavar="C", help="give this connection new values; its id stays")
    add_json(parser)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    values = doors.values_to_link() or _asked(given)
    async with doors.administration() as administration:
        heard = _unheard if given.json else _say
        if given.reconnect is not None:
            old = await administration.find(given.reconnect)
            linked = await administration.linking.reconnect(old.id, values, heard)
        else:
            request = LinkRequest(values=values, name=given.name, tenant=given.tenant)
            linked = await administration.linking.connect(request, heard)
    if given.json:
        print_json({"id": linked.id, "name": linked.name, "tenant": linked.tenant, "status": linked.status})
    else:
        say(f"\nConnected: {shown(linked.name)}, {linked.id}.")
        say(f"Next:\n  pingone-mcp keys create NAME --connection {linked.id}\n  pingone-mcp serve")
    return OK


def _asked(given: argparse.Namespace) -> Mapping[str, str]:
    """Ask a person for what a connection takes. Raises WrongUse where nobody is there to be asked."""
    if given.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise WrongUse(
            "There is nobody to ask for the values of the connection.",
            "Put them into a file and name it with --env-file (`pingone-mcp guide settings` prints one to fill in).",
        )
    say("The values stand in PingOne's console: Applications, the worker application, Overview.", stderr=True)
    values = {
        "region": _answer("Region (NA CA EU AU SG AP)", "NA"),
        "environment_id": _answer("Environment id"),
        "client_id": _answer("Client id"),
        "client_secret": getpass.getpass("Client secret (not shown): "),
    }
    return {name: value for name, value in values.items() if value}


def _answer(question: str, default: str = "") -> str:
    hint = f" [{default}]" if default else ""
    sys.stderr.write(f"{question}{hint}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() or default


def _say(step: Step) -> None:
    mark = "ok" if step.ok else "failed" if step.needed else "missing"
    say(f"{mark:<8} {step.step}: {shown(spelled(step.text))}")


def _unheard(_: Step) -> None:
    pass


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
