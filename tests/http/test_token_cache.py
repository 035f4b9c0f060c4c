"""Tokens on disk: sealed, private, and never a reason to fail."""

from __future__ import annotations

import logging
import os
import pickle
import sqlite3
import stat
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import diskcache
import pytest
from pydantic import SecretStr

from pingone_mcp.http.token_cache import DATABASE, Token, TokenCache

NOW = 1_800_000_000.0
SECRET = "s3cret-of-the-worker-application"
TOKEN = Token("eyJhbGciOiJSUzI1NiJ9.a-token-that-must-not-be-seen.c2ln", NOW + 3540)
posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")


class Connection(NamedTuple):
    """Whose token is kept: by which name, and sealed with which secret."""

    row: str
    secret: SecretStr


@pytest.fixture
def connection() -> Connection:
    return Connection("row-of-the-connection", SecretStr(SECRET))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


async def test_a_second_start_reads_what_the_first_wrote(folder: Path, connection: Connection) -> None:
    await TokenCache(folder, *connection).write(TOKEN, NOW)
    assert await TokenCache(folder, *connection).read(NOW) == TOKEN


async def test_a_deleted_token_is_gone(folder: Path, connection: Connection) -> None:
    cache = TokenCache(folder, *connection)
    await cache.write(TOKEN, NOW)
    await cache.delete()
    assert await cache.read(NOW) is None


@pytest.mark.parametrize(
    "change",
    [{"row": "another"}, {"secret": SecretStr("another secret")}],
    ids=["row", "secret"],
)
async def test_another_connection_does_not_see_the_token(
    folder: Path, connection: Connection, change: dict[str, Any]
) -> None:
    await TokenCache(folder, *connection).write(TOKEN, NOW)
    other = TokenCache(folder, *connection._replace(**change))
    assert await other.read(NOW) is None
    await other.write(Token("of-the-other", NOW + 9), NOW)  # and it is no obstacle
    assert await other.read(NOW) == Token("of-the-other", NOW + 9)


async def test_the_expiry_inside_the_seal_counts_whatever_the_row_says(folder: Path, connection: Connection) -> None:
    cache = TokenCache(folder, *connection)
    await cache.write(TOKEN, NOW)
    _edit(folder, "UPDATE Cache SET expire_time = NULL")
    assert await cache.read(TOKEN.renew_at - 0.001) == TOKEN
    assert await cache.read(TOKEN.renew_at) is None


async def test_neither_token_nor_secret_is_in_any_file(folder: Path, connection: Connection) -> None:
    cache = TokenCache(folder, *connection)
    await cache.write(TOKEN, NOW)
    with _log_kept(folder):
        for n in range(20):
            await cache.write(replace(TOKEN, value=f"{TOKEN.value}{n}"), NOW)
        await cache.delete()
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {"cache.db", "cache.db-wal", "cache.db-shm"} <= set(files)
    assert sum(map(len, files.values())) > 4096
    secrets = [
        TOKEN.value.encode(),
        b"a-token-that-must-not-be-seen",
        SECRET.encode(),
    ]
    assert [(name, secret) for name, body in files.items() for secret in secrets if secret in body] == []
    assert TOKEN.value not in repr(TOKEN) + repr(cache) + repr(vars(cache))
    assert SECRET not in repr(vars(cache))


async def test_a_row_sealed_for_another_key_is_a_miss(folder: Path, connection: Connection) -> None:
    """The key is bound to the value: one cannot be passed off as the other's by moving it."""
    other = connection._replace(row="another")
    await TokenCache(folder, *connection).write(TOKEN, NOW)
    await TokenCache(folder, *other).write(Token("of-the-other", NOW + 9), NOW)
    _edit(folder, "UPDATE Cache SET value = (SELECT value FROM Cache ORDER BY rowid LIMIT 1)")
    assert await TokenCache(folder, *connection).read(NOW) == TOKEN
    assert await TokenCache(folder, *other).read(NOW) is None


