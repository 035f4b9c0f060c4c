"""What somebody else has put where our files go is refused in a sentence, and neither used, followed nor changed."""

from __future__ import annotations

import ast
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pingone_mcp
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.first_answers import Frozen, kept, shipped
from pingone_mcp.private_files import NotPrivate, PrivateFolder, make_file, this_user, write_whole
from pingone_mcp.replica.store.store import Store
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.service.journal import Journal
from tests.world import NOW, World, error_text, facts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="access lists instead of owners and modes")

Plant = Callable[[Path, Path], None]
"""Puts something at a path; the second one is a victim's folder, with a file in it."""


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir(mode=0o755)
    (folder / "kept.txt").write_text("precious")
    (folder / "kept.txt").chmod(0o644)
    folder.chmod(0o755)
    return folder


def as_it_was(victim: Path) -> bool:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (victim, victim / "kept.txt")]
    return modes == [0o755, 0o644] and [path.read_text() for path in victim.iterdir()] == ["precious"]


def give_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 65534, 65534, follow_symlinks=False)


def foreign_folder(place: Path, _: Path) -> None:
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    give_away(place)


def linked_folder(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def dangling_link(place: Path, victim: Path) -> None:
    place.symlink_to(victim / "not-there")


def file_for_a_folder(place: Path, _: Path) -> None:
    place.write_text("in the way")


FOLDERS = [foreign_folder, linked_folder, dangling_link, file_for_a_folder]


def foreign_file(place: Path, _: Path) -> None:
    place.write_text("x")
    give_away(place)


def linked_file(place: Path, victim: Path) -> None:
    place.symlink_to(victim / "kept.txt")


def second_name(place: Path, victim: Path) -> None:
    os.link(victim / "kept.txt", place)


def pipe(place: Path, _: Path) -> None:
    os.mkfifo(place, 0o600)


FILES = [foreign_file, linked_file, dangling_link, second_name, pipe]


@pytest.fixture
def company(tmp_path: Path) -> World:
    rosters, cache = tmp_path / "rosters", tmp_path / "cache"
    rosters.mkdir()
    cache.mkdir(mode=0o755)
    (rosters / "crm.csv").write_text("username,status\nnobody@example.com,active\n")
    return World(sandbox=Sandbox(size=20, now=NOW), cache=cache, rosters=rosters)


@pytest.mark.parametrize("plant", FOLDERS)
async def test_a_planted_folder_of_the_local_copy_is_refused_in_a_sentence(
    company: World, victim: Path, plant: Plant
) -> None:
    plant(company.cache / "replica", victim)
    async with company.client() as client:
        told = error_text(await client.call_tool("sync_directory", {}))
        assert "local copy" in told
        assert "PINGONE_CACHE_DIR" in told
        assert facts(await client.call_tool("list_users", {"limit": 1}))["result"], "what is live goes on"
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FOLDERS)
@pytest.mark.parametrize("format_", ["csv", "jsonl"])
async def test_a_planted_folder_of_exports_is_refused_in_a_sentence(
    company: World, victim: Path, plant: Plant, format_: str
) -> None:
    plant(company.cache / "exports", victim)
    async with company.client() as client:
        facts(await client.call_tool("sync_directory", {}))
        told = error_text(await client.call_tool("access_review", {"format": format_}))
    assert "export" in told
    assert "PINGONE_CACHE_DIR" in told
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FOLDERS)
async def test_a_planted_folder_of_checks_costs_the_comparison_with_the_last_one(
    company: World, victim: Path, plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    assert company.rosters is not None
    (company.rosters / "crm.csv").write_text(f"username\n{next(iter(company.sandbox.users()))['username']}\n")
    plant(company.cache / "drift", victim)
    async with company.client() as client:
        facts(await client.call_tool("sync_directory", {}))
        for _ in range(2):
            told = facts(await client.call_tool("check_drift", {"roster": "crm"}))
            assert told["since_last"] is None
    assert "is not kept for the next one" in caplog.text
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FOLDERS[:3])
def test_a_planted_folder_of_first_answers_costs_the_early_answer(
    tmp_path: Path,
    victim: Path,
    plant: Plant,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PINGONE_CACHE_DIR", str(tmp_path))
    plant(tmp_path / "first-answers", victim)
    place = kept(None)
    assert place is not None
    place.keep(Frozen({"2025-11-25": {"initialize": "{}"}}, "2025-11-25"))
    assert place.known() == shipped()
    assert "The first answers are not kept: " in caplog.text
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FOLDERS[:3])
async def test_a_planted_folder_of_tokens_costs_a_token_request(
    company: World, victim: Path, plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    plant(company.cache / "tokens", victim)
    async with company.client() as client:
        assert facts(await client.call_tool("list_users", {"limit": 1}))["result"]
    assert "Tokens are kept in memory only" in caplog.text
    assert "PINGONE_CACHE_DIR" in caplog.text
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FOLDERS)
def test_a_folder_in_a_planted_folder_is_not_made(tmp_path: Path, victim: Path, plant: Plant) -> None:
    """An attacker who owns the outer one could put another in the place of the inner one."""
    plant(tmp_path / "exports", victim)
    folder = PrivateFolder(tmp_path, "exports/abc")
    for act in (folder.make, lambda: folder.write("name", [b"x"]), lambda: folder.open("kept.txt")):
        with pytest.raises(OSError, match=r"belongs to somebody else|is a link|Not a directory|File exists"):
            act()
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FILES)
@pytest.mark.parametrize("name", ["copy.db", "copy.db-wal", "copy.db-shm", "copy.db-journal", "copy.lock"])
async def test_a_planted_file_beside_the_local_copy_is_refused(
    tmp_path: Path, victim: Path, plant: Plant, name: str
) -> None:
    """It may lie there since a time when others could write to the folder."""
    path = tmp_path / "cache" / "replica" / "copy.db"
    path.parent.mkdir(parents=True, mode=0o777)
    plant(path.with_name(name), victim)
    for act in (Store(path).write, Store(path).read):
        with pytest.raises(Problem) as caught:
            await act(lambda connection: connection.execute("SELECT 1").fetchone())
        if caught.value.code != "NO_REPLICA":
            assert caught.value.code == "REPLICA_NOT_PRIVATE"
            assert str(path.with_name(name)) in str(caught.value)
    assert as_it_was(victim)


