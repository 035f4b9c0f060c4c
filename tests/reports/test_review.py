"""An access review: what deserves a look, counts that add up, and rows for people and for a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import Named, RoleScope
from pingone_mcp.directory.rows import plain
from pingone_mcp.reports.export import Export, verify
from pingone_mcp.reports.review import COLUMNS, Facts, Row, Way, counts_of

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
FINANCE = Named(id="g1", name="Finance")


def facts(status: str = "active", *, so: tuple[str, ...] = ()) -> Facts:
    return Facts(status, *(int(name in so) for name in Facts._fields[1:]))


def test_the_counts_say_what_is_true_of_how_many() -> None:
    ann = facts(so=("direct", "indirect"))
    bo = facts("inactive", so=("inactive_with_access", "never_signed_in", "no_mfa", "privileged", "indirect", "role"))
    assert counts_of([(ann, 2), (bo, 1)]) == {
        "people": 3,
        "flag.inactive_with_access": 1,
        "flag.never_signed_in": 1,
        "flag.no_sign_in_for_90_days": 0,
        "flag.no_mfa": 1,
        "flag.privileged": 1,
        "mfa_unknown": 0,
        "roles_unknown": 0,
        "how.direct": 2,
        "how.indirect": 3,
        "how.role": 1,
        "status.active": 2,
        "status.inactive": 1,
    }


def test_flags_have_one_order_and_what_is_unknown_is_none_to_count() -> None:
    every = facts(so=Facts._fields)
    assert every.flags() == (
        "inactive_with_access",
        "never_signed_in",
        "no_sign_in_for_90_days",
        "no_mfa",
        "privileged",
        "roles_unknown",
    )
    assert every.flag_count() == 5
    assert facts(so=("roles_unknown", "mfa_unknown", "direct", "role")).flags() == ("roles_unknown",)
    assert facts(so=("roles_unknown", "mfa_unknown", "direct", "role")).flag_count() == 0


def test_roles_that_were_not_read_are_unknown_and_not_none() -> None:
    unread, admin = facts(so=("roles_unknown", "mfa_unknown", "direct")), facts(so=("privileged", "direct"))
    found = counts_of([(unread, 3)])
    assert (found["flag.privileged"], found["roles_unknown"]) == (None, 3)
    assert (found["flag.no_mfa"], found["mfa_unknown"]) == (None, 3)
    some = counts_of([(unread, 3), (admin, 1)])
    assert (some["flag.privileged"], some["roles_unknown"]) == (1, 3)
    none = counts_of([(facts(so=("direct",)), 1)])
    assert (none["flag.privileged"], none["flag.no_mfa"]) == (0, 0)


def test_statuses_that_look_the_same_are_one() -> None:
    found = counts_of([(facts("od\u200bd"), 1), (facts("odd"), 2)])
    assert {name: count for name, count in found.items() if name.startswith("status.")} == {"status.odd": 3}


PEOPLE = st.lists(
    st.tuples(
        st.builds(
            facts,
            st.sampled_from(["active", "inactive", "odd"]),
            so=st.lists(st.sampled_from(Facts._fields[1:]), unique=True).map(tuple),
        ),
        st.integers(1, 9),
    ),
    max_size=8,
)


@given(PEOPLE)
def test_the_counts_of_groups_are_those_of_everybody_in_them(people: list[tuple[Facts, int]]) -> None:
    assert counts_of(people) == counts_of([(one, 1) for one, number in people for _ in range(number)])


@pytest.mark.parametrize(
    ("way", "told"),
    [
        (Way(kind="direct", what=FINANCE), "in group Finance"),
        (
            Way(kind="indirect", what=FINANCE, via=(Named(id="g2", name="Payroll"), Named(id="g3"))),
            "in group Finance through Payroll > g3",
        ),
        (Way(kind="indirect", what=FINANCE), "in group Finance, not directly"),
        (Way(kind="population", what=Named(id="p1", name="Sta\u200bff")), "in population Staff"),
        (Way(kind="role", what=Named(id="r1")), "role r1"),
        (Way(kind="role", what=FINANCE, scope=RoleScope(id="x", type="POPULATION")), "role Finance on population x"),
    ],
)
def test_a_way_is_told_in_words(way: Way, told: str) -> None:
    assert str(way) == told


def test_a_row_is_for_people_and_for_a_table() -> None:
    first, second = (
        Row(
            id=id_,
            username=id_,
            name='=HYPERLINK("http://x")',
            email="+x@y.z",
            department="\t@SUM(1)",
            manager=None,
            type=None,
            status="active",
            status_reasons=(),
            how=("in group Finance", "role Admin on environment Main"),
            since=NOW - timedelta(days=9),
            last_sign_on=NOW,
            mfa="unknown",
            flags=("privileged", "roles_unknown"),
            created_at=None,
        )
        for id_ in ("u1", "u2")
    )
    assert json.loads(json.dumps(plain(first))) == {
        "id": "u1",
        "username": "u1",
        "name": '=HYPERLINK("http://x")',
        "email": "+x@y.z",
        "department": "\t@SUM(1)",
        "status": "active",
        "how": ["in group Finance", "role Admin on environment Main"],
        "since": "2026-02-20T09:30:00.000Z",
        "last_sign_on": "2026-03-01T09:30:00.000Z",
        "mfa": "unknown",
        "flags": ["privileged", "roles_unknown"],
    }

    def rows() -> Iterator[Row]:
        yield first
        yield second

    export = Export("csv", COLUMNS)
    content = "".join(export.chunks(row.values() for row in rows())).encode()
    counts = counts_of([(facts(so=("privileged",)), 2)])
    manifest = export.manifest(program="p 1", created_at=NOW, source="live", data_as_of=NOW, filters={}, counts=counts)
    assert verify(manifest, content)
    assert (manifest.rows, manifest.columns, manifest.counts["people"]) == (2, COLUMNS, 2)
    written, _ = csv.DictReader(io.StringIO(content.decode(), newline=""))
    assert written == {
        "id": "u1",
        "username": "u1",
        "name": '\'=HYPERLINK("http://x")',
        "email": "'+x@y.z",
        "department": "' @SUM(1)",
        "manager": "",
        "type": "",
        "status": "active",
        "status_reasons": "",
        "how": "in group Finance; role Admin on environment Main",
        "since": "2026-02-20T09:30:00.000Z",
        "last_sign_on": "2026-03-01T09:30:00.000Z",
        "mfa": "unknown",
        "flags": "privileged; roles_unknown",
        "created_at": "",
    }