class _Exploit:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("disk", [diskcache.Disk, diskcache.JSONDisk])
def test_the_disks_of_diskcache_run_the_code_in_an_edited_row(tmp_path: Path, disk: type[diskcache.Disk]) -> None:
    """CVE-2025-69872, the reason for a Disk of our own; when this fails, diskcache is mended."""
    proof = tmp_path / "proof"
    cache: Any = diskcache.Cache(str(tmp_path / "stock"), disk=disk)
    with closing(cache):
        cache.set("key", "value")
        _edit(tmp_path / "stock", "UPDATE Cache SET mode = 4, value = ?", pickle.dumps(_Exploit(proof)))
        # JSONDisk stumbles over what the code returned, after it ran.
        try:
            cache.get("key")
        except TypeError:
            assert disk is diskcache.JSONDisk
    assert proof.is_dir()


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
async def test_an_edited_row_runs_nothing_and_is_a_miss(
    folder: Path, connection: Connection, tmp_path: Path, mode: int
) -> None:
    proof = tmp_path / "proof"
    cache = TokenCache(folder, *connection)
    await cache.write(TOKEN, NOW)
    _edit(folder, "UPDATE Cache SET mode = ?, value = ?", mode, pickle.dumps(_Exploit(proof)))
    assert await cache.read(NOW) is None
    assert not proof.exists()
    await cache.write(TOKEN, NOW)
    assert await cache.read(NOW) == TOKEN


