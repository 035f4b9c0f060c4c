"""`pingone-mcp connections hook`: what to enter in PingOne, so that it sends its events here."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pingone_mcp.advice import variable
from pingone_mcp.console import print_json, say

if TYPE_CHECKING:
    from pingone_mcp.service.fleet.hook_form import HookForm

_INDENT = "    "
_WIDTH = 100


def show_hook(form: HookForm, *, as_json: bool, is_new: bool) -> None:
    """Print the form, for a program or for a person; the secret stands in it."""
    headers = {name: value.get_secret_value() for name, value in form.headers.items()}
    if not form.is_public:
        say(
            f"PingOne cannot reach this URL: {variable('public_url')} is not set. It is the address by which it can.",
            stderr=True,
        )
    if as_json:
        print_json({"url": form.url, "headers": headers, "action_types": list(form.action_types)})
        return
    types = textwrap.fill(", ".join(form.action_types), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    shown = "\n".join(f"{_INDENT}{name}: {value}" for name, value in headers.items())
    say(
        f"In PingOne, under Integrations > Webhooks, add a webhook:\n\n"
        f"  Destination URL\n{_INDENT}{form.url}\n\n"
        f"  Custom header (it is secret)\n{shown}\n\n"
        f"  Format\n{_INDENT}Ping Activity Format. Not Splunk and not New Relic: those cannot be read.\n"
        f"{_INDENT}Leave the payload a JSON array; line-delimited JSON is read too, but is not needed.\n\n"
        f"  TLS certificates\n{_INDENT}Leave their verification on.\n\n"
        f"  Filters\n{_INDENT}No filter of populations or applications: what it leaves out comes by syncs only.\n\n"
        f"  Action types\n{types}"
    )
    if is_new:
        say("\nThe header before this one holds for a day, so that nothing is lost until you have entered this one.")
