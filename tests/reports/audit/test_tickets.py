"""A row as a block of plain text: a line for each thing to know, and no text of a directory makes another one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.reports.audit.tickets import entitlement_facts, finding_line, in_line, ticket
from pingone_mcp.reports.finding_rows import DRIFT_COLUMNS
from tests.hostile import POISON, hidden_in
from tests.reports.audit.test_audit import rows_of

TEXTS = st.text(st.sampled_from("ab \n\r\u2028\u202e\x00:"), max_size=30) | st.just(POISON)


def test_a_block_has_a_title_and_a_line_for_each_fact_that_is_known() -> None:
    facts = [
        ("Name", "Ann"),
        ("Left", None),
        ("Empty", []),
        ("At", datetime(2026, 1, 2, tzinfo=UTC)),
        ("In", ["a", "b"]),
    ]
    assert ticket("Look", facts) == "Look\nName: Ann\nAt: 2026-01-02T00:00:00.000Z\nIn: a; b"


@given(TEXTS)
def test_no_text_makes_a_line_of_its_own_or_hides_anything(text: str) -> None:
    for row in rows_of(text):
        facts = list(entitlement_facts(row))
        block = ticket(text, facts)
        assert block.count("\n") == len([one for _, one in facts if in_line(one)])
        assert len(block.splitlines()) == block.count("\n") + 1
        assert not hidden_in(block.replace("\n", " "))


@given(st.dictionaries(st.sampled_from(DRIFT_COLUMNS), st.none() | TEXTS | st.lists(TEXTS, max_size=2)))
def test_a_finding_always_has_somebody_or_something_that_it_is_about(row: dict[str, Any]) -> None:
    line = finding_line(row, "Drift", [("Roster", "crm")])
    assert line.who
    assert line.ticket.startswith("Drift\nRoster: crm")
    assert all(text and "\n" not in text for _, text in line.facts)


def test_long_texts_are_cut() -> None:
    assert len(in_line("x" * 10_000)) < 400