async def test_a_pickle_in_a_file_that_a_row_names_is_not_opened(
    folder: Path, connection: Connection, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    (tmp_path / "pickle").write_bytes(pickle.dumps(_Exploit(proof)))
    cache = TokenCache(folder, *connection)
    await cache.write(TOKEN, NOW)
    _edit(folder, "UPDATE Cache SET mode = 4, value = NULL, filename = '../pickle'")
    assert await cache.read(NOW) is None
    assert not proof.exists()


async def test_a_file_that_an_edited_row_names_is_not_removed(
    folder: Path, connection: Connection, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("of the user")
    cache = TokenCache(folder, *connection)
    await cache.write(TOKEN, NOW)
    _edit(folder, "UPDATE Cache SET filename = '../precious'")
    await cache.write(TOKEN, NOW)
    _edit(folder, "UPDATE Cache SET filename = '../precious'")
    await cache.delete()
    assert precious.exists()


@pytest.mark.parametrize(
    "sealed", [b"", b"short", b"x" * 200, "text", 7, None], ids=["empty", "short", "noise", "text", "int", "null"]
)
async def test_a_value_that_is_none_of_ours_is_a_miss(folder: Path, connection: Connection, sealed: object) -> None:
    cache = TokenCache(folder, *connection)
    await cache.write(TOKEN, NOW)
    _edit(folder, "UPDATE Cache SET value = ?", sealed)
    assert await cache.read(NOW) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not a database " * 500),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192),
        lambda path: _edit(path.parent, "ALTER TABLE Cache RENAME COLUMN value TO other"),
        lambda path: _edit(path.parent, "INSERT INTO Settings VALUES ('disk_surprise', 1)"),
        lambda path: _edit(path.parent, "INSERT INTO Settings VALUES ('get', 1)"),
        lambda path: _edit(path.parent, "INSERT INTO Settings VALUES ('sqlite_x', x'ff')"),
        lambda path: _edit(path.parent, "UPDATE Settings SET value = 'none such' WHERE key = 'eviction_policy'"),
        lambda path: _edit(path.parent, "DELETE FROM Settings"),
    ],
    ids="noise cut overwritten foreign disk-setting method pragma policy no-settings".split(),
)
async def test_a_damaged_database_is_a_miss_and_is_replaced(
    folder: Path, connection: Connection, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await TokenCache(folder, *connection).write(TOKEN, NOW)
    damage(folder / "cache.db")
    cache = TokenCache(folder, *connection)
    assert await cache.read(NOW) in (None, TOKEN)
    await cache.write(TOKEN, NOW)
    assert await cache.read(NOW) == TOKEN
    assert caplog.messages == []
    assert _modes(folder) in ({}, {"cache.db": "0o600"})


@posix
async def test_folder_and_files_are_the_users_own(folder: Path, connection: Connection) -> None:
    cache = TokenCache(folder, *connection)
    before = os.umask(0)
    try:
        async with cache.alone(patience=0, sleep=anyio.sleep):
            assert {Path(name).suffix: mode for name, mode in _modes(folder).items()}[".lock"] == "0o600"
            await cache.write(TOKEN, NOW)
            with _log_kept(folder):
                await cache.write(TOKEN, NOW)
                modes = _modes(folder)
    finally:
        os.umask(before)
    assert set(modes.values()) == {"0o600"}
    assert {Path(name).suffix for name in modes} == {".db", ".db-wal", ".db-shm", ".lock"}
    assert _mode(folder) == "0o700"


@posix
async def test_a_folder_open_to_others_is_closed(folder: Path, connection: Connection) -> None:
    folder.mkdir()
    (folder / "cache.db").touch()
    (folder / "cache.db").chmod(0o644)
    folder.chmod(0o755)
    await TokenCache(folder, *connection).write(TOKEN, NOW)
    assert (_mode(folder), _modes(folder)) == ("0o700", {"cache.db": "0o600"})


@posix
async def test_the_database_is_private_from_its_first_moment(folder: Path, connection: Connection) -> None:
    """Nothing comes into being with a wider mode, to be narrowed later."""
    seen: list[tuple[str, str]] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "sqlite3.connect":
            seen.append((str(arguments[0]), _mode(Path(arguments[0]))))
        elif watching and event == "os.mkdir" and arguments[0] == str(folder):
            seen.append((arguments[0], oct(arguments[1])))

    watching = True
    sys.addaudithook(watch)
    try:
        await TokenCache(folder, *connection).write(TOKEN, NOW)
    finally:
        watching = False
    assert seen[:2] == [(str(folder), "0o700"), (str(folder / "cache.db"), "0o600")]


def _link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")


def _linked_database(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "elsewhere").touch()
    (folder / "cache.db").symlink_to(tmp_path / "elsewhere")


def _file(folder: Path, _: Path) -> None:
    folder.write_text("a file where the folder should be")


@posix
@pytest.mark.parametrize("obstacle", [_link, _linked_database, _file])
async def test_an_unsuitable_folder_is_no_cache_and_is_told_once(
    folder: Path, connection: Connection, tmp_path: Path, obstacle: Any, caplog: pytest.LogCaptureFixture
) -> None:
    obstacle(folder, tmp_path)
    await _is_no_cache(TokenCache(folder, *connection), caplog)
    elsewhere = tmp_path / "elsewhere"
    assert not elsewhere.is_dir() or list(elsewhere.iterdir()) == []
    assert not elsewhere.is_file() or elsewhere.read_bytes() == b""


@posix
async def test_a_folder_of_somebody_else_is_no_cache(
    folder: Path, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    if os.geteuid() == 0:
        folder.mkdir()
        os.chown(folder, 65534, 65534)
    else:
        folder = Path("/")
    await _is_no_cache(TokenCache(folder, *connection), caplog)
    assert os.geteuid() != 0 or list(folder.iterdir()) == []


@posix
@pytest.mark.parametrize("which", ["parent", "folder", "database"])
async def test_a_read_only_place_is_no_cache(
    folder: Path, connection: Connection, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder / "deeper"
    folder.mkdir(parents=True)
    (folder / "cache.db").touch()
    target = {"parent": folder.parent, "folder": folder, "database": folder / "cache.db"}[which]
    if which == "parent":
        (folder / "cache.db").unlink()
        folder.rmdir()
    target.chmod(0o500 if target.is_dir() else 0o400)
    if os.access(target, os.W_OK):
        pytest.skip("nothing is read-only to root")
    try:
        await _is_no_cache(TokenCache(folder, *connection), caplog)
    finally:
        target.chmod(0o700)


@posix
async def test_a_full_disk_is_no_cache(folder: Path, connection: Connection) -> None:
    """A process that may not write a byte to any file stands in for the full disk. What is there stays there."""
    await TokenCache(folder, *connection).write(TOKEN, NOW)
    program = """
        import logging, resource, sys
        from pathlib import Path
        import anyio
        from pydantic import SecretStr
        from pingone_mcp.http.token_cache import DATABASE, Token, TokenCache

        async def main() -> None:
            cache = TokenCache(Path(sys.argv[1]), "row", SecretStr("a-secret"))
            async with cache.alone(patience=0, sleep=anyio.sleep):
                await cache.write(Token("a-token", 2.0), 1.0)
                assert await cache.read(1.0) is None
            print("went on")

        logging.basicConfig()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        anyio.run(main)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(folder)]
    ended = await anyio.run_process(command, check=False, env=_environment())
    told = ended.stderr.decode()
    assert (ended.returncode, ended.stdout) == (0, b"went on\n"), told
    assert told.count("Tokens are kept in memory only") == 1
    assert "a-token" not in told
    assert "a-secret" not in told
    assert await TokenCache(folder, *connection).read(NOW) == TOKEN


@posix
async def test_a_folder_name_that_diskcache_would_expand_is_no_cache(
    tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ELSEWHERE", "elsewhere")
    await _is_no_cache(TokenCache(tmp_path / "$ELSEWHERE", *connection), caplog)
    assert not (tmp_path / "elsewhere").exists()


async def test_the_loop_goes_on_while_the_database_is_locked(
    folder: Path, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await TokenCache(folder, *connection).write(TOKEN, NOW)
    steps = 0
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with anyio.fail_after(30):  # diskcache itself would wait a minute
            async with anyio.create_task_group() as group:

                async def count_steps() -> None:
                    nonlocal steps
                    while True:
                        await anyio.lowlevel.checkpoint()
                        steps += 1

                group.start_soon(count_steps)
                assert await TokenCache(folder, *connection, disk_seconds=0.05).read(NOW) is None
                group.cancel_scope.cancel()
        other.execute("ROLLBACK")
    assert steps > 10
    assert await TokenCache(folder, *connection).read(NOW) == TOKEN
    assert len(caplog.messages) == 1


async def test_one_at_a_time_passes(folder: Path, connection: Connection) -> None:
    """Each task has a cache object of its own, as each process would; the lock is between them."""
    inside = 0
    most = 0

    async def pass_through() -> None:
        nonlocal inside, most
        async with TokenCache(folder, *connection).alone(patience=1000, sleep=lambda _: anyio.lowlevel.checkpoint()):
            inside += 1
            most = max(most, inside)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(pass_through)
    assert (inside, most) == (0, 1)


async def test_who_waited_long_enough_goes_on_without_the_lock(folder: Path, connection: Connection) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    first, second = (TokenCache(folder, *connection) for _ in range(2))
    async with first.alone(patience=0, sleep=_no_sleep), second.alone(patience=2.0, sleep=nap):
        pass
    assert sum(naps) == pytest.approx(2.0, abs=0.1)


async def test_a_wait_in_vain_is_not_repeated_until_the_lock_was_free(folder: Path, connection: Connection) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    async def waited() -> float:
        naps.clear()
        async with second.alone(patience=2.0, sleep=nap):
            return sum(naps)

    first, second = (TokenCache(folder, *connection) for _ in range(2))
    async with first.alone(sleep=_no_sleep):
        assert await waited() == pytest.approx(2.0, abs=0.1)
        assert await waited() == 0
    assert await waited() == 0
    async with first.alone(sleep=_no_sleep):
        assert await waited() == pytest.approx(2.0, abs=0.1)


async def test_a_disk_that_hangs_while_the_lock_is_taken_holds_nobody_up(
    folder: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that takes its time to open stands in for a disk of the network that has gone."""
    back, opening = threading.Event(), os.open

    def hang(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith(".lock"):
            back.wait(30)
        return opening(path, *rest, **more)

    async with TokenCache(folder, *connection).alone(sleep=_no_sleep):
        pass  # all that is imported for it is there
    monkeypatch.setattr(os, "open", hang)
    try:
        with anyio.fail_after(10):
            async with TokenCache(folder, *connection, disk_seconds=0.1).alone(sleep=_no_sleep):
                pass
    finally:
        back.set()
    with anyio.fail_after(30):
        async with TokenCache(folder, *connection).alone(patience=1e9, sleep=lambda _: anyio.lowlevel.checkpoint()):
            pass


async def test_a_database_that_hangs_holds_up_its_own_users_only(
    folder: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The threads of a process take turns at one database, whichever connections they work for."""
    other = connection._replace(row="another")
    elsewhere = TokenCache(tmp_path / "elsewhere", *other)
    beside = TokenCache(folder, *other, disk_seconds=0.2)
    await elsewhere.write(TOKEN, NOW)
    back, opening = threading.Event(), os.open
    inside = list[int]()

    def hang(path: Any, *rest: Any, **more: Any) -> int:
        if Path(path) == folder / DATABASE:
            inside.append(threading.get_ident())
            back.wait()
        return opening(path, *rest, **more)

    monkeypatch.setattr(os, "open", hang)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(TokenCache(folder, *connection).write, TOKEN, NOW)
        try:
            await anyio.wait_all_tasks_blocked()
            await beside.write(TOKEN, NOW)  # waits for its turn, in vain
            assert len(inside) == 1
            with anyio.fail_after(10):
                assert await elsewhere.read(NOW) == TOKEN
        finally:
            back.set()


@pytest.mark.parametrize("moment", ["waiting", "inside"])
async def test_a_cancelled_holder_leaves_the_lock_free(folder: Path, connection: Connection, moment: str) -> None:
    reached = anyio.Event()

    async def wait_and_tell(_: float) -> None:
        reached.set()
        await anyio.sleep_forever()

    async def hold() -> None:
        async with TokenCache(folder, *connection).alone(patience=1000, sleep=wait_and_tell):
            reached.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        if moment == "waiting":
            async with TokenCache(folder, *connection).alone(patience=0, sleep=_no_sleep):
                group.start_soon(hold)
                await reached.wait()
                group.cancel_scope.cancel()
        else:
            group.start_soon(hold)
            await reached.wait()
            group.cancel_scope.cancel()
    async with TokenCache(folder, *connection).alone(patience=1000, sleep=_no_sleep):
        pass


async def _no_sleep(_: float) -> None:
    raise AssertionError("somebody still holds the lock")


async def _is_no_cache(cache: TokenCache, caplog: pytest.LogCaptureFixture) -> None:
    async with cache.alone(patience=0, sleep=_no_sleep):
        await cache.write(TOKEN, NOW)
        assert await cache.read(NOW) is None
        await cache.delete()
    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "pingone_mcp.http.token_cache")
    assert TOKEN.value not in record.getMessage()
    assert SECRET not in record.getMessage()


def _edit(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as database:
        database.execute(statement, values)


@contextmanager
def _log_kept(folder: Path) -> Iterator[None]:
    """Keep the database open, so that the files beside it (-wal, -shm) outlive the cache's own connections."""
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        database.execute("SELECT count(*) FROM Cache").fetchall()
        yield


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _modes(folder: Path) -> dict[str, str]:
    return {path.name: _mode(path) for path in folder.iterdir()} if os.name == "posix" else {}


def _mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))
