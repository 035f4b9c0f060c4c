"""Reviews of everybody, as a client asks for them, beside one scan of the same rows in SQL."""

from __future__ import annotations

import csv
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client

from benchmarks.copy.sync import sync
from benchmarks.measuring.turns import middle
from benchmarks.places.ours import connection, settings
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.replica.store.store import copy_path
from pingone_mcp.server.build import build_server
from pingone_mcp.service.connections import serve_one
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.wiring import open_backend

_SECONDS = 4.0
_NEVER_THERE = 100  # one account of the roster for so many users is of nobody
_GONE, _RENAMED = 20, 33  # one of so many accounts has identities of nobody, or another title
_RULES = 4

_SHOWN = (
    "u.id, u.username, u.name, u.email, u.department, u.manager, u.type, u.status, u.status_reasons, u.last_login_at, "
    "u.is_2fa_enabled, u.created_at"
)
_PEOPLE = f"SELECT {_SHOWN} FROM users_ u WHERE u.removed_at IS NULL AND u.id IN (SELECT user_id FROM memberships_)"  # noqa: S608 - our own
_WAYS = f"SELECT {_SHOWN}, m.group_id, m.type FROM memberships_ m JOIN users_ u ON u.id = m.user_id"  # noqa: S608 - our own
_COMPARED = """SELECT u.id, u.username, u.email, u.external_id, u.name, u.first_name, u.last_name, u.title, u.department,
    u.manager, u.type, u.status, u.status_reasons, u.locale FROM users_ u WHERE u.removed_at IS NULL"""
