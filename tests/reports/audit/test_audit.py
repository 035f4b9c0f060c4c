"""A review that people sign: its rows, its cover, a page that is safe whatever the directory says, and a workbook."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import JsonObject, Named, RoleScope
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.reports.audit import book
from pingone_mcp.reports.audit.charts import Bar, bars
from pingone_mcp.reports.audit.cover import Cover, HeldBy, Operator, PlaceRead, ReviewQuery
from pingone_mcp.reports.audit.entitlements import ENTITLEMENT_COLUMNS, Entitlement, PersonReviewed, entitlement_rows
from pingone_mcp.reports.audit.page import page_chunks
from pingone_mcp.reports.review import Row
from tests.pages import assert_safe

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
HOSTILE = "\"><script>alert(1)</script>' onload=x &amp; </style>\u202e=cmd|' /C calc'!A0"
TEXT = st.text(st.sampled_from("<>&\"'=/ a\u202e\x00]]>-"), max_size=12) | st.just(HOSTILE)


def person(text: str, *, flags: tuple[str, ...] = ()) -> PersonReviewed:
    row = Row(
        **dict.fromkeys(("id", "username", "name", "email", "department", "manager", "type", "status"), text),
        status_reasons=(text,),
        how=(),
        since=None,
        last_sign_on=NOW,
        mfa="yes",
        flags=flags,
        created_at=NOW,
    )
    place = Named(id=text, name=text)
    return PersonReviewed(
        row=row, title=text, manager=text, manager_id=text, manager_email=text, environment=place, population=place
    )


def rows_of(text: str) -> list[JsonObject]:
    group = Named(id=text, name=text)
    had = [
        Entitlement(kind="group", what=group, how="indirect", chains=((group, group),), since=NOW),
        Entitlement(kind="role", what=group, how="direct", scope=RoleScope(id=text, type=text, name=text)),
    ]
    return [*entitlement_rows(person(text), had), *entitlement_rows(person(text), [])]


def cover(text: str = "Workforce", **more: Any) -> Cover:
    given_: dict[str, Any] = {
        "program": "pingone-mcp 1.0",
        "created_at": NOW,
        "data_as_of": NOW - timedelta(minutes=1),
        "everybody_read_at": NOW - timedelta(hours=1),
        "query": ReviewQuery(words=f"everybody with {text}", group=Named(id=text, name=text)),
        "environments": (
            PlaceRead(
                id=text, name=text, type=text, read_at=NOW, age_seconds=60, groups="read", roles="read", gaps=(text,)
            ),
        ),
        "application": text,
        "operator": Operator(user=text, host=text),
        "totals": {
            "people_in_directory": 10,
            "people_outside_question": 2,
            "people_with_access": 3,
            "people_without_access": 5,
            "people_in_file": 3,
            "entitlements": 6,
            "entitlements.group_direct": 1,
            "entitlements.group_indirect": 2,
            "entitlements.role": 3,
        },
        "counts": {"people": 3, "flag.privileged": None, "flag.no_mfa": 2, "roles_unknown": 3, "mfa_unknown": 1},
        "largest": (HeldBy(kind="group", what=Named(id=text, name=text), people=3),),
        "gaps": (text,),
    }
    return Cover(**{**given_, **more})


@given(text=TEXT)
def test_nothing_of_a_directory_is_a_tag_an_attribute_or_a_style_of_a_page(text: str) -> None:
    page = "".join(page_chunks(cover(text), rows_of(text)))
    assert_safe(page)
    assert page.count("<script") == 0
    assert harmless(text).strip() in unescape(page)
    assert "\u202e" not in page


def test_the_policy_of_a_page_lets_its_own_style_in_and_nothing_else() -> None:
    import base64
    import hashlib

    page = "".join(page_chunks(cover(), []))
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page
    assert "Nobody." in page
    assert "@media print" in style
    assert "prefers-color-scheme: dark" in style


def test_what_is_unknown_has_no_bar_and_says_so() -> None:
    page = "".join(page_chunks(cover(), []))
    assert ">unknown</text>" in page
    assert "2 (unknown of 1)" in page
    assert 'width="0.0"' in bars("flags", [Bar("privileged", None)])
    assert page.count("Incomplete: 1 thing could not be known") == 1


def test_a_row_says_whether_somebody_is_privileged_or_that_nobody_knows() -> None:
    found = [
        next(entitlement_rows(person("a", flags=flags), []))["privileged"]
        for flags in (("privileged",), ("roles_unknown",), ())
    ]
    assert found == ["yes", "unknown", "no"]


def test_a_row_has_every_column_but_those_of_the_reviewer() -> None:
    for row in rows_of("x"):
        assert set(ENTITLEMENT_COLUMNS) - row.keys() == {"reviewer", "decision", "comment"}


@pytest.mark.parametrize("name", ["people_in_directory", "people_without_access", "entitlements", "entitlements.role"])
def test_totals_reconcile_or_the_review_is_not_complete(name: str) -> None:
    right = cover(gaps=())
    assert (right.totals_reconcile(), right.status()) == (True, "Complete")
    wrong = replace(right, totals={**right.totals, name: right.totals[name] + 1})
    assert (wrong.totals_reconcile(), wrong.status()) == (False, "Incomplete: the totals do not reconcile")


def test_that_somebody_has_no_access_is_said_only_where_nothing_is_unknown() -> None:
    for gaps, said in (((), "without access"), (("roles were not read",), "without access that is known")):
        review = cover(gaps=gaps)
        assert (f"+ {said}", 5) in review.totals_in_words()
        assert f"{said}: <b>5</b>" in "".join(page_chunks(review, []))


def written(rows: list[JsonObject], folder: Path) -> dict[str, ET.Element]:
    """Return the sheets of a workbook with these rows."""
    pytest.importorskip("xlsxwriter")
    file = io.BytesIO()
    book.write_book(file, folder, cover(HOSTILE), rows)
    with zipfile.ZipFile(file) as parts:
        assert not [name for name in parts.namelist() if "link" in name.lower()]
        return {name[-10:-4]: ET.fromstring(parts.read(name)) for name in parts.namelist() if "/sheet" in name}  # noqa: S314 - our own file


def tags(sheet: ET.Element, name: str) -> list[ET.Element]:
    return [one for one in sheet.iter() if one.tag.rpartition("}")[2] == name]


def test_a_workbook_has_a_summary_a_frozen_heading_filters_and_times_as_times(tmp_path: Path) -> None:
    sheets = written(rows_of(HOSTILE), tmp_path)
    summary, review = sheets["sheet1"], sheets["sheet2"]
    assert [pane.get("state") for pane in tags(review, "pane")] == ["frozen"]
    [filters] = tags(review, "autoFilter")
    assert re.fullmatch(r"A1:[A-Z]+4", filters.get("ref") or "")
    assert tags(review, "dataValidation")
    assert [cell for cell in tags(review, "c") if cell.get("t") is None and tags(cell, "v")], "times are numbers"
    texts = "".join(summary.itertext())
    for said in ("Worker application", "Made by", "People in the directory", "unknown", "Incomplete"):
        assert said in texts
    for sheet in sheets.values():
        assert not tags(sheet, "f"), "no formula"
        assert not tags(sheet, "hyperlink")
    assert not list(tmp_path.iterdir()), "nothing of the rows stays behind"


def test_a_sheet_that_is_too_small_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "_MOST_ROWS", 2)
    with pytest.raises(Refused, match="room for 2 rows"):
        written(rows_of("x"), tmp_path)