async def test_a_copy_that_somebody_else_has_prepared_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "replica" / "copy.db"
    await Store(path).write(lambda connection: connection.execute("SELECT 1").fetchone())
    give_away(path.parent)
    with pytest.raises(Problem, match="belongs to somebody else"):
        await Store(path).read(lambda connection: connection.execute("SELECT 1").fetchone())


@pytest.mark.parametrize("plant", FILES)
def test_a_planted_file_is_not_read(tmp_path: Path, victim: Path, plant: Plant) -> None:
    folder = PrivateFolder(tmp_path, "exports")
    folder.make()
    plant(folder.path / "name", victim)
    with pytest.raises(OSError, match=r"belongs to somebody else|is a link|second name|is no file"):
        folder.open("name")
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FILES)
def test_a_planted_file_makes_way_for_one_that_is_written_whole(tmp_path: Path, victim: Path, plant: Plant) -> None:
    folder = PrivateFolder(tmp_path, "exports")
    folder.make()
    plant(folder.path / "name", victim)
    folder.write("name", [b"ours"])
    with folder.open("name") as file:
        assert file.read() == b"ours"
    assert as_it_was(victim)


@pytest.mark.parametrize("plant", FILES)
def test_a_planted_file_is_no_journal(tmp_path: Path, victim: Path, plant: Plant) -> None:
    plant(tmp_path / "writes.jsonl", victim)
    with pytest.raises(Refused, match="so nothing was sent"):
        Journal(tmp_path / "writes.jsonl", connection="default").write({"event": "sending"})
    assert as_it_was(victim)


def test_the_folder_that_a_person_named_stays_as_it_is(tmp_path: Path) -> None:
    """It may be /tmp."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    make_file(shared / "tokens" / "cache.db")
    PrivateFolder(shared, "exports/abc").write("name", [b"x"])
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    made = list(shared.rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}


def test_the_folder_that_a_person_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    PrivateFolder(tmp_path / "cache", "exports").write("name", [b"x"])
    assert (tmp_path / "disk" / "exports" / "name").read_bytes() == b"x"


def test_what_is_ours_and_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "replica"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "copy.db").touch()
    (folder / "copy.db").chmod(0o666)
    make_file(folder / "copy.db")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600


def test_a_file_that_others_may_read_is_no_file_of_ours(tmp_path: Path) -> None:
    folder = PrivateFolder(tmp_path, "exports")
    folder.write("name", [b"x"])
    (folder.path / "name").chmod(0o644)
    with pytest.raises(NotPrivate, match="open to others"):
        folder.open("name")


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> list[bytes]:
        raise RuntimeError("broken off")

    (tmp_path / "name").write_bytes(b"before")
    with pytest.raises(RuntimeError):
        write_whole(tmp_path / "name", (chunk for _ in range(2) for chunk in chunks()))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


# --- One way in

# What makes, opens for writing or changes files; `os.open` elsewhere opens no file of ours.
_MAKE = {"mkdir", "chmod", "fchmod", "touch", "symlink_to", "write_text", "write_bytes"}


def test_no_other_module_makes_folders_and_files() -> None:
    package = Path(pingone_mcp.__file__).parent
    found = {
        f"{file.relative_to(package)}: {node.func.attr}"
        for file in sorted(package.rglob("*.py"))
        if file.name != "private_files.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MAKE
    }
    # The record of writes is a file that a person may have named, and is appended to; a demo has a temporary folder.
    written = {"service/journal.py: mkdir", "service/journal.py: fchmod"}
    assert found <= written | {"demo/verb.py: mkdir", "demo/verb.py: write_text"}


def test_a_user_whom_the_system_does_not_know_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_210_987_654)
    assert this_user() == "uid 3210987654"
