"""`pingone-mcp connections hook`: what to enter in PingOne, so that it sends its events here; and what came of it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pingone_mcp.advice import variable
from pingone_mcp.console import print_json, say
from pingone_mcp.directory.rows import timestamp

if TYPE_CHECKING:
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.service.fleet.administration import HookState
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
        say(
            "\nThe header before this one holds for a day, so that nothing is lost until you have entered this one. "
            "Any before that holds no more."
        )


def hook_rows(state: HookState) -> list[tuple[str, str]]:
    """Return what is known of a hook, as rows for people."""
    inbox, refused = state.inbox, state.refused
    waiting = f"{inbox.waiting:,}"
    if inbox.waiting_since is not None:
        waiting += f", the oldest since {timestamp(inbox.waiting_since)}"
    return [
        ("last event", timestamp(state.last_received_at) if state.last_received_at is not None else "none came yet"),
        ("events that wait", waiting),
        ("unreadable events", f"{inbox.unreadable:,} in the last 14 days" if inbox.unreadable else ""),
        ("events set aside", f"{inbox.set_aside:,} in the last 14 days: they failed again and again")
        if inbox.set_aside
        else ("", ""),
        (
            "another secret",
            f"{refused.count:,} deliveries since {timestamp(refused.since)}, last {timestamp(refused.last)}",
        )
        if refused is not None
        else ("", ""),
    ]


def hook_facts(state: HookState) -> JsonObject:
    """Return what is known of a hook, for programs."""
    inbox, refused = state.inbox, state.refused
    return {
        "last_event_at": timestamp(state.last_received_at) if state.last_received_at is not None else None,
        "waiting": inbox.waiting,
        "waiting_since": timestamp(inbox.waiting_since) if inbox.waiting_since is not None else None,
        "unreadable": inbox.unreadable,
        "set_aside": inbox.set_aside,
        "refused": None
        if refused is None
        else {"count": refused.count, "since": timestamp(refused.since), "last": timestamp(refused.last)},
    }
