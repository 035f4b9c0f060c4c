"""Matters: each is something that needs a person, in a sentence, with the one act that settles it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from pingone_mcp.service.callers import Permission

MatterKind = Literal[
    "credentials",
    "copy_damaged",
    "unknown",
    "removals",
    "place",
    "stale",
    "hook_secret",
    "hook_format",
    "hook_aside",
    "hook_waits",
    "hook_silent",
    "roster",
    "schedule",
    "webhook_off",
    "webhook_failing",
    "webhook_lost",
    "key",
]
"""What it is about, in the order in which it is shown: the first keep others from being right."""
Act = Literal[
    "reconnect", "look", "decide", "choose", "sync", "hook", "pull", "run", "switch_on", "try_again", "resend", "renew"
]
"""What settles it.

reconnect: enter credentials that work. look: once more, at what could not be found out. decide: look at who could not
be found, and say whether they are gone. choose: choose what is served. hook: enter at the provider what its hook shows.
pull: a roster. run: a schedule. switch_on, try_again, resend: a webhook. renew: make another key.
"""
NEEDS: Mapping[Act, Permission] = MappingProxyType(
    {
        "reconnect": "connections.manage",
        "look": "directory.read",
        "decide": "directory.sync",
        "choose": "connections.manage",
        "sync": "directory.sync",
        "hook": "connections.manage",
        "pull": "directory.sync",
        "run": "directory.sync",
        "switch_on": "events.manage",
        "try_again": "events.manage",
        "resend": "events.manage",
        "renew": "connections.manage",
    }
)
"""The permission that each act needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedConnection:
    """The connection that something is about, as people call it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """Something that needs a person: `what` is one sentence or two; settings in it are marks (`advice`).

    `since` says from when on it is so (None: nobody knows), `until` when it will be too late. `subject` is the webhook,
    the schedule, the roster or the key that it is about. `of` is None for what is no single connection's.
    """

    kind: MatterKind
    act: Act
    what: str
    since: datetime | None = None
    until: datetime | None = None
    subject: str | None = None
    of: NamedConnection | None = None

    @property
    def needs(self) -> Permission:
        return NEEDS[self.act]
