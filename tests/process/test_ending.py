"""However a session ends, the server ends with it: soon, quietly, and with a status that says nothing went wrong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.process.conftest import Held
from tests.process.programs import PATIENCE, Ended, Running, Served, bare, serving, started

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])


def ended_well(end: Ended) -> None:
    assert end.status == 0, end
    assert end.err == "", end


@contextmanager
def busy(served: Served, held: Held) -> Iterator[Running]:
    """Give a server that waits for PingOne's answer to a request that has arrived there."""
    served.sandbox.faults.add("slow", path="/users")
    with started(env=served.variables()) as server:
        server.greet()
        server.call("list_users")
        assert held.arrived.wait(PATIENCE)
        yield server


@SIGNALS
def test_a_signal_ends_an_idle_server(tmp_path: Path, number: signal.Signals) -> None:
    with started(env=bare(tmp_path)) as server:
        server.greet()
        server.process.send_signal(number)
        server.process.wait(PATIENCE)
        ended_well(server.rest())


@SIGNALS
def test_a_signal_ends_a_server_whose_request_is_in_flight(served: Served, held: Held, number: signal.Signals) -> None:
    with busy(served, held) as server:
        server.process.send_signal(number)
        server.process.wait(PATIENCE)
        ended_well(server.rest())


def test_closed_stdin_ends_an_idle_server(tmp_path: Path) -> None:
    with started(env=bare(tmp_path)) as server:
        server.greet()
        ended_well(server.rest())


def test_closed_stdin_ends_a_server_whose_request_is_in_flight(served: Served, held: Held) -> None:
    with busy(served, held) as server:
        ended_well(server.rest())


def test_stdin_that_was_never_open_ends_the_server(tmp_path: Path) -> None:
    with started(env=bare(tmp_path)) as server:
        ended_well(server.rest())


def test_a_client_that_vanishes_ends_an_idle_server(tmp_path: Path) -> None:
    with started(env=bare(tmp_path)) as server:
        server.greet()
        server.leave()
        ended_well(server.rest())


def test_a_client_that_vanishes_ends_a_server_whose_request_is_in_flight(served: Served, held: Held) -> None:
    with busy(served, held) as server:
        server.leave()
        ended_well(server.rest())


def test_a_client_that_vanishes_while_an_answer_is_written_ends_the_server(tmp_path: Path) -> None:
    with serving(Sandbox(size=600), tmp_path) as served:
        env = served.variables(PINGONE_ANSWER_CHARACTERS="400000", PINGONE_ANSWER_SECONDS="60")
        with started(env=env) as server:
            server.greet()
            server.call("list_users", limit=600, fields=["*"])
            assert server.process.stdout is not None
            # The first letter has come, and the answer is larger than any pipe: the server is writing now.
            assert server.process.stdout.read(1) == "{"
            server.leave()
            ended_well(server.rest())
