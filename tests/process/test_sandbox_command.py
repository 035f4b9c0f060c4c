"""`pingone-mcp sandbox` serves a small PingOne, says how to connect to it, and ends quietly."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.process.programs import PATIENCE, bare, run, started


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)], ids=["ctrl-c", "terminate"]
)
def test_it_serves_what_its_card_says_and_ends_quietly(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """What it prints is a file of settings, too."""
    with started("sandbox", "--port", "0", "--size", "20", env=bare(tmp_path)) as sandbox:
        card = ""
        while "Ctrl-C" not in card and (line := sandbox.line()):
            card += line
        assert "20 users" in card
        (tmp_path / "sandbox.env").write_text(card)
        (tmp_path / "sandbox.env").chmod(0o600)
        found = run("--env-file", "sandbox.env", "call", "list_users", "limit=1", env=bare(tmp_path), cwd=tmp_path)
        assert (found.json()["total"], found.err) == (20, "")
        sandbox.process.send_signal(number)
        sandbox.process.wait(PATIENCE)
        end = sandbox.rest()
    assert (end.status, end.out, end.err) == (status, "", "")


def test_its_slow_answers_are_slow_for_whoever_waits_at_the_other_end(tmp_path: Path) -> None:
    with started("sandbox", "--port", "0", "--size", "1", env=bare(tmp_path)) as sandbox:
        address = ""
        while not address.startswith("http"):
            address = sandbox.line().strip().partition("PINGONE_AUTH_URL=")[2]
        planned = httpx.post(f"{address}/sandbox/faults", json={"kind": "slow", "seconds": 3_600}, timeout=PATIENCE)
        assert planned.status_code == 201
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{address}/v1/environments", timeout=httpx.Timeout(PATIENCE, read=0.5))


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        end = run("sandbox", "--port", str(port), env=bare(tmp_path))
    assert end.status == 2
    assert f"Port {port}" in end.sentence()
    assert "--port 0" in end.sentence()
