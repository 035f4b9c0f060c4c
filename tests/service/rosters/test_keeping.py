"""A list that is pushed is kept as a whole or not at all, and nothing is said of one that is not there."""

from __future__ import annotations

import stat
from typing import Any

import anyio
import pytest

from pingone_mcp.errors import NoSuchConnection, NotFound, Refused
from pingone_mcp.reports.rosters.files import RosterKind
from pingone_mcp.service.rosters.keeping import MOST
from pingone_mcp.service.rosters.shelf import FilesFailed
from tests.service.rosters.conftest import Office

ANN, BO, CY = "ann@example.com", "bo@example.com", "cy@example.com"


async def test_the_last_list_takes_the_place_of_the_one_before(office: Office) -> None:
    first = await office.push("crm", ANN)
    assert (first.name, first.source, first.accounts, first.received_at, first.age_seconds, first.reason) == (
        *("crm", "pushed", 1, office.hands.time, 0, None),
    )
    office.hands.go(hours=1)
    assert (await office.find("crm")).age_seconds == 3_600
    await office.push("crm", ANN, BO)
    assert (await office.find("crm")).accounts == 2
    assert office.accounts("crm") == [ANN, BO]
    assert await office.desk.keeping.listed(office.linked.id) == [await office.find("crm")]


async def test_its_files_are_of_this_user_alone(office: Office) -> None:
    await office.push("crm", ANN)
    assert stat.S_IMODE(office.folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in office.folder.iterdir()} == {
        "crm.csv": 0o600,
        ".lock": 0o600,
    }


async def test_json_takes_the_place_of_csv_and_nothing_of_it_stays(office: Office) -> None:
    await office.push("crm", ANN)
    content = b'[{"email": "bo@example.com"}]'
    pushed = await office.desk.keeping.push(office.linked.id, "crm", "json", content)
    assert (pushed.roster.accounts, office.accounts("crm")) == (1, [BO])
    assert sorted(path.name for path in office.folder.glob("crm*")) == ["crm.json"]
    await office.push("crm", CY)
    assert sorted(path.name for path in office.folder.glob("crm*")) == ["crm.csv"]


async def test_what_is_not_understood_is_said(office: Office) -> None:
    content = b"email,status\nann@example.com,on leave\n"
    pushed = await office.desk.keeping.push(office.linked.id, "crm", "csv", content)
    [note] = pushed.notes
    assert "A status that is not understood" in note


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("csv", b"", "there is no heading line"),
        ("csv", b"email\n\0\n", "characters of value zero"),
        ("csv", b"name\nAnn\n", "no column for"),
        ("csv", b'email\n"ann', "the quotes do not fit"),
        ("csv", b"email\n\xff\n", "line 2 holds a byte"),
        ("json", b"{", "line 1"),
        ("json", b"[[[]]]", "entry 1: is no object"),
        ("json", b'{"totalResults": 9, "Resources": [{"userName": "a"}]}', "one page of a list"),
        ("json", b"[" * 100_000, "nested too deeply"),
        ("csv", b"email\n" + b"x" * 10 * 1024 * 1024, "far too long|longer than"),
    ],
)
async def test_wrong_content_is_refused_and_the_list_before_stays(
    office: Office, kind: RosterKind, content: bytes, said: str
) -> None:
    before = await office.push("crm", ANN)
    with pytest.raises(Refused, match=said):
        await office.desk.keeping.push(office.linked.id, "crm", kind, content)
    assert (await office.find("crm"), office.accounts("crm")) == (before, [ANN])
    with pytest.raises(Refused):
        await office.desk.keeping.push(office.linked.id, "new", kind, content)
    assert len(await office.desk.keeping.listed(office.linked.id)) == 1


async def test_text_that_is_a_formula_is_kept_as_it_was_written(office: Office) -> None:
    content = b'email,name\nann@example.com,"=HYPERLINK(""https://x"")"\n'
    await office.desk.keeping.push(office.linked.id, "crm", "csv", content)
    assert office.shelf.read("crm") == ("csv", content)


NAMES: list[Any] = ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", ".hidden", "x" * 65, "ü", "a b", "a\n", "a:b"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_is_none_is_refused_everywhere(office: Office, name: str) -> None:
    def files() -> set[str]:
        return {str(path.relative_to(office.files.root)) for path in office.files.root.rglob("connections/**/*")}

    before = files()
    for act in (
        office.push(name, ANN),
        office.desk.keeping.remove(office.linked.id, name),
        office.desk.pulls.set_source(office.linked.id, name, "https://crm.example.com/Users", None),
    ):
        with pytest.raises(Refused, match="The name of a roster is"):
            await act
    with pytest.raises(NotFound):
        await office.find(name)
    assert files() == before


