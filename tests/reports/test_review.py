"""An access review: one row per person, what deserves a look, and counts that add up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import Email, Manager, Named, RoleScope, StatusSource, User
from pingone_mcp.reports.export import Export, verify
from pingone_mcp.reports.review import COLUMNS, Access, Reviewing, Way, review

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
FINANCE = Named(id="g1", name="Finance")
DIRECT = Way(kind="direct", what=FINANCE, since=NOW - timedelta(days=9))
NESTED = Way(kind="indirect", what=FINANCE, via=(Named(id="g2", name="Payroll"), Named(id="g3")), since=NOW)
ADMIN = Way(kind="role", what=Named(id="r1", name="Admin"), scope=RoleScope(id="e1", type="ENVIRONMENT", name="Main"))


def user(id_: str = "u", *, email: str | None = None, status: str = "active", **more: Any) -> User:
    emails = (Email(email=email, is_primary=True),) if email else ()
    return User(id=id_, username=id_, emails=emails, status=status, status_source=StatusSource(), **more)


def flags(person: User, *how: Way, **options: Any) -> tuple[str, ...]:
    return review([Access(user=person, how=how or (DIRECT,), roles=())], NOW, **options).rows[0].flags


def test_a_review_tells_who_has_access_how_and_what_deserves_a_look() -> None:
    ann = user(
        "ann",
        email="ann@example.com",
        name="Ann\u202e Lee",
        department="Finance",
        manager=Manager(reference="bo", email="bo@example.com"),
        type="employee",
        is_2fa_enabled=True,
        last_login_at=NOW - timedelta(days=2),
        created_at=NOW - timedelta(days=700),
    )
    bo = user("bo", status="inactive", status_reasons=("disabled",), is_2fa_enabled=False)
    access = [Access(user=ann, how=(DIRECT, NESTED), roles=()), Access(user=bo, how=(NESTED, ADMIN), roles=(ADMIN,))]
    told = review(access, NOW).to_json()
    assert json.loads(json.dumps(told)) == {
        "counts": {
            "people": 2,
            "flag.inactive_with_access": 1,
            "flag.never_signed_in": 1,
            "flag.no_sign_in_for_90_days": 0,
            "flag.no_mfa": 1,
            "flag.privileged": 1,
            "mfa_unknown": 0,
            "roles_unknown": 0,
            "how.direct": 1,
            "how.indirect": 2,
            "how.role": 1,
            "status.active": 1,
            "status.inactive": 1,
        },
        "rows": [
            {
                "id": "bo",
                "username": "bo",
                "status": "inactive",
                "status_reasons": ["disabled"],
                "how": ["in group Finance through Payroll > g3", "role Admin on environment Main"],
                "since": "2026-03-01T09:30:00.000Z",
                "mfa": "no",
                "flags": ["inactive_with_access", "never_signed_in", "no_mfa", "privileged"],
            },
            {
                "id": "ann",
                "username": "ann",
                "name": "Ann Lee",
                "email": "ann@example.com",
                "department": "Finance",
                "manager": "bo@example.com",
                "type": "employee",
                "status": "active",
                "how": ["in group Finance", "in group Finance through Payroll > g3"],
                "since": "2026-02-20T09:30:00.000Z",
                "last_sign_on": "2026-02-27T09:30:00.000Z",
                "mfa": "yes",
                "created_at": "2024-03-31T09:30:00.000Z",
            },
        ],
    }


SEEN: dict[str, Any] = {"last_login_at": NOW}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (SEEN, ()),
        ({}, ("never_signed_in",)),
        ({"last_login_at": NOW - timedelta(days=30)}, ()),
        ({"last_login_at": NOW - timedelta(days=30, seconds=1)}, ("no_sign_in_for_30_days",)),
        ({**SEEN, "status": "inactive"}, ("inactive_with_access",)),
        ({**SEEN, "status": "deleted"}, ("inactive_with_access",)),
        ({**SEEN, "status": "invited"}, ()),
        ({**SEEN, "status": "SOMETHING_NEW"}, ()),
        ({**SEEN, "is_2fa_enabled": False}, ("no_mfa",)),
        ({**SEEN, "is_2fa_enabled": None}, ()),
        ({**SEEN, "email": "x@Example.COM"}, ()),
        ({**SEEN, "email": "x@other.com"}, ("external",)),
        ({**SEEN, "email": "x@xn--bcher-kva.example"}, ()),
        ({**SEEN, "email": "nowhere"}, ()),
    ],
)
def test_a_flag_is_a_fact_and_what_is_unknown_has_none(more: dict[str, Any], expected: tuple[str, ...]) -> None:
    options: dict[str, Any] = {"idle_days": 30, "own_domains": ["example.com", "BÜCHER.example"]}
    assert flags(user(**more), **options) == expected


def test_roles_that_were_not_read_are_unknown_and_not_none() -> None:
    ann, bo, cy = user("ann", **SEEN, is_2fa_enabled=True), user("bo", **SEEN), user("cy", is_2fa_enabled=True)
    unread = [Access(user=one, how=(DIRECT,), roles=None) for one in (ann, bo, cy)]
    found = review(unread, NOW)
    assert [row.flags for row in found.rows] == [
        ("roles_unknown",),
        ("roles_unknown",),
        ("never_signed_in", "roles_unknown"),
    ]
    assert (found.counts["flag.privileged"], found.counts["roles_unknown"]) == (None, 3)
    assert (found.counts["flag.no_mfa"], found.counts["mfa_unknown"]) == (None, 1)
    assert [row["id"] for row in found.to_json()["rows"]] == ["cy", "ann", "bo"], (
        "what is unknown is no flag to sort by"
    )
    some = review([*unread, Access(user=user("di"), how=(DIRECT,), roles=(ADMIN,))], NOW)
    assert (some.counts["flag.privileged"], some.counts["roles_unknown"]) == (1, 3)
    none = review([Access(user=ann, how=(DIRECT,), roles=())], NOW)
    assert (none.counts["flag.privileged"], none.counts["flag.no_mfa"], none.rows[0].flags) == (0, 0, ())


def test_who_has_a_role_is_privileged_whatever_the_review_is_about() -> None:
    (row,) = review([Access(user=user(**SEEN), how=(DIRECT,), roles=(ADMIN,))], NOW).rows
    assert (row.flags, row.how) == (("privileged",), ("in group Finance",))


def test_nobody_is_external_where_the_own_domains_are_not_known() -> None:
    assert flags(user(**SEEN, email="x@other.com")) == ()
    assert "flag.external" not in review([], NOW).counts
    assert review([], NOW, own_domains=["a.b"]).counts["flag.external"] == 0


def test_what_gives_power_is_up_to_the_caller() -> None:
    assert flags(user(**SEEN), ADMIN) == ("privileged",)
    assert flags(user(**SEEN), ADMIN, privileged=lambda way: way.kind == "direct") == ()


@pytest.mark.parametrize(
    ("way", "told"),
    [
        (Way(kind="indirect", what=FINANCE), "in group Finance, not directly"),
        (Way(kind="population", what=Named(id="p1", name="Sta\u200bff")), "in population Staff"),
        (Way(kind="role", what=Named(id="r1")), "role r1"),
        (Way(kind="role", what=FINANCE, scope=RoleScope(id="x", type="POPULATION")), "role Finance on population x"),
    ],
)
def test_a_way_is_told_in_words(way: Way, told: str) -> None:
    assert str(way) == told


PEOPLE = st.lists(
    st.builds(
        lambda status, seen, mfa, how, roles: Access(
            user=user(
                "u", status=status, last_login_at=NOW - timedelta(days=seen) if seen else None, is_2fa_enabled=mfa
            ),
            how=tuple(how),
            roles=roles,
        ),
        st.sampled_from(["active", "inactive", "invited", "odd"]),
        st.sampled_from([0, 1, 90, 91, 200]),
        st.sampled_from([True, False, None]),
        st.lists(st.sampled_from([DIRECT, NESTED, ADMIN]), min_size=1, max_size=4),
        st.sampled_from([None, (), (ADMIN,)]),
    ),
    max_size=8,
)


@given(PEOPLE)
def test_the_counts_are_those_of_the_rows(people: list[Access]) -> None:
    found = review(people, NOW)
    mfa_unknown = sum(row.mfa == "unknown" for row in found.rows)
    roles_unknown = sum("roles_unknown" in row.flags for row in found.rows)
    unknown = {"no_mfa": mfa_unknown, "privileged": roles_unknown}
    counts: dict[str, int | None] = {
        "people": len(found.rows),
        "mfa_unknown": mfa_unknown,
        "roles_unknown": roles_unknown,
    }
    for name in found.counts:
        kind, _, value = name.partition(".")
        if kind == "flag":
            counts[name] = sum(value in row.flags for row in found.rows) or (None if unknown.get(value) else 0)
        elif kind == "status":
            counts[name] = sum(row.status == value for row in found.rows)
        elif kind == "how":
            counts[name] = sum(any(way.kind == value for way in access.how) for access in people)
    assert found.counts == counts
    assert sum(count or 0 for name, count in found.counts.items() if name.startswith("status.")) == len(people)
    flags = {flag for row in found.rows for flag in row.flags} - {"roles_unknown"}
    assert {f"flag.{flag}" for flag in flags} <= found.counts.keys()


def test_a_review_is_exported_while_the_people_pass_by() -> None:
    hostile = user("u1", name='=HYPERLINK("http://x")', email="+x@y.z", department="\t@SUM(1)", **SEEN)

    def people() -> Iterator[Access]:
        yield Access(user=hostile, how=(DIRECT, ADMIN), roles=(ADMIN,))
        yield Access(user=user("u2"), how=(NESTED,), roles=None)

    reviewing = Reviewing(NOW)
    export = Export("csv", COLUMNS)
    content = "".join(export.chunks(reviewing.row(one).values() for one in people())).encode()
    manifest = export.manifest(
        program="p 1", created_at=NOW, source="live", data_as_of=NOW, filters={}, counts=reviewing.counts()
    )
    assert verify(manifest, content)
    assert (manifest.rows, manifest.columns, manifest.counts["people"]) == (2, COLUMNS, 2)
    first, second = csv.DictReader(io.StringIO(content.decode(), newline=""))
    assert first == {
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
        "flags": "privileged",
        "created_at": "",
    }
    assert second["how"] == "in group Finance through Payroll > g3"
    assert second["flags"] == "never_signed_in; roles_unknown"
