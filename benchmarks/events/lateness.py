"""How late the signed event is: somebody is disabled at the provider, and a program hears of it from `serve`.

The provider's hook goes to two receivers: to `serve`, and straight to the program. The yardstick is the latter, the
least that any way can take. In the second half a full sync of the same connection runs whenever somebody is disabled,
from the first page that it reads to the moment when it is taken over.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import httpx

from benchmarks.events.administrator import Administrator, administering
from benchmarks.events.receiver import Receiver, receiving
from benchmarks.fleet.prepared import Prepared, prepare
from benchmarks.fleet.spawned import Spawned, spawned
from benchmarks.measuring.turns import percentile_95
from benchmarks.places.served import serving
from benchmarks.server.pipes import plain_environment
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.service.fleet.hook_form import HookForm
from pingone_mcp.wiring.fleet import open_administration

LATENCY = 0.020
BAR, BAR_BESIDE_A_SYNC = 1.0, 3.0
_LOOKS = 0.5  # seconds between two looks at a sync: a connection is asked no more than 50 times in ten
_LONGEST_PAUSE = 0.3
_ALWAYS_FULL = {"full_sync_hours": "0.0001"}
_PATIENCE = 540.0


@dataclass(slots=True)
class Taken:
    """Seconds from when somebody's disablement was sent, to the program, by the two ways."""

    hooks: list[float] = field(default_factory=list[float])
    events: list[float] = field(default_factory=list[float])


def measured(extent: Extent) -> Measured:
    users, times = (2_000, 4) if extent == "fast" else (100_000, 40)
    idle, beside = anyio.run(_found, users, times)
    return Measured(
        figures=[
            *_figures(idle, f"{users:,} users in the copy", BAR, small=extent == "fast"),
            *_figures(beside, "a full sync of them runs", BAR_BESIDE_A_SYNC, small=extent == "fast"),
        ],
        notes=[f"Events: {_said(idle)} without a sync; {_said(beside)} while a full one ran."],
    )


def _said(taken: Taken) -> str:
    return f"{len(taken.events)}, the latest after {max(taken.events):.2f} s,"


def _figures(taken: Taken, meanwhile: str, bar: float, *, small: bool) -> list[Figure]:
    ours, bare = percentile_95(taken.events), percentile_95(taken.hooks)
    against = "the provider's hook, sent straight to the program"
    return [
        Figure(
            what=f"from a disablement to its signed event (95th percentile), {meanwhile}",
            against=against,
            ours=ours,
            yardstick=bare,
            unit="s",
            comparison="itself",
            promised=at_most(bar),
            small=small,
        ),
        Figure(what="  the same, as a ratio", against=against, ours=ours, yardstick=bare, unit="s"),
    ]


async def _found(users: int, times: int) -> tuple[Taken, Taken]:
    async with _company(users) as company:
        await company.sync.begin()
        await company.sync.end()
        idle, beside = Taken(), Taken()
        for _ in range(times):
            await company.disable_one(idle)
        while len(beside.events) < times:
            await company.sync.begin()
            while await company.sync.is_running():
                await company.disable_one(beside)
    return idle, beside


class Syncing:
    """The syncs of one connection, which are full ones, as a caller of REST asks for them."""

    def __init__(self, rest: httpx.AsyncClient, connection: str) -> None:
        self._rest, self._body, self._run = rest, {"integrated_account_id": connection}, ""

    async def begin(self) -> None:
        """Ask for a sync, and return when it has begun to read."""
        made = await self._answered("POST", "/sync-job-run", json=self._body)
        self._run = made["id"]
        while await self.status() == "created":  # noqa: ASYNC110 - it runs in another process
            await anyio.sleep(_LOOKS)

    async def end(self) -> None:
        """Return when it is taken over."""
        with anyio.fail_after(_PATIENCE):
            while await self.is_running():  # noqa: ASYNC110 - as above
                await anyio.sleep(_LOOKS)

    async def is_running(self) -> bool:
        status = await self.status()
        assert status in ("running", "completed"), status
        return status == "running"

    async def status(self) -> str:
        return str((await self._answered("GET", f"/sync-job-run/{self._run}"))["status"])

    async def _answered(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answered: dict[str, Any] = (await self._rest.request(method, path, **more)).raise_for_status().json()
        return answered


class Company:
    """Somebody is disabled, and two receivers hear of it."""

    def __init__(self, administrator: Administrator, receiver: Receiver, sync: Syncing) -> None:
        self.sync = sync
        self._administrator, self._receiver = administrator, receiver
        self._people = administrator.who_may_sign_in()
        self._chance = random.Random(7)  # so that no turn of a loop is met each time

    async def disable_one(self, taken: Taken) -> None:
        user = await anext(self._people)
        await anyio.sleep(self._chance.random() * _LONGEST_PAUSE)
        sent = await self._administrator.disable(user)
        taken.hooks.append(await self._receiver.hook(user) - sent)
        taken.events.append(await self._receiver.event(user) - sent)


@asynccontextmanager
async def _company(users: int) -> AsyncIterator[Company]:
    """Serve a company of so many users, whose events go to a program by way of `serve` and without it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        place = stack.enter_context(serving(size=users, latency=LATENCY))
        prepared = await prepare(
            folder / "state", place, 1, permissions=("directory.sync", "events.manage"), more=_ALWAYS_FULL
        )
        env = plain_environment() | {"PINGONE_STATE_DIR": str(prepared.folder)}
        serve = ["-m", "pingone_mcp", "serve", "--port", "0"]
        server = stack.enter_context(spawned(serve, folder / "log", env, ready="/readyz"))
        receiver = await stack.enter_async_context(receiving())
        key = {"Authorization": f"Bearer {prepared.key}"}
        rest = await stack.enter_async_context(
            httpx.AsyncClient(base_url=server.url, headers=key, trust_env=False, timeout=60)
        )
        target = {"target_url": f"{receiver.url}/event", "event_types": ["record:*"]}
        receiver.secret = (await rest.post("/webhook", json=target)).raise_for_status().json()["secret"]
        administrator = Administrator(await stack.enter_async_context(administering(place)), place)
        form = await _hook(prepared, server)
        headers = {name: value.get_secret_value() for name, value in form.headers.items()}
        await administrator.subscribe(form.url, form.action_types, headers)
        await administrator.subscribe(f"{receiver.url}/hook", form.action_types, {})
        yield Company(administrator, receiver, Syncing(rest, prepared.connections[0]))


async def _hook(prepared: Prepared, server: Spawned) -> HookForm:
    """Return what is to be entered at the provider, as `connections hook` prints it."""
    async with open_administration(prepared.place, public_url=server.url) as administration:
        return await administration.hook(await administration.find(prepared.connections[0]))
