"""An application's roster against the directory: what drifted apart, told once and never guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.gaps import Gap, MissingUsers, OnlyServedPopulations, UnseenRemovals, sentences
from pingone_mcp.directory.matching.identity import IdentityKind, address_key, folded, identity_key
from pingone_mcp.directory.models import Email, Manager, StatusSource, User
from pingone_mcp.errors import Refused
from pingone_mcp.reports.drift import KINDS, Comparison, Drift, Kind, check
from pingone_mcp.reports.matching import MATCH_ON, Matching
from pingone_mcp.reports.rosters.files import parse_roster
from pingone_mcp.reports.rosters.roster import Roster, RosterEntry
from pingone_mcp.reports.since_last import KEPT, kept, since

NOW = datetime(2026, 3, 1, 9, 30, 0, 123_000, tzinfo=UTC)


def user(id_: str, username: str | None = None, *emails: str, status: str = "active", **more: Any) -> User:
    addresses = tuple(Email(email=email, is_primary=not place) for place, email in enumerate(emails))
    return User(id=id_, username=username, emails=addresses, status=status, status_source=StatusSource(), **more)


def roster(*entries: RosterEntry) -> Roster:
    return Roster(entries=entries)


def entry(line: int, **more: Any) -> RosterEntry:
    return RosterEntry(line=line, **more)


def lines(drift: Drift, kind: Kind) -> list[int]:
    return [finding.account.line for finding in drift.of(kind) if finding.account]


# --- What is no comparison


@pytest.mark.parametrize(
    ("exported", "match_on", "said"),
    [
        ("email,status\n", MATCH_ON, "the roster holds no account"),
        ("email,name\n,Robot\n", MATCH_ON, "no account of the roster has what people are matched on"),
        ("email\nann@example.com\n", ("external_id",), "no account of the roster has what people are matched on"),
    ],
)
def test_where_nobody_was_looked_for_nothing_was_compared(
    exported: str, match_on: Sequence[IdentityKind], said: str
) -> None:
    drift = check(parse_roster(exported, "csv"), [user("ann", "ann")], now=NOW, match_on=match_on)
    assert drift.compared_nobody
    assert sentences(drift.gaps) == [f"nothing was compared: {said}"]
    assert not check(parse_roster("email\nx@y.z\n", "csv"), [], now=NOW).compared_nobody


DIRECTORY = [
    user("a", "a1", external_id="000121"),
    user("b", "b1", external_id="100000"),
    user("c", "c1", external_id="000124"),
    user("d", "000077"),
]


@pytest.mark.parametrize(
    ("exported", "changed"),
    [
        ("employee id\n121\n", [2]),
        ("employee id\n1.00E+05\n", [2]),
        ('employee id\n"1,00E+05"\n100000.0\n', [2, 3]),
        ('employee id\n="000124"\n', [2]),
        ("username\n77\n", [2]),
        ("employee id\n000121\n100000\n555\nE5\n", []),
        ("employee id,username\n121,a1\n", []),
        ("email\n121\n", []),
    ],
)
def test_ids_that_a_spreadsheet_changed_are_missing_with_a_hint(exported: str, changed: list[int]) -> None:
    drift = check(parse_roster(exported, "csv"), DIRECTORY, now=NOW)
    assert [line for line in lines(drift, "missing") if line in changed] == changed
    notes = [note for note in drift.notes if not note.startswith("No account fits anybody: ")]
    assert len(notes) == bool(changed)
    for note in notes:
        assert note.startswith(
            f"Of the missing accounts, {len(changed)} with an id that a spreadsheet seems to have changed, "
        )
        assert "the first at line 2: " in note


def test_what_both_sides_say_in_one_word_is_no_mismatch() -> None:
    exported = parse_roster("username,status\nann,Invited\nbo,invited\ncy,invited\n", "csv")
    seen = [user("a", "ann", status="invited"), user("b", "bo"), user("c", "cy", status="inactive")]
    assert lines(check(exported, seen, now=NOW), "status_mismatches") == [4], "an invitation of who is off is open"


# --- The story


def test_a_check_tells_who_is_gone_who_is_off_who_is_new_and_what_differs() -> None:
    exported = parse_roster(
        "email,username,employee id,name,status,department,manager\n"
        "ann@example.com,ann,1,Ann Lee,active,Sales,bo@example.com\n"
        "bo@example.com,bo,2,Bo Ray,active,IT,\n"
        "cy@example.com,cy,3,Cy Dee,active,IT,\n"
        "di@example.com,di,4,Di Poe,inactive,IT,\n"
        ",,,Robot,active,,\n",
        "csv",
    )
    directory = [
        user("u-bo", "bo", "bo@example.com", status="inactive", status_reasons=("disabled", "locked")),
        user("u-ann", "ann", "Ann@Example.com", name="Lee, Ann", department="Marketing"),
        user("u-new", "new", "new@example.com", name="New Ton"),
        user("u-off", "off", "off@example.com", status="inactive"),
        user("u-cy", "cy", "cy@example.com", status="deleted", status_reasons=("removed",)),
    ]
    told = check(exported, directory, now=NOW).to_json()
    ann = {
        "line": 2,
        "email": "ann@example.com",
        "username": "ann",
        "external_id": "1",
        "name": "Ann Lee",
        "active": True,
    }
    bo = {"line": 3, "email": "bo@example.com", "username": "bo", "external_id": "2", "name": "Bo Ray", "active": True}
    cy = {"line": 4, "email": "cy@example.com", "username": "cy", "external_id": "3", "name": "Cy Dee", "active": True}
    di = {"line": 5, "email": "di@example.com", "username": "di", "external_id": "4", "name": "Di Poe", "active": False}
    both = ["email", "username"]
    assert told == {
        "version": 1,
        "checked_at": "2026-03-01T09:30:00.123Z",
        "match_on": ["email", "username", "external_id"],
        "fold_plus": False,
        "compare": None,
        "expected_group": None,
        "columns": {
            "application": None,
            "fields": {
                "email": ["email"],
                "username": ["username"],
                "external_id": ["employee id"],
                "name": ["name"],
                "department": ["department"],
                "manager": ["manager"],
                "active": ["status"],
            },
            "others": [],
        },
        "counts": {
            "entries": 5,
            "users": 4,
            "matched": 2,
            "missing": 2,
            "status_mismatches": 1,
            "ambiguous": 0,
            "attribute_mismatches": 1,
            "unexpected": 1,
            "unidentified": 1,
            "missing_active": 1,
            "inactive_in_app_only": 0,
            "attribute_mismatches.department": 1,
        },
        "notes": [],
        "gaps": [],
        "missing": [
            {
                "account": cy,
                "person": {
                    "id": "u-cy",
                    "username": "cy",
                    "email": "cy@example.com",
                    "status": "deleted",
                    "status_reasons": ["removed"],
                },
            },
            {"account": di},
        ],
        "status_mismatches": [
            {
                "account": bo,
                "person": {
                    "id": "u-bo",
                    "username": "bo",
                    "email": "bo@example.com",
                    "status": "inactive",
                    "status_reasons": ["disabled", "locked"],
                    "matched_on": both,
                },
            }
        ],
        "ambiguous": [],
        "attribute_mismatches": [
            {
                "account": ann,
                "person": {
                    "id": "u-ann",
                    "username": "ann",
                    "email": "Ann@Example.com",
                    "name": "Lee, Ann",
                    "status": "active",
                    "matched_on": both,
                },
                "differences": [{"attribute": "department", "app": "Sales", "directory": "Marketing"}],
            }
        ],
        "unexpected": [
            {
                "person": {
                    "id": "u-new",
                    "username": "new",
                    "email": "new@example.com",
                    "name": "New Ton",
                    "status": "active",
                }
            }
        ],
        "unidentified": [{"account": {"line": 6, "name": "Robot", "active": True}}],
    }


# --- Who belongs to whom


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", " ANN@Example.COM. "),
        ("ann@example.com", "ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
        ("jörg@bücher.example", "JO\u0308RG@xn--bcher-kva.example"),
        ("ann@b\u00fccher.example", "ann@bu\u0308cher\u3002example"),
        ("a\u200bnn@example.com", "ann@example.com"),
        ("a\x07nn@example.com", "ann@example.com"),
        ("\u3392@example.com", "MHz@example.com"),
        ("strasse@x.de", "straße@x.de"),
    ],
)
def test_an_address_is_the_same_in_every_spelling(one: str, other: str) -> None:
    assert address_key(one) == address_key(other)
    found = check(roster(entry(2, email=one)), [user("u", None, other)], now=NOW)
    assert found.counts["matched"] == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", "ann+news@example.com"),
        ("ann@example.com", "ann@example.org"),
        ("ann@strasse.example", "ann@straße.example"),
        ("ann@xn--.example", "ann@.example"),
        ("ann.lee@example.com", "annlee@example.com"),
    ],
)
def test_other_addresses_are_other_addresses(one: str, other: str) -> None:
    assert address_key(one) != address_key(other)


def test_plus_addresses_are_one_when_asked() -> None:
    entries = roster(entry(2, email="ann+app@example.com"))
    directory = [user("u", None, "Ann@example.com")]
    assert lines(check(entries, directory, now=NOW), "missing") == [2]
    assert check(entries, directory, now=NOW, fold_plus=True).counts["matched"] == 1
    assert address_key("+ann@example.com", fold_plus=True) == "+ann@example.com"


def test_every_address_of_a_user_counts_and_a_login_that_is_one_stands_in() -> None:
    directory = [user("u1", "one", "one@example.com", "uno@example.com"), user("u2", "two@example.com")]
    entries = roster(
        entry(2, email="UNO@example.com"), entry(3, email="two@example.com"), entry(4, username="one@example.com")
    )
    found = check(roster(*entries.entries[:2]), directory, now=NOW)
    assert found.counts["matched"] == 2
    assert lines(check(entries, directory, now=NOW), "ambiguous") == [2, 4]


def test_identities_that_lead_to_different_users_are_told_and_not_guessed() -> None:
    directory = [user("u1", "ann", "ann@example.com"), user("u2", "ann2", "ann2@example.com", external_id="7")]
    entries = roster(entry(2, email="ann@example.com", external_id="7"))
    (found,) = check(entries, directory, now=NOW).findings
    assert (found.kind, [(p.id, p.matched_on) for p in found.candidates]) == (
        "ambiguous",
        [("u1", ("email",)), ("u2", ("external_id",))],
    )
    told = check(entries, directory, now=NOW, match_on=("email",))
    assert (told.counts["matched"], told.counts["unexpected"]) == (1, 1)


def test_entries_that_share_a_user_name_each_other() -> None:
    entries = roster(entry(2, email="a@b.c"), entry(5, username="A"), entry(7, username="b"))
    found = check(entries, [user("u", "a", "a@b.c"), user("v", "b")], now=NOW)
    assert [(f.account.line, f.also) for f in found.of("ambiguous") if f.account] == [(2, (5,)), (5, (2,))]
    assert found.counts["matched"] == 1


def test_a_removed_user_is_nobody_when_somebody_has_the_identity_now() -> None:
    directory = [user("old", "ann", status="deleted"), user("new", "ann"), user("older", "bo", status="deleted")]
    found = check(roster(entry(2, username="ann"), entry(3, username="bo")), directory, now=NOW)
    assert found.counts["matched"] == 1
    assert [(f.account.line, f.person.id) for f in found.of("missing") if f.account and f.person] == [(3, "older")]


def test_a_thousand_users_with_one_address_are_counted_and_twenty_shown() -> None:
    crowd = [user(f"u{number:04}", None, "shared@b.c") for number in range(1_000)]
    (found,) = check(roster(entry(2, email="shared@b.c")), crowd, now=NOW).findings
    assert (found.candidate_count, len(found.candidates)) == (1_000, 20)


LETTERS = st.sampled_from(["a", "A", "b", "B", "ß", "ss", "é", "e\u0301", " ", "c"])
WORD = st.lists(LETTERS, min_size=1, max_size=2).map("".join)
ADDRESS = st.tuples(WORD, st.sampled_from(["x.de", "X.DE", "xn--mnchen-3ya.de", "münchen.de"])).map("@".join)
ENTRY: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"active": st.sampled_from([True, False, None])},
    optional={"email": ADDRESS, "username": WORD, "external_id": WORD},
)
ROSTERS = st.lists(ENTRY, max_size=7).map(
    lambda rows: roster(*(RosterEntry(line=2 + place, **row) for place, row in enumerate(rows)))
)
USER: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "username": st.none() | WORD,
        "external_id": st.none() | WORD,
        "emails": st.lists(ADDRESS, max_size=2),
        "status": st.sampled_from(["active", "inactive", "deleted", "invited"]),
    }
)
USERS = st.lists(USER, max_size=8).map(
    lambda rows: [
        user(
            f"u{place}",
            row["username"],
            *row["emails"],
            external_id=row["external_id"],
            status=row["status"],
        )
        for place, row in enumerate(rows)
    ]
)
MATCHES = st.lists(st.sampled_from(MATCH_ON), min_size=1, max_size=3, unique=True)


def belongs(row: RosterEntry, person: User, match_on: Sequence[IdentityKind]) -> bool:
    """Say the rule of matching plainly."""
    sides: dict[IdentityKind, tuple[Sequence[str | None], Sequence[str | None]]] = {
        "email": ([row.email], [address.email for address in person.emails]),
        "username": ([row.username], [person.username]),
        "external_id": ([row.external_id], [person.external_id]),
    }
    return any(
        identity_key(kind, one) == identity_key(kind, other) != ""
        for kind in match_on
        for one in sides[kind][0]
        for other in sides[kind][1]
        if one and other
    )


@given(ROSTERS, USERS, MATCHES)
def test_a_check_agrees_with_comparing_everybody_with_everybody(
    entries: Roster, users: list[User], match_on: list[IdentityKind]
) -> None:
    live = [person for person in users if person.status != "deleted"]
    expected: dict[str, set[Any]] = {kind: set() for kind in (*KINDS, "matched")}
    for row in entries.entries:
        here = [person for person in live if belongs(row, person, match_on)]
        sharing = [o for o in entries.entries if o is not row and any(belongs(o, person, match_on) for person in here)]
        if not any(identity_key(kind, getattr(row, kind) or "") for kind in match_on):
            expected["unidentified"].add(row.line)
        elif not here:
            expected["missing"].add(row.line)
        elif len(here) > 1 or sharing:
            expected["ambiguous"].add(row.line)
        else:
            expected["matched"].add(row.line)
            if row.active is not False and here[0].status != "active":
                expected["status_mismatches"].add(row.line)
    expected["unexpected"] = {
        p.id for p in live if p.status == "active" and not any(belongs(row, p, match_on) for row in entries.entries)
    }
    found = check(entries, users, now=NOW, match_on=match_on, compare=())
    assert {kind: set(lines(found, kind)) for kind in KINDS if kind != "unexpected"} == {
        kind: expected[kind] for kind in KINDS if kind != "unexpected"
    }
    assert {f.person.id for f in found.of("unexpected") if f.person} == expected["unexpected"]
    counts = {kind: len(rows) for kind, rows in expected.items()}
    assert {kind: found.counts[kind] for kind in counts} == counts
    assert found.counts["users"] == len(live)


@given(ROSTERS, USERS, st.randoms())
def test_the_order_of_the_users_makes_no_difference(entries: Roster, users: list[User], dice: Any) -> None:
    shuffled = list(users)
    dice.shuffle(shuffled)
    assert check(entries, users, now=NOW, keep=2) == check(entries, shuffled, now=NOW, keep=2)


STEADY = st.text(max_size=20).filter(lambda text: text.upper().casefold() == text.casefold())


@given(STEADY, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_case_and_normalisation_make_no_difference(text: str, form: Any) -> None:
    import unicodedata

    assert folded(text.upper()) == folded(text) == folded(unicodedata.normalize(form, text))


@given(st.text(max_size=20))
def test_a_key_is_its_own_key(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert address_key(address_key(text)) == address_key(text)


# --- Attributes


@pytest.mark.parametrize(
    ("heading", "app", "more", "difference"),
    [
        ("department", "sales ", {"department": "Sales"}, None),
        ("department", "Sales", {"department": "IT"}, "IT"),
        ("department", "Sales", {}, None),
        ("job title", "Clerk", {"title": "CTO"}, "CTO"),
        ("name", "Lee, Ann", {"name": "Ann Lee"}, None),
        ("name", "Ann Ray", {"first_name": "Ann", "last_name": "Lee"}, "Ann Lee"),
        ("given name", "Anna", {"first_name": "Ann"}, "Ann"),
        ("Cost-Centre", "17", {"custom_attributes": {"costCentre": 18}}, "18"),
        ("remote", "TRUE", {"custom_attributes": {"remote": True}}, None),
        ("teams", "a", {"custom_attributes": {"teams": ["b"]}}, None),
        ("external id", "7", {"external_id": "8"}, "8"),
        ("manager", "Bo@X.de", {"manager": Manager(reference="0b8e7e4e-1111-4111-8111-111111111111")}, None),
        ("manager", "bo@x.de", {"manager": Manager(reference="r", email="cy@x.de")}, "cy@x.de"),
        ("manager", "Bo@X.de", {"manager": Manager(reference="r", email="bo@x.de", name="Bo Ray")}, None),
        ("manager", "Ray, Bo", {"manager": Manager(reference="r", email="bo@x.de", name="Bo Ray")}, None),
        ("manager", "bo", {"manager": Manager(reference="cy")}, "cy"),
    ],
)
def test_attributes_differ_only_where_both_sides_say_so(
    heading: str, app: str, more: dict[str, Any], difference: str | None
) -> None:
    told = parse_roster(json.dumps([{"username": "ann", heading: app}]), "json")
    found = check(told, [user("u", "ann", **more)], now=NOW).of("attribute_mismatches")
    assert [d.directory for f in found for d in f.differences] == ([difference] if difference else [])


def test_only_the_attributes_asked_for_are_compared() -> None:
    told = roster(entry(2, username="ann", attributes={"title": "x", "Cost Centre": "1"}))
    directory = [user("u", "ann", title="y", custom_attributes={"costCentre": "2"})]
    found = check(told, directory, now=NOW, compare=["cost_centre"])
    assert [d.attribute for f in found.findings for d in f.differences] == ["Cost Centre"]
    assert check(told, directory, now=NOW, compare=[]).findings == ()


# --- Size


def test_unexpected_users_are_counted_and_the_first_by_id_kept() -> None:
    seen = 0

    def company() -> Any:
        nonlocal seen
        for number in range(5_000):
            seen += 1
            yield user(f"u{(number * 7919) % 5_000:04}", f"user{(number * 7919) % 5_000:04}")

    found = check(roster(entry(2, username="user0002")), company(), now=NOW, keep=3)
    assert (seen, found.counts["unexpected"], found.counts["users"]) == (5_000, 4_999, 5_000)
    assert [f.person.username for f in found.of("unexpected") if f.person] == ["user0000", "user0001", "user0003"]


def test_who_ought_to_have_an_account_is_up_to_the_caller() -> None:
    directory = [user("u1", "a", department="IT"), user("u2", "b"), user("u3", "c", status="inactive")]
    found = check(roster(), directory, now=NOW, expected=lambda person: person.department == "IT")
    assert [f.person.id for f in found.findings if f.person] == ["u1"]


def test_rows_are_bounded_per_kind_and_counts_are_not() -> None:
    told = check(roster(*(entry(n, username=str(n)) for n in range(2, 9))), [user("u", "a")], now=NOW).to_json(rows=2)
    assert (told["counts"]["missing"], [row["account"]["line"] for row in told["missing"]]) == (7, [2, 3])


def test_what_is_kept_is_proportional_to_the_roster() -> None:
    comparison = Comparison(roster(entry(2, username="a")), keep=10)
    for number in range(1_000):
        comparison.see(user(f"u{number}", f"n{number}"))
        assert len(comparison._unexpected._kept) <= 20  # noqa: SLF001 - memory has no public face


# --- Since the last check


@given(ROSTERS, USERS, st.integers(0, 3))
def test_nothing_is_new_since_the_same_check_(entries: Roster, users: list[User], keep: int) -> None:
    found = check(entries, users, now=NOW, keep=keep, gaps=(OnlyServedPopulations(),))
    changes = since(kept(found), found)
    assert (changes.new, changes.resolved, changes.unsure, changes.since) == ((), (), 0, NOW)


@given(ROSTERS, USERS, USERS)
def test_what_is_new_one_way_is_resolved_the_other_way(entries: Roster, before: list[User], after: list[User]) -> None:
    old, new = check(entries, before, now=NOW), check(entries, after, now=NOW + timedelta(days=1))
    there, back = since(kept(old), new), since(kept(new), old)
    assert (there.new, there.resolved) == (back.resolved, back.new)


@given(ROSTERS, USERS, USERS, st.integers(0, 3), st.integers(0, 3))
def test_what_is_said_of_a_cut_list_is_true_of_the_whole_one(
    entries: Roster, before: list[User], after: list[User], keep_before: int, keep_after: int
) -> None:
    whole = since(kept(check(entries, before, now=NOW)), check(entries, after, now=NOW))
    old, new = check(entries, before, now=NOW, keep=keep_before), check(entries, after, now=NOW, keep=keep_after)
    told = since(kept(old), new)
    assert set(told.new) <= set(whole.new)
    assert set(told.resolved) <= set(whole.resolved)


def test_since_tells_what_is_new_and_what_is_resolved_wherever_the_lines_moved() -> None:
    before = roster(
        entry(2, username="gone"), entry(3, username="back"), entry(4, username="ann", attributes={"title": "x"})
    )
    after = roster(
        entry(9, username="GONE"),
        entry(4, username="back"),
        entry(2, username="ann", attributes={"title": "x", "department": "IT"}),
    )
    ann = user("u", "ann", title="y", department="HR")
    old = check(before, [ann, user("new", "new")], now=NOW)
    new = check(after, [ann, user("b", "back", status="inactive", status_reasons=("locked",))], now=NOW)
    told = since(kept(old), new)
    assert [(f.kind, f.person and f.person.id, [d.attribute for d in f.differences]) for f in told.new] == [
        ("status_mismatches", "b", []),
        ("attribute_mismatches", "u", ["department"]),
    ]
    assert [(f.kind, f.account and f.account.username, f.person and f.person.id) for f in told.resolved] == [
        ("missing", "back", None),
        ("unexpected", None, "new"),
    ]
    assert {name: count for name, count in told.counts.items() if count} == {
        "new": 2,
        "resolved": 2,
        "new_status_mismatches": 1,
        "new_attribute_mismatches": 1,
        "resolved_missing": 1,
        "resolved_unexpected": 1,
    }
    shown = told.to_json(rows=0)
    assert shown["counts"] == told.counts
    assert shown["new"] == shown["resolved"] == {kind: [] for kind in KINDS}


def test_users_beyond_the_ones_kept_are_neither_new_nor_resolved() -> None:
    crowd = [user(f"u{n}", f"n{n}") for n in range(5)]
    old = check(roster(), crowd[1:], now=NOW, keep=2)  # knows n1 n2, and that n3 n4 are there
    new = check(roster(), crowd, now=NOW, keep=2)  # knows n0 n1: n2 fell off the end
    told = since(kept(old), new)
    assert [f.person.id for f in told.new if f.person] == ["u0"]
    assert (told.resolved, told.unsure) == ((), 1)


FOUND = check(roster(entry(2, username="a")), [], now=NOW)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"match_on": ["email"]}, "another way"),
        ({"fold_plus": True}, "another way"),
        ({"compare": ["title"]}, "other attributes"),
        ({"compare": []}, "other attributes"),
        ({"mapped": [["email", "workmail"]]}, "other columns"),
        ({"gaps": ["a population"]}, "another part"),
        ({"version": 1}, "another version"),
        ({"version": None}, "another version"),
        ({"horizon": 3}, "damaged"),
        ({"checked_at": "soon"}, "damaged"),
    ],
)
def test_a_check_that_cannot_be_compared_says_why(change: dict[str, Any], why: str) -> None:
    first, *rest = kept(FOUND)
    with pytest.raises(Refused, match=why):
        since([json.dumps(json.loads(first) | change), *rest], FOUND)


def test_two_checks_are_compared_where_the_same_is_lacking_whenever_that_was_seen() -> None:
    def checked(*gaps: Gap) -> Drift:
        return check(roster(entry(2, username="a")), [], now=NOW, gaps=gaps)

    first = checked(UnseenRemovals(place="e", since="2026-06-01"), MissingUsers(place="e", counted=9, came=8))
    later = checked(UnseenRemovals(place="e", since="2026-06-02"), MissingUsers(place="e", counted=9, came=8))
    fewer = checked(UnseenRemovals(place="e", since="2026-06-02"), MissingUsers(place="e", counted=9, came=7))
    assert since(kept(first), later).counts["new"] == 0
    for other in (fewer, checked(UnseenRemovals(place="f", since="2026-06-01"))):
        with pytest.raises(Refused, match="another part"):
            since(kept(first), other)


@pytest.mark.parametrize(
    "written",
    [
        [],
        ["\n"],
        ["null"],
        ["[]"],
        ['{"version": 2}'],
        list(kept(FOUND))[:-1],
        [next(kept(FOUND)), '["not hex", "missing", {}]\n', "\n"],
        [next(kept(FOUND)), '["00", "missing", {"kind": "missing", "account": {"line": "x"}}]\n', "\n"],
        [next(kept(FOUND)), "3\n", "\n"],
        [next(kept(FOUND)), '["00", "rubbish"]\n', "\n"],
    ],
)
def test_what_is_no_check_or_only_the_beginning_of_one_is_refused(written: list[str]) -> None:
    with pytest.raises(Refused, match="cannot be compared"):
        since(written, FOUND)


def test_of_many_changes_all_are_counted_and_the_first_are_kept() -> None:
    many = check(roster(*(entry(n, username=f"a{n}") for n in range(KEPT + 5))), [], now=NOW)
    there, back = since(kept(FOUND), many), since(kept(many), FOUND)
    assert (there.counts["new_missing"], len(there.new)) == (KEPT + 5, KEPT)
    assert (back.counts["resolved_missing"], len(back.resolved)) == (KEPT + 5, KEPT)
    assert sum("account" in line for line in kept(many)) == KEPT


def test_what_was_kept_is_read_line_by_line() -> None:
    many = check(roster(*(entry(n, username=f"a{n}") for n in range(100))), [], now=NOW)
    told, read = list(kept(many)), [0]

    def one_by_one() -> Iterator[str]:
        for line in told:
            read[0] += 1
            yield line

    gone = iter(one_by_one())
    assert since(gone, many).counts["resolved"] == 0
    assert (read[0], len(told), max(map(len, told)) < 400) == (102, 102, True)


# --- Hostile strings


def test_what_users_wrote_is_shown_without_what_nobody_sees() -> None:
    told = json.dumps(
        check(roster(), [user("u", "x\u202ey", name="a\u200bb\x07")], now=NOW).to_json(), ensure_ascii=False
    )
    assert '"username": "xy"' in told
    assert '"name": "ab"' in told


def test_matching_alone_pairs_entries_with_users() -> None:
    ann = entry(2, username="ann")
    matching = Matching(roster(ann))
    assert [matching.see(person) for person in (user("u", "Ann"), user("v", "bo"))] == [True, False]
    assert [(e.line, u.id, kinds) for e, u, kinds in matching.matched().pairs] == [(2, "u", ("username",))]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
    )
)
def test_a_damaged_check_is_refused_and_never_breaks(rubbish: Any) -> None:
    first, *rest = kept(FOUND)
    for name in json.loads(first):
        with suppress(Refused):
            since([json.dumps(json.loads(first) | {name: rubbish}), *rest], FOUND)
    for line in (rubbish, ["00", rubbish], ["00", "missing", {"kind": "missing", "account": rubbish}]):
        with suppress(Refused):
            since([first, json.dumps(line) + "\n", *rest], FOUND)