@pytest.mark.parametrize("name", ["a", "x" * 64, "crm.prod-2_EU", "-", "_", "a.csv", "roles.toml"])
async def test_any_other_name_is_one(office: Office, name: str) -> None:
    await office.push(name, ANN)
    assert office.shelf.names() == (name,)
    assert office.accounts(name) == [ANN]
    await office.desk.keeping.remove(office.linked.id, name)
    assert office.shelf.names() == ()


async def test_two_names_differ_in_more_than_capitals(office: Office) -> None:
    await office.push("CRM", ANN)
    with pytest.raises(Refused, match="There is a roster `CRM`"):
        await office.push("crm", ANN)


async def test_there_is_a_bound_on_how_many_there_are(office: Office) -> None:
    for number in range(MOST):
        await office.control.rosters.enter(office.linked.id, f"r{number}")
    with pytest.raises(Refused, match="100 rosters at most"):
        await office.push("one-more", ANN)
    await office.push("r7", ANN)


async def test_what_is_removed_leaves_nothing(office: Office) -> None:
    await office.push("crm", ANN)
    await office.desk.keeping.remove(office.linked.id, "crm")
    assert [path.name for path in office.folder.iterdir()] == [".lock"]
    assert await office.desk.keeping.listed(office.linked.id) == []
    with pytest.raises(NotFound, match="no roster of this name"):
        await office.desk.keeping.remove(office.linked.id, "crm")


async def test_a_list_that_cannot_be_written_leaves_the_one_before(office: Office) -> None:
    before = await office.push("crm", ANN)
    (office.folder / "new.csv").mkdir()
    with pytest.raises(FilesFailed):
        await office.push("new", BO)
    with pytest.raises(NotFound):
        await office.find("new")
    (office.folder / "new.csv").rmdir()
    (office.folder / "crm.json" / "x").mkdir(parents=True)
    with pytest.raises(FilesFailed):
        await office.desk.keeping.push(office.linked.id, "crm", "json", b'[{"email": "bo@example.com"}]')
    assert (await office.find("crm"), office.accounts("crm")) == (before, [ANN])
    assert not [path.name for path in office.folder.glob(".*") if path.name != ".lock"], "nothing half written stays"


async def test_nothing_is_said_of_a_list_that_is_another_one_or_gone(office: Office) -> None:
    await office.push("crm", ANN, BO)
    (office.folder / "crm.csv").write_text("email\nann@example.com\n")
    found = await office.find("crm")
    assert (found.accounts, found.received_at, found.age_seconds) == (None, None, None)
    assert found.reason == "Nothing is known of the list that lies there. Push it again."
    (office.folder / "crm.csv").unlink()
    [listed] = await office.desk.keeping.listed(office.linked.id)
    assert (listed.accounts, listed.reason) == (None, "The list is not there any more. Push it again.")
    assert (await office.push("crm", ANN)).reason is None


async def test_a_list_without_a_row_is_removed_and_replaced_like_any_other(office: Office) -> None:
    await office.push("crm", ANN)
    (office.folder / "old.csv").write_text("email\nann@example.com\n")
    assert [one.name for one in await office.desk.keeping.listed(office.linked.id)] == ["crm"]
    await office.desk.keeping.remove(office.linked.id, "old")
    assert office.shelf.names() == ("crm",)


async def test_nothing_is_kept_for_a_connection_that_was_removed(office: Office) -> None:
    await office.control.connections.remove(office.linked.id)
    await office.files.forget(office.linked.id)
    with pytest.raises(NoSuchConnection):
        await office.push("crm", ANN)
    assert not office.folder.parent.exists()


async def test_with_the_connection_its_files_go(office: Office) -> None:
    await office.push("crm", ANN)
    await office.desk.rules.put(office.linked.id, b'[[rule]]\nrole = "a"\ngroup = "b"\n')
    said = await office.files.forget(office.linked.id)
    assert set(said) == {"its rosters", "its rules for roles"}
    assert not office.folder.parent.exists()


async def test_many_who_push_and_read_at_once_see_whole_lists_only(office: Office) -> None:
    people = [f"p{number}@example.com" for number in range(40)]
    await office.push("crm", *people[:1])

    async def push(count: int) -> None:
        if count % 2:
            await office.push("crm", *people[:count])
        else:
            entries = ", ".join(f'{{"email": "{one}"}}' for one in people[:count])
            await office.desk.keeping.push(office.linked.id, "crm", "json", f"[{entries}]".encode())

    async def look() -> None:
        for _ in range(20):
            there = office.accounts("crm")
            assert there == people[: len(there)]
            shown = await office.find("crm")
            assert shown.accounts in (None, *range(1, 21))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for count in range(1, 21):
            tasks.start_soon(push, count)
        for _ in range(3):
            tasks.start_soon(look)
    assert (await office.find("crm")).accounts == len(office.accounts("crm"))
    assert len(list(office.folder.glob("crm.*"))) == 1
