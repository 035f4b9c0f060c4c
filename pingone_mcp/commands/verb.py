"""What a command is: its words, its arguments, and what it does with what it may open.

A command is one module with a `VERB`, and one line in `cli.VERBS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pingone_mcp.commands.ending import FAILED

if TYPE_CHECKING:
    from datetime import datetime

    from mcp import Client

    from pingone_mcp.errors import Problem
    from pingone_mcp.service.backend import OpenBackend
    from pingone_mcp.service.checks import Heard
    from pingone_mcp.service.fleet.administration import FleetAdministration
    from pingone_mcp.service.rosters.desk import RosterDesk
    from pingone_mcp.service.schedules.desk import ScheduleDesk
    from pingone_mcp.service.syncing import SyncReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """Where to listen for HTTP, how callers reach that, and whether a reverse proxy ends TLS before it.

    `with_pages`: it has pages for people. `is_local`: it is for this machine alone, whatever address and TLS are set.
    """

    host: str
    port: int
    public_url: str | None = None
    behind_proxy: bool = False
    with_pages: bool = True
    is_local: bool = False


class OfferedTool(Protocol):
    """A tool as the server offers it; `parameters` is the JSON Schema of its arguments."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def parameters(self) -> dict[str, Any]: ...


class Doors(Protocol):
    """What a command may open, of the connection that is named, or of that which is configured.

    What reads the settings raises Unconfigured before anything is opened, and WrongUse for a connection that there is
    not: of one that is named, when it is opened.
    """

    def backend(self) -> OpenBackend:
        """Return what opens the directory that is configured, and its local copy."""

    async def check(self, heard: Heard, tell: Callable[[str], None]) -> None:
        """Check the connection step by step; what comes of it is noted of one that was linked.

        `tell` hears which settings were given and come to nothing.
        """

    async def note_sync(self, outcome: SyncReport | Problem, ended_at: datetime) -> None:
        """Note what came of a sync where the connection was linked; nothing of that of the variables."""

    async def check_settings(self) -> None:
        """Read the settings, and find the connection that is named."""

    def given_settings(self) -> Mapping[str, str]:
        """Return what the environment sets, by name; of a secret the name alone. Raises Unconfigured.

        Where a connection is named, that is where the linked ones are kept.
        """

    def settings_file(self) -> str:
        """Return a file of settings to fill in."""

    def client(self) -> AbstractAsyncContextManager[Client]:
        """Return an MCP client of a server in this process, whose answers are as long as what was asked for."""

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser of everything that may be typed."""

    def tools(self) -> Sequence[OfferedTool]:
        """Return the tools of the server; reads no settings."""

    def values_to_link(self) -> Mapping[str, str] | None:
        """Return what a file says of a connection, by setting; None where no file is named. Raises Unconfigured."""

    def wrong_value(self, name: str, value: str) -> str | None:
        """Return what is wrong with the value of a setting of a connection that is to be linked, if anything is."""

    def administration(self, *, with_file: bool = True) -> AbstractAsyncContextManager[FleetAdministration]:
        """Return what looks after linked connections and keys, and that of the variables where they describe one.

        So may a file of settings, unless it is without: then the file describes something else.
        """

    def schedules(self) -> AbstractAsyncContextManager[ScheduleDesk]:
        """Return what a person does with the schedules of connections, by their names."""

    def rosters(self) -> AbstractAsyncContextManager[tuple[str, RosterDesk]]:
        """Return the id of the connection, and what keeps its rosters and rules."""

    async def serve(
        self, request: ServeRequest, began: Callable[[str, str | None], None], log: Callable[[str], None]
    ) -> None:
        """Serve all connections over HTTP until Ctrl-C or SIGTERM.

        `began` is called once with the URL, and a link that signs a browser in; `log` gets lines of JSON.
        """

    def sandbox(self, *, size: int, port: int) -> AbstractAsyncContextManager[Mapping[str, str]]:
        """Return a fake PingOne with so many users on a port of this machine; gives the settings that lead to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One command. `text` is what its --help shows: a description, an empty line, examples.

    `add` adds its arguments to a parser, `--help` too where it has `own_help`; `run` does the work and returns the exit
    status, which is `failed` where a Problem ends it that is neither wrong use nor a missing setting. What
    `takes_connection` is about the one connection that --connection names, or that of the variables.
    """

    name: str
    text: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Doors], Awaitable[int]]
    failed: int = FAILED
    own_help: bool = False
    takes_connection: bool = False


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def add_size(parser: argparse.ArgumentParser, *, least: int) -> None:
    parser.add_argument(
        "--size",
        type=whole(least, 1_000_000),
        default=500,
        metavar="N",
        help=f"users of the sample company, {least} or more (default 500)",
    )


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number between two others, and raises ArgumentTypeError for anything else."""

    def number(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from {least:,} to {most:,}")

    return number
