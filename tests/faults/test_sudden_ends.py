"""kill -9 while connections are linked, keys change and copies are synced: nothing of the state is half made."""

from __future__ import annotations

import random
import signal
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.sandbox.app import Sandbox
from tests.depth import SOAK, long, soaked
from tests.faults.serving import USERS, exchange, get, started, status
from tests.process.programs import PATIENCE, PROGRAM, Ended, bare, in_process, run, serving

KILLS = 50 if SOAK else 2
"""In all. `make soak` has as many as the contract names."""
SYNC_KILLS = 10

DOOM = textwrap.dedent("""
    import os, signal, sqlite3, sys

    left, connect = {moment}, sqlite3.connect

    def step(statement=""):
        global left
        left -= not {writes} or statement.startswith(("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT"))
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(*given, **named):
        made = connect(*given, **named)
        if not {writes} or "control.db" in str(given[0]):
            made.set_trace_callback(step)
            made.set_progress_handler(step, 10)
        return made

    def hear(event, given):
        is_write = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
        if is_write or event in ("os.rename", "os.mkdir", "os.remove", "os.link", "os.chmod"):
            if str(given[0]).startswith(os.environ["PINGONE_STATE_DIR"]):
                step()

    sqlite3.connect = watched
    sys.addaudithook(hear)
""")
"""Die at the n-th step: a statement, some work of SQLite's machine, or a change of a file of the state. Of all of
them, or of the statements that write control data, which are few and matter most."""
WRITES = 12
"""How many of those a command sends, more or less."""

UNKEPT = ("PINGONE_CACHE_DIR", "PINGONE_RETRY_SECONDS")
"""Of a process, and not of a linked connection."""
STEPS = {("connect",): 1_000, ("keys", "create"): 60, ("keys", "rotate"): 85, ("keys", "revoke"): 60}
"""How many steps a command takes, more or less."""


@dataclass
class Victim:
    """A state folder, and what its commands have said was done."""

    home: Path
    dice: random.Random
    count: int = 0
    connections: dict[str, str] = field(default_factory=dict[str, str])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    revoked: set[str] = field(default_factory=set[str])

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def env(self) -> dict[str, str]:
        return bare(self.home, PINGONE_STATE_DIR=str(self.state))

    def act(self, *, dies: bool) -> Ended:
        """Do something by a command, which dies at one of its steps if it is to."""
        self.count += 1
        name = f"n{self.count}"
        acts: list[tuple[str, ...]] = [
            ("connect", "--name", name, "--env-file", str(self.home / "company.env"), "--json")
        ]
        acts += [("keys", "create", name, "--json"), ("keys", "rotate")] if self.connections else []
        acts += [("keys", "revoke", self.dice.choice([*self.keys]))] if self.keys else []
        act = self.dice.choice(acts)
        writes = bool(self.connections) and self.dice.random() < 0.6
        moment = self.dice.randint(1, WRITES if writes else STEPS[act[:2] if act[0] == "keys" else act[:1]])
        doomed = in_process(DOOM.format(moment=moment, writes=writes))
        ended = run(*act, env=self.env, program=doomed if dies else PROGRAM)
        assert ended.status in (0, -signal.SIGKILL), (act, ended)
        if ended.status == 0:
            self.note(act, ended)
        elif act[1] == "revoke":
            self.keys.pop(act[2])  # it may be revoked, or not
        return ended

    def note(self, act: tuple[str, ...], ended: Ended) -> None:
        if act[0] == "connect":
            self.connections[ended.json()["id"]] = act[2]
        elif act[1] == "create":
            self.keys[ended.json()["id"]] = ended.json()["key"]
        elif act[1] == "revoke":
            self.revoked.add(self.keys.pop(act[2]))

    async def check(self) -> None:
        """Open the state, and fail where something is half there or what was done is gone."""
        async with open_control(ControlPlace(folder=self.state)) as control:
            linked = await control.connections.listed()
            assert {one.id for one in linked} >= self.connections.keys()
            for one in linked:
                found = await control.connections.with_credentials(one.id)
                assert found is not None
                assert found[1]["client_secret"].get_secret_value().startswith("sandbox~")
                assert (one.status, "environment_id" in one.settings) == ("active", True)
                self.connections.setdefault(one.id, one.name)
            assert len({one.name for one in linked}) == len(linked)
            assert all([await control.api_keys.verify(key) is not None for key in self.keys.values()])
            assert not any([await control.api_keys.verify(key) for key in self.revoked])
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.state.rglob("*")}
        assert not {name: oct(mode) for name, mode in modes.items() if mode & 0o077}

    async def unfinished(self) -> list[str]:
        """Return the connections that were not synced yet, and those of runs that are said to be under way."""
        async with open_control(ControlPlace(folder=self.state)) as control:
            waiting = [one.id for one in await control.connections.listed() if one.last_sync_at is None]
            return waiting + [run.connection_id for run in await control.sync_runs.listed(status="running")]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with serving(Sandbox(size=200), tmp_path) as served:
        own = {name: value for name, value in served.variables().items() if name.startswith("PINGONE_")}
        kept = "".join(f"{name}={value}\n" for name, value in own.items() if name not in UNKEPT)
        (tmp_path / "company.env").write_text(kept)
        (tmp_path / "company.env").chmod(0o600)
        yield Victim(tmp_path, random.Random(4711))


@pytest.mark.slow
@soaked
def test_commands_that_are_killed_leave_nothing_half_made(victim: Victim) -> None:
    killed = 0
    while killed < KILLS:
        killed += victim.act(dies=True).status != 0
        anyio.run(victim.check)
    while not (victim.connections and victim.keys):
        victim.act(dies=False)
    anyio.run(victim.check)
    key = next(iter(victim.keys.values()))
    with started(victim.home) as server:
        path = f"{USERS}?limit=1&integrated_account_id={next(iter(victim.connections))}"
        assert status(anyio.run(exchange, server.port, get(path, server.port, key))) == 200


@long
def test_a_server_that_is_killed_while_it_syncs_goes_on_at_its_next_start(victim: Victim) -> None:
    while not victim.connections:
        victim.act(dies=False)
    for _ in range(SYNC_KILLS):
        with started(victim.home) as server:
            time.sleep(victim.dice.uniform(0.0, 1.5))
            server.process.kill()
        anyio.run(victim.check)
    until = time.monotonic() + PATIENCE
    with started(victim.home):
        while unfinished := anyio.run(victim.unfinished):
            assert time.monotonic() < until, unfinished
            time.sleep(0.1)
