"""How something is measured: in turns, in a process of its own, of clients that read the same."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path

import httpx
import pytest

from benchmarks.copy.least import COLUMNS, least
from benchmarks.copy.sync import start_up, sync
from benchmarks.measuring.own_process import in_own_process, peak_memory
from benchmarks.measuring.turns import in_turns, middle, percentile_95
from benchmarks.places.bare import Plain
from benchmarks.places.changes import CHANGES, happen
from benchmarks.places.log import Received, forget, received
from benchmarks.places.served import serving
from benchmarks.server.newest import NotMade, newest_environment
from benchmarks.walks.limit import answered_per_second
from benchmarks.walks.trip import race
from tests.depth import long


def test_two_acts_are_done_in_turns_and_each_has_its_own_list() -> None:
    number = count()
    assert in_turns(3, lambda: ("a", next(number)), lambda: ("b", next(number))) == [
        [("a", 0), ("a", 2), ("a", 4)],
        [("b", 1), ("b", 3), ("b", 5)],
    ]
    assert middle([5, 1, 3]) == 3


def test_a_percentile_lies_where_one_in_twenty_is_slower() -> None:
    assert percentile_95([float(number) for number in range(101)]) == pytest.approx(95)


def test_what_fails_in_its_own_process_fails_here(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        in_own_process("benchmarks.copy.sync", "sideways", given=None)
    assert "invalid choice: 'sideways'" in capfd.readouterr().err
    assert 10 < peak_memory() < 10_000


def test_the_first_second_and_refused_requests_are_not_counted_as_use_of_the_limit() -> None:
    ramp_up = [Received(100.0 + number / 100, 200) for number in range(90)]
    after = [Received(101.0 + number / 40, 200) for number in range(1, 81)]
    refused = [Received(101.5, 429), Received(102.0, 429)]
    assert answered_per_second([*ramp_up, *after, *refused]) == pytest.approx(40)
    assert answered_per_second(ramp_up) == 0


@long
def test_four_clients_walk_over_the_same_users_each_in_its_own_process() -> None:
    with serving(size=450) as place:
        forget(place)
        walked = race(place, 450, "ours", "naive", "fetch", "floor", runs=1)
        log = received(place)
    for (trip,) in walked:
        assert trip.users == 450
        assert trip.seconds > 0
        assert trip.processor_seconds > 0
        assert 10 < trip.peak < 1_000
    assert {request.status for request in log} == {200}
    assert len(log) >= 12  # three pages for each


@long
def test_a_copy_and_the_least_read_the_same_users_and_a_copy_finds_what_has_happened(tmp_path: Path) -> None:
    with serving(size=450) as place:
        full, floor = sync(place, tmp_path), least(place)
        done = [happen(place, time) for time in range(2)]
        incremental = sync(place, tmp_path, "incremental")
    assert full.users == floor.users == 450
    assert floor.memberships > 450
    assert 0 < floor.processor_seconds < full.processor_seconds
    assert all(CHANGES / 2 < changes <= CHANGES for changes in done)
    assert incremental.changes >= 0.9 * sum(done)
    assert len(COLUMNS) == 25


def test_a_company_may_have_no_groups_so_that_users_are_all_there_is() -> None:
    with serving(size=60, groups=False) as place:
        plain = Plain(place)
        assert [b'"groups":[]' in page for page in plain.pages("groups")] == [True]
        plain.close()
        floor = least(place)
    assert (floor.users, floor.memberships) == (60, 0)


def test_the_pages_of_a_collection_follow_its_links_and_its_filter() -> None:
    with serving(size=450) as place:
        plain = Plain(place)
        assert len(list(plain.pages("users"))) == 3
        assert len(list(plain.pages("users", f'id eq "{place.user_ids[0]}"'))) == 1
        plain.close()
        assert len(place.user_ids) == 450
        answer = httpx.get(place.users_url, headers=plain.bearer, trust_env=False)
    assert answer.json()["count"] == 450


@long
def test_start_up_is_a_sync_of_hardly_anybody() -> None:
    assert 0 < start_up("incremental", runs=1) < 10


def test_without_uv_there_is_no_newest_environment_and_it_is_said_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotMade, match="there is no uv"), newest_environment():
        pass