_MAPPED = """SELECT u.id, u.username, u.email, u.name, u.title, u.status, u.status_reasons, u.population_id, m.group_id,
    m.type FROM users_ u LEFT JOIN memberships_ m ON m.user_id = u.id WHERE u.removed_at IS NULL"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Review:
    """A review that a client asks for, and what else reads the same: `scans` are SELECTs by their words.

    `counted` names the count of those whom it is about; `what` says so with its number. `most` is how many times the
    first scan it may take, where that is promised. `roster` is a file that it reads beside the copy.
    """

    tool: str
    arguments: Mapping[str, str]
    what: str
    counted: str
    scans: Mapping[str, str]
    most: float | None = None
    roster: Path | None = None


def measured(extent: Extent) -> Measured:
    users, runs = (2_000, 3) if extent == "fast" else (100_000, 5)
    with serving(size=users) as place, TemporaryDirectory() as folder:
        cache, rosters, roles = (Path(folder) / name for name in ("cache", "rosters", "roles.toml"))
        sync(place, str(cache))
        copy = copy_path(cache, connection(place, cache).key)
        roster = _lay_out(copy, rosters, roles)
        configured = settings(place, cache).model_copy(update={"rosters": rosters, "roles_file": roles})
        figures = [
            figure
            for review in _reviews(roster)
            for figure in anyio.run(partial(_measured, configured, copy, review, runs, small=extent == "fast"))
        ]
    return Measured(figures=figures)


def _reviews(roster: Path) -> Sequence[_Review]:
    return (
        _Review(
            tool="access_review",
            arguments={},
            what="{counted:,} people with access",
            counted="people",
            scans={
                "one SELECT of the columns it reads, a row for each person": _PEOPLE,
                "one SELECT of the columns it reads, a row for each membership": _WAYS,
            },
            most=5,
        ),
        _Review(
            tool="check_drift",
            arguments={"roster": roster.stem},
            what="{counted:,} accounts",
            counted="entries",
            scans={"one SELECT of the columns it reads, and csv over the accounts": _COMPARED},
            roster=roster,
        ),
        _Review(
            tool="map_roles",
            arguments={},
            what="{counted:,} users",
            counted="users",
            scans={"one SELECT of the columns it reads, a row for each membership": _MAPPED},
        ),
    )


async def _measured(
    configured: ConnectionSettings, copy: Path, review: _Review, runs: int, *, small: bool
) -> list[Figure]:
    """Return the median seconds of the tool beside those of each scan, and beside the time that an answer has."""
    async with Client(build_server(partial(serve_one, lambda: open_backend(configured)))) as client:
        counts = await _ask(client, review)
        ours: list[float] = []
        scans: dict[str, list[float]] = {words: [] for words in review.scans}
        for _ in range(runs):
            started = time.perf_counter()
            assert await _ask(client, review) == counts
            ours.append(time.perf_counter() - started)
            for words, sql in review.scans.items():
                scans[words].append(_scan(copy, sql, review.roster, at_least=counts[review.counted] * 0.98))
    what = f"{review.tool} of everybody, {review.what.format(counted=counts[review.counted])}, warm"
    yardsticks = {_budget(): _SECONDS, **{words: middle(taken) for words, taken in scans.items()}}
    bars = {_budget(): 1.0, **({next(iter(scans)): review.most} if review.most is not None else {})}
    return [
        Figure(
            what=what if words in bars else "  the same",
            against=words,
            ours=middle(ours),
            yardstick=yardstick,
            unit="s",
            promised=at_most(bars[words]) if words in bars else None,
            small=small,
        )
        for words, yardstick in yardsticks.items()
    ]


def _budget() -> str:
    return f"the time budget of an answer, {_SECONDS:g} s"


async def _ask(client: Client, review: _Review) -> dict[str, Any]:
    """Ask until there is an answer, as a client does that is told that the review is still running."""
    while True:
        result = await client.call_tool(review.tool, dict(review.arguments))
        facts = result.structured_content
        assert facts is not None, result
        assert not result.is_error, result
        if facts.get("state") != "running":
            counts: dict[str, Any] = facts["counts"]
            return counts


def _scan(copy: Path, sql: str, roster: Path | None, *, at_least: float) -> float:
    """Return the seconds of one query, and of one pass over a roster, whose rows are fetched and thrown away."""
    with _reading(copy) as database:
        started = time.perf_counter()
        rows = sum(1 for _ in database.execute(sql))
        if roster is not None:
            with roster.open(newline="", encoding="utf-8") as file:
                assert sum(1 for _ in csv.reader(file)) >= at_least
        taken = time.perf_counter() - started
    assert rows >= at_least, f"{rows} rows"
    return taken


def _lay_out(copy: Path, rosters: Path, roles: Path) -> Path:
    """Write a roster of nearly everybody in a copy, and rules over its largest groups; return the roster."""
    rosters.mkdir()
    roster = rosters / "application.csv"
    with _reading(copy) as database, roster.open("w", newline="", encoding="utf-8") as file:
        people = database.execute(
            "SELECT email, username, name, title, department, status FROM users_ WHERE removed_at IS NULL"
        )
        csv.writer(file).writerows(_accounts(people))
        groups = database.execute(
            "SELECT group_id FROM memberships_ GROUP BY group_id ORDER BY count(*) DESC, group_id LIMIT ?", (_RULES,)
        )
        rules = [
            f'[[rule]]\nrole = "role {place}"\ngroup = {json.dumps(group)}\n' for place, (group,) in enumerate(groups)
        ]
    roles.write_text(
        "".join([*rules, '[[rule]]\nrole = "all"\ngroup = "*"\nattributes.title = ["Engineer", "Manager"]\n'])
    )
    return roster


def _accounts(people: Iterable[Sequence[str | None]]) -> Iterator[Sequence[str]]:
    """Give a heading line and the accounts, without what no application exports."""
    yield ("email", "username", "name", "title", "department", "status")
    for place, person in enumerate(people):
        email, username, name, title, department, status = (harmless(text or "") for text in person)
        if place % _GONE == 0:
            yield f"gone{place}@example.com", f"gone{place}", name, title, department, status
        else:
            yield email, username, name, "Other" if place % _RENAMED == 0 else title, department, status
        if place % _NEVER_THERE == 0:
            yield f"nobody{place}@example.com", f"nobody{place}", f"Nobody {place}", title, department, "active"


@contextmanager
def _reading(copy: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as database:
        yield database
