"""Rosters touch control data, so they are tested on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Unreachable
from pingone_mcp.service.rosters.desk import RosterDesk
from pingone_mcp.service.rosters.keeping import KeptRoster
from pingone_mcp.service.rosters.pulling import Applications, ReadList
from pingone_mcp.service.rosters.shelf import Shelf, shelf_in
from pingone_mcp.settings.targets import TargetRules
from pingone_mcp.tasks import background
from pingone_mcp.wiring.fleet import LinkedFiles, rosters_of
from tests.control.conftest import Hands, control, database_url, hands, linked, postgres

__all__ = ["control", "database_url", "hands", "linked", "postgres"]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a reader brings of an application."""

    users: tuple[JsonObject, ...] = ()
    total: int | None = None
    is_whole: bool = True
    reason: str | None = None


class Slow:
    """An application that answers when a test says so."""

    def __init__(self) -> None:
        self.asked, self.may_answer = anyio.Event(), anyio.Event()

    async def read(self) -> ReadList:
        self.asked.set()
        await self.may_answer.wait()
        return Answered(users=(user("ann"),))


@dataclass(kw_only=True)
class Office:
    """The use cases over one connection; `asked` are the URLs and tokens with which its applications were asked.

    What is `slow` answers in the place of `answers`.
    """

    control: ControlData
    linked: LinkedConnection
    hands: Hands
    files: LinkedFiles
    answers: dict[str, Answered]
    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, "str | None"]])
    slow: Slow | None = None
    desk: RosterDesk = field(init=False)
    applications: Applications = field(init=False)

    async def read(self, url: str, token: SecretStr | None) -> ReadList:
        self.asked.append((url, None if token is None else token.get_secret_value()))
        if self.slow is not None:
            return await self.slow.read()
        if url not in self.answers:
            raise Unreachable("No answer came.", "Look at the network.")
        return self.answers[url]

    @property
    def shelf(self) -> Shelf:
        return shelf_in(self.files.own(self.linked.id))

    @property
    def folder(self) -> Path:
        return self.shelf.folder.path

    async def push(self, name: str, *people: str) -> KeptRoster:
        """Push a list of people by their addresses."""
        content = "\n".join(["email", *people]).encode()
        return (await self.desk.keeping.push(self.linked.id, name, "csv", content)).roster

    async def find(self, name: str) -> KeptRoster:
        return await self.desk.keeping.find(self.linked.id, name)

    def accounts(self, name: str) -> list[str | None]:
        """Return the addresses of the list that lies there, as whoever compares it reads it."""
        from pingone_mcp.reports.rosters.files import parse_roster

        found = self.shelf.read(name)
        assert found is not None, "no list"
        kind, content = found
        return [entry.email for entry in parse_roster(content, kind).entries]


def user(name: str, **more: Any) -> JsonObject:
    return {"id": f"id-{name}", "userName": name, "emails": [{"value": f"{name}@example.com"}], "active": True, **more}


@pytest.fixture
async def office(control: ControlData, linked: LinkedConnection, hands: Hands, tmp_path: Path) -> AsyncIterator[Office]:
    files = LinkedFiles(tmp_path / "state")
    files.make(linked.id)
    made = Office(control=control, linked=linked, hands=hands, files=files, answers={})
    async with background() as tasks:
        made.applications = Applications(read_users=made.read, may_read=TargetRules().allow_url, tasks=tasks)
        made.desk = rosters_of(control, files, made.applications)
        yield made
