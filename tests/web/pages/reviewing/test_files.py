"""Files of reviews: by whom and how they are saved, that no cell is a formula, and that the manifest proves them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile

import anyio
import pytest

from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.reports.export import Manifest, verify
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.made_files import KEPT, MadeFile
from pingone_mcp.service.reviews.sections import beside
from tests.pages import assert_safe
from tests.web.pages.reviewing.conftest import RULES, push, reviews, save
from tests.web.pages.reviewing.test_drift import push_odd
from tests.web.pages.visiting import Visitor, backend_of, sign_in, sync, texts

TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html; charset=utf-8",
}
EVERY = [(("access",), "access-review", one) for one in TYPES] + [
    (path, stem, one)
    for path, stem in ((("drift", "Crm_1", "drift"), "drift-crm-1"), (("roles",), "role-rules"))
    for one in ("csv", "xlsx")
]


@pytest.mark.parametrize(("path", "stem", "ending"), EVERY)
async def test_a_file_has_its_type_and_name_and_its_manifest_proves_it(
    visitor: Visitor, path: tuple[str, ...], stem: str, ending: str
) -> None:
    await push(visitor, "Crm_1", "gone@example.com,gone,active")
    await visitor.face.estate.rosters.rules.put(visitor.face.acme.id, RULES)
    there, heard = await save(visitor, f"{reviews(visitor, *path)}.{ending}")
    name = there.rpartition("/")[2]
    assert re.fullmatch(rf"{stem}-\d{{8}}-\d{{6}}-[0-9a-f]{{6}}\.{ending}", name)
    assert heard.header("content-type") == TYPES[ending]
    assert heard.header("content-disposition") == f'attachment; filename="{name}"'
    assert int(heard.header("content-length")) == len(heard.body)
    assert heard.header("x-content-type-options") == "nosniff"
    assert "sandbox" in heard.header("content-security-policy")
    beside = await visitor.open(f"{there}.manifest.json")
    assert beside.header("content-type") == "application/json"
    assert beside.header("content-disposition") == f'attachment; filename="{name}.manifest.json"'
    manifest = Manifest.from_json(json.loads(beside.body))
    assert verify(manifest, heard.body)
    assert manifest.format == ending
    page = await visitor.open(reviews(visitor, *(() if path == ("access",) else path[:2])))
    assert hashlib.sha256(heard.body).hexdigest() in page.body.decode(), "the page shows the digest of what was saved"
    assert (await save(visitor, f"{reviews(visitor, *path)}.{ending}"))[0] == there, "it is made once"


async def test_the_page_and_the_file_have_the_same_rows(visitor: Visitor) -> None:
    _, heard = await save(visitor, f"{reviews(visitor)}/access.csv")
    rows = list(csv.DictReader(io.StringIO(heard.body.decode("utf-8-sig"))))
    assert f"of {len(rows)} rows" in texts(await visitor.open(reviews(visitor)))


async def test_a_formula_is_a_text_in_every_file(visitor: Visitor) -> None:
    sandbox = visitor.face.estate.company("acme").sandbox
    state = sandbox.state()
    user = next(user for user in sandbox.users() if user["enabled"])
    position = state.position(user["id"])
    assert position is not None
    formula = "=cmd|' /C calc'!A0"
    state.put_user(position, {**state.user(position), "username": formula, "title": f"+{formula}"})
    await sync(visitor.face, "full")
    await push(visitor, "crm", f"{formula}@example.com,{formula},active")
    for path in (("access",), ("drift", "crm", "drift")):
        _, heard = await save(visitor, f"{reviews(visitor, *path)}.csv")
        cells = [one for row in csv.reader(io.StringIO(heard.body.decode("utf-8-sig"))) for one in row]
        assert f"'{formula}" in cells
        assert not [one for one in cells if one.startswith(("=", "+", "@"))]
        _, book = await save(visitor, f"{reviews(visitor, *path)}.xlsx")
        with zipfile.ZipFile(io.BytesIO(book.body)) as parts:
            texts_ = "".join(parts.read(name).decode() for name in parts.namelist() if name.endswith(".xml"))
        assert "=cmd|" in texts_
        assert "<f>" not in texts_


async def test_the_html_file_needs_nothing_beside_itself_and_has_drift_and_roles_too(visitor: Visitor) -> None:
    await push(visitor, "crm", "gone@example.com,<b>gone</b>,active")
    await visitor.face.estate.rosters.rules.put(visitor.face.acme.id, RULES)
    _, heard = await save(visitor, f"{reviews(visitor)}/access.html")
    page = heard.body.decode()
    assert_safe(page)
    for part in (
        "Drift of crm",
        "Role rules",
        "users with roles that exclude each other",
        "gone@example.com",
        "how to verify",
    ):
        assert part in page, part
    _, narrowed = await save(visitor, f"{reviews(visitor)}/access.html?group=Finance")
    assert "Drift of crm" not in narrowed.body.decode(), "a review of a group is of that group alone"


async def test_a_roster_or_rules_that_come_later_are_in_the_html_file_that_is_saved_then(visitor: Visitor) -> None:
    page = f"{reviews(visitor)}/access.html"
    saved = [await save(visitor, page)]
    await push(visitor, "crm", "gone@example.com,gone,active")
    saved.append(await save(visitor, page))
    await push(visitor, "crm", "other@example.com,other,active")
    saved.append(await save(visitor, page))
    await visitor.face.estate.rosters.rules.put(visitor.face.acme.id, RULES)
    saved.append(await save(visitor, page))
    assert (await save(visitor, page))[0] == saved[-1][0], "nothing has changed since"
    parts = ("gone@example.com", "other@example.com", "users with roles that exclude each other")
    assert [[part in heard.text for part in parts] for _, heard in saved] == [
        [False, False, False],
        [True, False, False],
        [False, True, False],
        [False, True, True],
    ]
    assert hashlib.sha256(saved[0][1].body).hexdigest() not in (await visitor.open(reviews(visitor))).text


@pytest.mark.parametrize(("count", "said"), [(40, r"\d\d; the first 100 rows"), (3, "3")])
async def test_the_html_file_says_where_it_shows_a_part_of_the_rows_of_its_findings(
    visitor: Visitor, count: int, said: str
) -> None:
    await push_odd(visitor, count)
    _, heard = await save(visitor, f"{reviews(visitor)}/access.html")
    assert re.search(rf"accounts that say something else than the directory \({said}\)", heard.text)


async def test_the_html_file_says_where_it_shows_a_part_of_the_conflicts(visitor: Visitor) -> None:
    rules = visitor.face.estate.rosters.rules
    clerk = b'[[rule]]\nrole = "clerk%d"\ngroup = "*"\n[[exclusive]]\nroles = ["reader", "clerk%d"]\n'
    await rules.put(visitor.face.acme.id, RULES + b"".join(clerk % (n, n) for n in range(4)))
    _, heard = await save(visitor, f"{reviews(visitor)}/access.html")
    assert re.search(r"users with roles that exclude each other \(\d+; the first 100 rows\)", heard.text)


async def test_a_file_of_another_connection_or_of_no_such_name_is_none(visitor: Visitor) -> None:
    there, _ = await save(visitor, f"{reviews(visitor)}/access.csv")
    face = visitor.face
    other = await face.estate.link("globex", tenant="other")
    stranger = await sign_in(face, await face.new_key("directory.read", connections=[other.id]))
    assert (await stranger.open(there)).status == 404
    assert (await stranger.open(there.replace(face.acme.id, other.id))).status == 404
    folder = there.rpartition("/")[0]
    half = (await backend_of(face)).exports.folder.path / "reviews" / "access-review.csv.part"
    half.write_bytes(b"half a file")
    half.chmod(0o600)
    for name in (half.name, "..%2f..%2fkeys", "x.csv", "access-review-20260101-000000-abcdef.csv", ".manifest.json"):
        assert (await visitor.open(f"{folder}/{name}")).status == 404, name


async def test_old_files_make_way(visitor: Visitor) -> None:
    backend = await backend_of(visitor.face)
    first, _ = await save(visitor, f"{reviews(visitor)}/access.csv")
    for _ in range(KEPT + 1):
        await sync(visitor.face)
        await save(visitor, f"{reviews(visitor)}/access.csv")
    folder = backend.exports.folder.path / "reviews"
    assert len(list(folder.iterdir())) == 2 * KEPT
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert (await visitor.open(first)).status == 404


async def test_a_file_that_goes_away_while_there_is_made_room_harms_no_other(visitor: Visitor) -> None:
    folder = (await backend_of(visitor.face)).exports.folder.path / "reviews"
    await save(visitor, f"{reviews(visitor)}/access.csv")
    (folder / "access-review-20260101-000000-abcdef.csv").symlink_to(folder / "gone")  # it is listed, and is not there
    _, heard = await save(visitor, f"{reviews(visitor)}/access.xlsx")
    assert heard.status == 200


async def test_who_waits_for_a_file_gets_it_when_the_copy_has_changed_and_a_newer_one_the_next_time(
    visitor: Visitor,
) -> None:
    served = await visitor.face.estate.fleet.current(visitor.face.acme)
    older, _ = await save(visitor, f"{reviews(visitor)}/access.csv")
    [asker] = set(re.findall('name="csrf" value="([^"]+)"', (await visitor.open(reviews(visitor))).body.decode()))
    others = await beside(await backend_of(visitor.face))
    question = ("file", served.id, ("access", AccessQuestion(), others), "csv")
    manifest = Manifest.from_json(json.loads((await visitor.open(f"{older}.manifest.json")).body))
    goes_on = anyio.Event()

    async def make(_: JobProgress) -> MadeFile:
        await goes_on.wait()
        return MadeFile(name=older.rpartition("/")[2], manifest=manifest)

    async def wait(edition: str) -> None:
        found = await served.looks.of(question, edition, make, asker=asker, seconds=0, keep=False)
        assert isinstance(found, JobProgress)

    await wait("of before")
    await sync(visitor.face)
    goes_on.set()
    assert (await save(visitor, f"{reviews(visitor)}/access.csv"))[0] == older, "what was under way"
    newer, _ = await save(visitor, f"{reviews(visitor)}/access.csv")
    assert newer != older
    await wait("of later")
    await anyio.wait_all_tasks_blocked()
    assert (await save(visitor, f"{reviews(visitor)}/access.csv"))[0] == newer, "it was there already"
    await sync(visitor.face)
    assert (await save(visitor, f"{reviews(visitor)}/access.csv"))[0] not in (older, newer)
