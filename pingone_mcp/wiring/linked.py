"""What was linked, as a process opens it that a person has started: all of it, or the one that --connection names.

Control data take packages of an extra, and a while to be loaded: nobody needs them before something of it is asked for.
"""
# ruff: noqa: PLC0415 - as the docstring says

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Unconfigured
from pingone_mcp.extras import find_extra
from pingone_mcp.settings import ServeSettings, Settings
from pingone_mcp.settings.given import environment_settings, given_files, given_switches
from pingone_mcp.settings.targets import TargetRules

if TYPE_CHECKING:
    from pingone_mcp.service.fleet.administration import FleetAdministration
    from pingone_mcp.service.rosters.desk import RosterDesk
    from pingone_mcp.service.schedules.desk import ScheduleDesk
    from pingone_mcp.settings.parts import ConnectionSettings


@asynccontextmanager
async def administration(env_file: Path | None, *, with_file: bool = True) -> AsyncIterator[FleetAdministration]:
    """Open what looks after connections and keys, that of the variables among them where they describe one.

    `with_file` says whether the file describes it too. Raises Unconfigured, and MissingExtra.
    """
    find_serve()
    from pingone_mcp.wiring.fleet import control_place, open_administration

    settings = ServeSettings.load(env_file)
    described = _described(env_file if with_file else None)
    switches = given_switches(env_file if with_file else None)
    async with open_administration(control_place(settings), described, settings.public_url, switches) as opened:
        yield opened


@asynccontextmanager
async def schedules(env_file: Path | None) -> AsyncIterator[ScheduleDesk]:
    """Open the schedules of connections, that of the variables among them. Raises Unconfigured, and MissingExtra."""
    find_serve("cronsim")
    from pingone_mcp.wiring.fleet import control_place
    from pingone_mcp.wiring.schedules import open_schedules

    async with open_schedules(control_place(ServeSettings.load(env_file)), _described(env_file)) as opened:
        yield opened


@asynccontextmanager
async def rosters(env_file: Path | None, reference: str | None) -> AsyncIterator[tuple[str, RosterDesk]]:
    """Open what keeps the rosters of a linked connection that a person names (None: of that of the variables).

    Raises Unconfigured, MissingExtra, and Refused where there is none of this name or id.
    """
    described = Settings.load(env_file) if reference is None else _described(env_file)
    find_serve()
    from pingone_mcp.wiring.fleet import control_place, open_rosters

    settings = ServeSettings.load(env_file)
    rules = TargetRules(frozenset(settings.webhook_hosts), with_loopback=True)  # a person at this machine names targets
    async with open_rosters(control_place(settings), described, reference or DEFAULT, rules) as opened:
        yield opened


async def read_named(env_file: Path | None, reference: str) -> tuple[str, ConnectionSettings]:
    """Return the id and the settings of a linked connection that a person names; no control data stay open.

    Raises Unconfigured, MissingExtra, Refused where there is none of this name or id, and Paused.
    """
    find_serve()
    from pingone_mcp.wiring.fleet import control_place, read_one

    return await read_one(control_place(ServeSettings.load(env_file)), reference, given_files(env_file))


def find_serve(*others: str) -> None:
    """Look whether what control data take of the extra `serve` is there, and others of it. Raises MissingExtra."""
    for package in ("sqlalchemy", "aiosqlite", "alembic", *others):
        find_extra(package, "serve")


def _described(env_file: Path | None) -> ConnectionSettings | None:
    """Return what the variables describe; nothing where that is wrong, which `check` says."""
    try:
        return environment_settings(env_file)
    except Unconfigured:
        return None
