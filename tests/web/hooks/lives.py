"""Processes that serve, one after the other over the same files, each of which may die at any of its steps.

A step is a statement to control data, a request to a company, or one that comes in or goes out. Who dies leaves the
files as they are then: what it does afterwards harms nobody, and nobody hears of it.
"""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import anyio
import httpx
from sqlalchemy import Engine, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.errors import Problem, Unreachable
from pingone_mcp.http.outward.targets import Receipt
from pingone_mcp.pingone.feed.events import about, is_foreign
from pingone_mcp.replica.replica import Replica
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.times import SECOND
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.deliveries import Deliveries
from pingone_mcp.service.events.hooks.taking import HookTaking
from pingone_mcp.service.events.hooks.work import HookWork
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.settings.serving import Serving
from pingone_mcp.tasks import background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.wiring.serving import ServedFleet, open_face
from tests.fleets import Estate, estate
from tests.service.events.receivers import Letter
from tests.web.faces import HOST
from tests.web.hooks.test_end_to_end import OnThisMachine

Mood = Literal["takes it", "refuses it", "leads elsewhere", "takes it, and its answer is lost", "does not hear"]
MOODS: tuple[Mood, ...] = (
    "takes it",
    "refuses it",
    "leads elsewhere",
    "takes it, and its answer is lost",
    "does not hear",
)
_STATUSES: dict[Mood, int] = {"takes it": 200, "refuses it": 500, "leads elsewhere": 302}
_PATIENCE = 60.0


Step = Literal["statement", "write", "commit", "request", "letter"]
"""To control data; a request is one of ours to a company, or a delivery of hooks."""
STEPS: tuple[Step, ...] = get_args(Step)


class Killed(Exception):
    """The process is dead."""


class Death(NamedTuple):
    """At which step of a kind it comes, counted from 1."""

    at: Step
    number: int


@dataclass
class Fate:
    """When the process dies, whereupon its files are copied as they are."""

    folder: Path
    death: Death | None = None
    seen: int = 0
    is_dead: bool = False
    deaths: int = 0
    is_doomed: bool = False
    """Only what the process itself does is a step."""

    def step(self, kind: Step) -> None:
        """Raise Killed in a process that is dead, or dies here."""
        if not self.is_doomed:
            return
        if not self.is_dead and self.death is not None and self.death.at == kind:
            self.seen += 1
            if self.seen >= self.death.number:
                self.is_dead = True
                self.deaths += 1
                copy_as_it_is(self.folder, self.heir)
        if self.is_dead:
            raise Killed

    @property
    def heir(self) -> Path:
        """Where the next process finds what this one has left."""
        return self.folder.with_name(f"life-{self.deaths}")


def copy_as_it_is(folder: Path, target: Path) -> None:
    """Copy what a process has kept: of a database what its last transaction left, control data before copies."""
    for path in sorted(folder.rglob("*"), key=lambda one: ("control" not in one.parts, one)):
        into = target / path.relative_to(folder)
        if path.is_dir():
            into.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif path.name.endswith(("-wal", "-shm", "-journal")):
            continue
        else:
            into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                _copy_file(path, into)


def _copy_file(path: Path, into: Path) -> None:
    with path.open("rb") as file:
        is_database = file.read(16) == b"SQLite format 3\0"
    if path.suffix != ".db" or not is_database:
        shutil.copy2(path, into)
        return
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(into)) as copy:
        source.backup(copy)
    into.chmod(0o600)


class _Watched:
    """What stands before a company, or before us: whatever passes is a step of the process, before and after it."""

    def __init__(self, app: Callable[[], ASGIApp], fate: Callable[[], Fate]) -> None:
        self._app, self._fate = app, fate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent: list[Message] = []

        async def kept(message: Message) -> None:
            sent.append(message)

        try:
            self._fate().step("request")
            await self._app()(scope, receive, kept)
            self._fate().step("request")
        except Killed:
            raise httpx.ReadError("the connection broke") from None
        for message in sent:
            await send(message)


@dataclass
class Life:
    """One process: all that `serve` has, each part of which is called by the play."""

    estate: Estate
    app: ASGIApp
    out: ChangesOut
    syncs: FleetSyncs
    work: HookWork
    deliveries: Deliveries

    async def linked(self) -> list[LinkedConnection]:
        return await self.estate.control.connections.listed()

    async def replica(self, linked: LinkedConnection) -> Replica:
        return (await (await self.estate.fleet.current(linked)).backend()).replica

    async def begin(self) -> None:
        """Do what `serve` does at its start."""
        await self.estate.control.sync_runs.end_interrupted()
        await self.work.ask_at_start()
        for linked in await self.linked():
            await self.out.changed(linked.id)

    async def work_on_hooks(self) -> None:
        await self.work.begin_due()
        await _idle(self.work)

    async def sync(self) -> None:
        """Sync everybody as serve does when it is asked to."""
        for linked in await self.linked():
            await self.syncs.request(linked)
        await self.syncs.begin_due()
        await _idle(self.syncs)

    async def sync_in_full(self) -> None:
        """Sync as another process does: nobody here hears of it."""
        for linked in await self.linked():
            await (await self.replica(linked)).sync("full", report=lambda *_: None)

    async def deliver(self) -> None:
        await self.deliveries.begin_due()
        await _idle(self.deliveries)


