"""`pingone-mcp keys`: the keys by which programs and assistants call `serve`, and the key ring that seals secrets."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from pingone_mcp.commands.ending import OK, asking
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.commands.words import span
from pingone_mcp.console import console, print_json, print_table, say, shown
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.fleet.administration import PERMISSIONS, KeyRequest

if TYPE_CHECKING:
    from pingone_mcp.control.api_keys import ApiKey
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.service.fleet.administration import FleetAdministration


def _add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", dest="action", required=True)
    create = actions.add_parser("create", help="make a key, and print it this once", allow_abbrev=False)
    create.add_argument("name", metavar="NAME", help="whose it is, or what it is for")
    reach = create.add_mutually_exclusive_group()
    reach.add_argument(
        "--connection",
        dest="reached",
        action="append",
        default=[],
        metavar="C",
        help="a connection that it reaches (name or id; may be given again). Without it: all of --tenant, or all",
    )
    reach.add_argument("--tenant", metavar="T", help="it reaches the connections of this customer")
    create.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="S",
        help=f"what it may be used for (may be given again; default directory.read): {', '.join(PERMISSIONS)}",
    )
    create.add_argument("--expires", metavar="SPAN", help="so long it is valid: 90d (default: until it is revoked)")
    add_json(create)
    add_json(actions.add_parser("list", help="all keys, without their texts", allow_abbrev=False))
    revoke = actions.add_parser("revoke", help="let a key be valid no more", allow_abbrev=False)
    revoke.add_argument("key", metavar="ID", help="its id, as `list` shows it")
    rotate = actions.add_parser("rotate", help="seal what is secret by a new key of the key ring", allow_abbrev=False)
    rotate.add_argument("--forget-old", action="store_true", help="remove the former keys from the key file")
    for one in actions.choices.values():
        one.set_defaults(parser=one)  # which says what was meant by an option that it does not have


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    async with doors.administration() as administration:
        with asking():
            match given.action:
                case "create":
                    await _create(given, administration)
                case "list":
                    await _list(administration, as_json=given.json)
                case "revoke":
                    await administration.revoke_key(given.key)
                    say("The key is valid no more.")
                case _:
                    count = await administration.rotate_keys(forget_old=given.forget_old)
                    say(f"A new key of the key ring seals from now on; {count} data keys were wrapped anew.")
    return OK


async def _create(given: argparse.Namespace, administration: FleetAdministration) -> None:
    expires = timedelta(seconds=span(given.expires)) if given.expires is not None else None
    request = KeyRequest(
        name=given.name,
        connections=given.reached,
        tenant=given.tenant,
        permissions=tuple(dict.fromkeys(given.scope)) or ("directory.read",),
        expires=expires,
    )
    made = await administration.create_key(request)
    text = made.text.get_secret_value()
    facts = _facts(made.key)
    if given.json:
        print_json({"id": facts["id"], "key": text, **facts})
        return
    say(text)
    say("It is shown this once. Callers send it as: Authorization: Bearer KEY", stderr=True)


async def _list(administration: FleetAdministration, *, as_json: bool) -> None:
    keys = await administration.keys()
    if as_json:
        print_json([_facts(key) for key in keys])
        return
    if not keys:
        say("There is no key. `pingone-mcp keys create NAME` makes one.")
        return
    names = {linked.id: linked.name for linked in await administration.connections()}
    rows = [
        (key.id, shown(key.name), shown(_reach(key, names)), ", ".join(sorted(key.permissions)), _end(key))
        for key in keys
    ]
    print_table(console(), ("id", "name", "reaches", "scopes", "valid"), rows, whole=("id",))


def _facts(key: ApiKey) -> JsonObject:
    return {
        "id": key.id,
        "name": key.name,
        "connections": sorted(key.connections) if key.connections is not None else None,
        "tenant": key.tenant,
        "scopes": sorted(key.permissions),
        "expires_at": timestamp(key.expires_at) if key.expires_at is not None else None,
        "last_used_at": timestamp(key.last_used_at) if key.last_used_at is not None else None,
        "revoked_at": timestamp(key.revoked_at) if key.revoked_at is not None else None,
    }


def _reach(key: ApiKey, names: Mapping[str, str]) -> str:
    if key.connections is not None:
        return ", ".join(sorted(names.get(one, one) for one in key.connections)) or "none any more"
    return f"those of {key.tenant}" if key.tenant is not None else "all"


def _end(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return f"until {timestamp(key.expires_at)}" if key.expires_at is not None else "always"


VERB = Verb(
    name="keys",
    text="""\
Make, list and revoke the keys by which programs and assistants call `pingone-mcp serve`. A key
reaches the connections that are named, those of a customer, or all; it may be used for the scopes
that are named. It is printed once; what is kept only recognizes it. `rotate` is about the key ring
that seals the secrets of connections, and changes no caller's key.
With --json `create` prints {"id", "key", "connections", "scopes", "expires_at"} and more.

examples:
  pingone-mcp keys create reporting --connection acme --expires 90d
  pingone-mcp keys create operations --scope directory.read --scope connections.manage --json
  pingone-mcp keys list
  pingone-mcp keys revoke 4f1c2a""",
    add=_add,
    run=_run,
)
