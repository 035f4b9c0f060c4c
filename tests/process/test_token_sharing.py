"""One token for all processes of a person, also when they start at once."""

from __future__ import annotations

import stat
from contextlib import ExitStack

import pytest

from tests.process.programs import Served, run, started

CALL = ("call", "list_users", "limit=1")


@pytest.mark.parametrize("processes", [4, 8])
def test_processes_that_start_at_once_share_one_token_request(served: Served, processes: int) -> None:
    with ExitStack() as stack:
        callers = [stack.enter_context(started(*CALL, env=served.variables())) for _ in range(processes)]
        ended = [caller.rest() for caller in callers]
    assert [end.json()["result_count"] for end in ended] == [1] * processes
    assert served.sandbox.token_requests == 1


def test_a_later_start_asks_for_no_token(served: Served) -> None:
    run(*CALL, env=served.variables()).json()
    run(*CALL, env=served.variables()).json()
    assert served.sandbox.token_requests == 1


def test_another_secret_does_not_get_the_cached_token(served: Served) -> None:
    run(*CALL, env=served.variables()).json()
    end = run(*CALL, env=served.variables(PINGONE_CLIENT_SECRET="guessed"))
    assert end.status == 1
    assert "PINGONE_CLIENT_SECRET" in end.sentence()
    assert served.sandbox.token_requests == 2


def test_a_cache_folder_that_cannot_be_written_costs_token_requests_and_nothing_else(served: Served) -> None:
    served.cache.write_text("a file where the folder should be")
    env = served.variables()
    assert [run(*CALL, env=env).json()["result_count"] for _ in range(2)] == [1, 1]


def test_nobody_else_may_open_the_cache_folder_or_its_files(served: Served) -> None:
    run(*CALL, env=served.variables()).json()
    paths = [path for path in served.home.rglob("*") if path.is_relative_to(served.cache / "tokens")]
    assert any(path.is_file() for path in paths)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