async def _idle(one: HookWork | FleetSyncs | Deliveries) -> None:
    with anyio.fail_after(_PATIENCE):
        while one._under_way:  # noqa: ASYNC110, SLF001 - nobody else waits for it
            await anyio.sleep(0.001)


@dataclass
class House:
    """Companies, receivers of events, and the processes between them."""

    fate: Fate
    life: Life
    letters: list[Letter] = field(default_factory=list[Letter])
    moods: list[Mood] = field(default_factory=list[Mood])
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def estate(self) -> Estate:
        return self.life.estate

    def sandboxes(self) -> list[Sandbox]:
        return [world.sandbox for world in self.estate.worlds.values()]

    def pass_time(self, seconds: float = 0.0) -> None:
        """Let time pass everywhere; where naps have let it pass for the process alone, companies come after."""
        time = self.estate.time
        time.passed += seconds
        for sandbox in self.sandboxes():
            sandbox.clock.advance(max(0.0, time.now() - sandbox.clock.now() / SECOND))

    async def act(self, *acts: Callable[[], Awaitable[object]], dies: Death | None = None) -> None:
        """Do things at the same time; a process that dies meanwhile is followed by the next one."""
        self.fate.death, self.fate.seen = dies, 0
        self.fate.is_doomed = True
        async with anyio.create_task_group() as together:
            for one in acts:
                together.start_soon(_carefully, one, self.fate)
        self.fate.is_doomed = False
        if self.fate.is_dead:
            await self.succeed()
        self.pass_time()

    async def succeed(self) -> None:
        """Let the process die, and the next one begin over what it has left."""
        before, heir = self.estate, self.fate.heir
        self.fate.is_doomed = True
        with suppress(Killed):
            await self._stack.aclose()
        shutil.rmtree(self.fate.folder, ignore_errors=True)
        self.fate = dataclasses.replace(self.fate, folder=heir, death=None, is_dead=False, is_doomed=False)
        self.life = await self._stack.enter_async_context(living(self, after=before))
        await self.life.begin()

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Receipt:
        """Take an event, or not, as the mood is."""
        self.fate.step("letter")
        mood = self.moods.pop(0) if self.moods else "takes it"
        if mood != "does not hear":
            self.letters.append(Letter(url, body, headers))
        self.fate.step("letter")
        status = _STATUSES.get(mood)
        if status is None:
            raise Unreachable("It did not answer in time.")
        return Receipt(status, None)


async def _carefully(act: Callable[[], Awaitable[object]], fate: Fate) -> None:
    try:
        await act()
    except Exception as error:
        if not (fate.is_dead or isinstance(error, Problem)):
            raise


def _same(app: ASGIApp) -> ASGIApp:
    return app


@asynccontextmanager
async def living(house: House, *, after: Estate | None) -> AsyncIterator[Life]:
    """Open a process over the files of a house; nothing in it goes on by itself."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(estate(house.fate.folder, after=after))
        tasks = await stack.enter_async_context(background())
        clock, control = opened.time.clock(), opened.control
        out = ChangesOut(control, opened.fleet, clock)
        taking = HookTaking(control, is_foreign)
        syncs = FleetSyncs(control, opened.fleet, tasks, clock, out.changed)
        work = HookWork(control, opened.fleet, out.changed, tasks, clock, about=about, counts=taking.counts)
        stack.enter_context(taking.on_arrival(work.arrived))
        served = ServedFleet(opened.fleet, syncs, opened.administration.linking, opened.rosters, taking=taking)
        address = PublicAddress(f"http://{HOST}")
        # Who looks at something again and again does that by the real time.
        real = dataclasses.replace(clock, sleep=anyio.sleep)
        opening = open_face(control, served, Serving(), address, log=lambda _: None, clock=real)
        face = await stack.enter_async_context(opening)
        yield Life(opened, face.app, out, syncs, work, Deliveries(control, house.post, tasks, clock))


@asynccontextmanager
async def housed(folder: Path, companies: Sequence[tuple[str, str]]) -> AsyncIterator[House]:
    """Open a house of new companies, by name and tenant, whose copies are made."""
    house = House(Fate(folder / "life-0"), life=None)  # type: ignore[arg-type] # it begins below
    async with house._stack:  # noqa: SLF001 - its own maker
        house.life = await house._stack.enter_async_context(living(house, after=None))  # noqa: SLF001
        for name, _ in companies:
            sandbox = house.estate.company(name).sandbox
            sandbox.app = _Watched(partial(_same, sandbox.app), lambda: house.fate)
        for name, tenant in companies:
            await house.estate.link(name, tenant=tenant, allow_writes=True)
        house.pass_time(60)
        await house.life.sync()
        yield house


@contextmanager
def watched(house: House) -> Iterator[None]:
    """Let what a process asks of control data be its steps for as long as the block lasts."""

    def begin(_: object, __: object, statement: str, *___: object) -> None:
        house.fate.step("statement")
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            house.fate.step("write")

    def keep(_: object) -> None:
        house.fate.step("commit")

    event.listen(Engine, "before_cursor_execute", begin)
    event.listen(Engine, "commit", keep)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", begin)
        event.remove(Engine, "commit", keep)


def line_to(house: House) -> httpx.AsyncClient:
    """Return what the deliveries of companies travel by: to whichever process lives, under its own name."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(_Watched(lambda: OnThisMachine(house.life.app), lambda: house.fate))
    )
