"""Roles that follow from groups by written rules: read with care, applied literally, compared with an application."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.directory.models import Email, Group, GroupMembership, Named, StatusSource, User
from pingone_mcp.errors import Refused
from pingone_mcp.reports.role_drift import compare
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.reports.roles import HeldGroups, MappingRoles, map_roles
from pingone_mcp.reports.rosters.files import parse_roster
from pingone_mcp.reports.rules_file import MAX_BYTES, parse_rules
from pingone_mcp.reports.rules_review import review_rules
from tests.depth import sampled

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
HERE = Named(id="env", name="Main")


def user(id_: str, *, status: str = "active", email: str | None = None, **more: Any) -> User:
    emails = (Email(email=email, is_primary=True),) if email else ()
    return User(id=id_, username=id_, emails=emails, status=status, status_source=StatusSource(), **more)


def member(name: str, type_: str = "direct") -> GroupMembership:
    return GroupMembership(id=f"g-{name}", name=name, type=type_)


def group(name: str, id_: str | None = None) -> Group:
    return Group(id=id_ or f"g-{name}", name=name, organization=HERE)


RULES = parse_rules("""
[[rule]]
role = "reader"
group = "finance*"

[[rule]]
role = "approver"
group = "g-Board"
attributes = { department = ["Finance", "Board"], type = "employee" }

[[rule]]
role = "reader"
population = "Auditors"
status = "any"
expires = 2026-06-30
note = "until the audit is over"

[[rule]]
role = "builder"
attributes.costCentre = 17
attributes.remote = true

[[exclusive]]
roles = ["Approver", "reader"]
note = "four eyes"
""")


# --- Applying


def test_a_role_tells_the_rule_and_what_made_it_apply() -> None:
    ann = user("ann", department="board", type="Employee", workspaces=(Named(id="p1", name="AUDITORS"),))
    groups = [member("Board", "indirect"), member("FINANCE A", "indirect"), member("Finance B", "direct")]
    assert json.loads(json.dumps(map_roles(RULES, ann, groups, NOW).to_json())) == {
        "roles": ["approver", "reader"],
        "granted": [
            {
                "role": "reader",
                "rule": 1,
                "line": 2,
                "groups": [
                    {"id": "g-Finance B", "name": "Finance B", "type": "direct"},
                    {"id": "g-FINANCE A", "name": "FINANCE A", "type": "indirect"},
                ],
            },
            {
                "role": "approver",
                "rule": 2,
                "line": 6,
                "groups": [{"id": "g-Board", "name": "Board", "type": "indirect"}],
                "attributes": ["department", "type"],
            },
            {
                "role": "reader",
                "rule": 3,
                "line": 11,
                "groups": [],
                "population": "AUDITORS",
                "expires": "2026-07-01T00:00:00.000Z",
            },
        ],
        "conflicts": [{"line": 23, "roles": ["Approver", "reader"], "note": "four eyes"}],
    }


@pytest.mark.parametrize(
    ("more", "groups", "roles"),
    [
        ({}, [], ()),
        ({}, ["Finance"], ("reader",)),
        ({"status": "inactive"}, ["Finance"], ()),
        ({"status": "deleted", "workspaces": (Named(id="Auditors"),)}, ["Finance"], ()),
        ({"status": "inactive", "workspaces": (Named(id="Auditors"),)}, ["Finance"], ("reader",)),
        ({"department": "Finance", "type": "contractor"}, ["Board"], ()),
        ({"department": "Sales", "type": "employee"}, ["Board"], ()),
        ({"department": "Finance", "type": "employee"}, ["board"], ()),  # an id is exact
        ({"custom_attributes": {"cost_centre": "17", "Remote": True}}, [], ("builder",)),
        ({"custom_attributes": {"costCentre": [16, 17], "remote": "true"}}, [], ("builder",)),
        ({"custom_attributes": {"costCentre": 17, "remote": False}}, [], ()),
        ({"custom_attributes": {"costCentre": 17}}, [], ()),
        ({}, ["My Finance"], ()),
        ({}, ["ＦＩＮＡＮＣＥ"], ("reader",)),
    ],
)
def test_a_rule_applies_when_all_it_names_is_true(
    more: dict[str, Any], groups: list[str], roles: tuple[str, ...]
) -> None:
    assert map_roles(RULES, user("u", **more), [member(name) for name in groups], NOW).roles == roles


def test_a_rule_gives_its_role_to_the_end_of_its_last_day_and_is_told_of_afterwards() -> None:
    ann = user("ann", workspaces=(Named(id="Auditors"),))
    end = datetime(2026, 7, 1, tzinfo=UTC)
    last, over = map_roles(RULES, ann, [], end - timedelta(microseconds=1)), map_roles(RULES, ann, [], end)
    assert (last.roles, last.expired) == (("reader",), ())
    assert (over.roles, [(e.rule, e.expires) for e in over.expired]) == ((), [(3, end)])


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31T18:00:00+02:00", datetime(2026, 12, 31, 16, tzinfo=UTC)),
        ("9999-12-31", None),
    ],
)
def test_an_end_is_a_day_or_a_moment(written: str, moment: datetime | None) -> None:
    assert parse_rules(f'[[rule]]\nrole="r"\ngroup="g"\nexpires={written}').rules[0].expires == moment


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("[EU] Sales", "[eu] sales", True),
        ("[EU] Sales", "E Sales", False),
        ("[EU]*", "[EU] Sales", True),
        ("?U", "eu", True),
        ("*", "anything", True),
        ("a*b", "a*b", True),
        ("a.c", "abc", False),
        ("Sales", "Sales EU", False),
    ],
)
def test_a_group_is_named_by_its_name_or_a_pattern(pattern: str, name: str, meant: bool) -> None:
    rules = parse_rules(f'[[rule]]\nrole="r"\ngroup="{pattern}"')
    assert bool(rules.of_group(member(name))) is meant


NAMES = st.sampled_from(["Sales", "sales EU", "IT", "SALES", "Board"])
PATTERN = st.sampled_from(["Sales", "sales*", "*", "?T", "g-IT", "g-it", "nothing", "S*S"])
RULE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"role": st.sampled_from(["r1", "r2", "r3"])},
    optional={
        "group": PATTERN,
        "population": st.sampled_from(["p1", "People", "people", "Robots"]),
        "department": st.sampled_from(["IT", "it", "HR"]),
        "status": st.sampled_from(["active", "inactive", "any"]),
        "expires": st.sampled_from(["2026-02-28", "2026-03-01", "2026-03-01T09:30:00Z"]),
    },
).filter(lambda rule: bool({"group", "population", "department"} & rule.keys()))


def toml_of(rules: Sequence[dict[str, Any]]) -> str:
    text = ""
    for rule in rules:
        text += "[[rule]]\n"
        for key, value in rule.items():
            name = "attributes.department" if key == "department" else key
            text += f"{name} = {value if key == 'expires' else json.dumps(value)}\n"
    return text


@given(
    st.lists(RULE, min_size=1, max_size=5, unique_by=lambda rule: folded(json.dumps({**rule, "expires": ""}))),
    st.lists(NAMES, max_size=3, unique=True),
    st.sampled_from(["active", "inactive", "deleted"]),
    st.sampled_from(["p1", "p2"]),
    st.sampled_from([None, "IT", "HR"]),
)
def test_roles_agree_with_reading_the_rules_one_by_one(
    rules: list[dict[str, Any]], names: list[str], status: str, population: str, department: str | None
) -> None:
    try:
        book = parse_rules(toml_of(rules))
    except Refused as refused:
        assert "says the same as" in str(refused)  # noqa: PT017 - a default status makes two rules one
        return
    place = Named(id=population, name={"p1": "People", "p2": "Robots"}[population])
    expected: list[str] = []
    expired: list[str] = []
    for rule in rules:
        known = [name for name in names for pattern in [rule.get("group", "")] if pattern == f"g-{name}"]
        known += [name for name in names if fnmatch.fnmatchcase(name.lower(), rule.get("group", "").lower())]
        applies = (
            status != "deleted"
            and rule.get("status", "active") in (status, "any")
            and ("group" not in rule or bool(known))
            and rule.get("population", "p1" if population == "p1" else "p2").lower()
            in (place.id, str(place.name).lower())
            and ("department" not in rule or (department or "").lower() == rule["department"].lower())
        )
        if applies:
            over = rule.get("expires") in ("2026-02-28", "2026-03-01T09:30:00Z")
            (expired if over else expected).append(rule["role"])
    who = user("u", status=status, workspaces=(place,), department=department)
    mapped = map_roles(book, who, [member(name) for name in names], NOW)
    assert [one.role for one in mapped.granted] == expected
    assert [one.role for one in mapped.expired] == expired
    assert mapped.roles == tuple(sorted(set(expected)))


ONE_USER = st.builds(
    user,
    st.sampled_from(["a", "b"]),
    status=st.sampled_from(["active", "inactive", "deleted"]),
    workspaces=st.sampled_from([(), (Named(id="p1", name="People"),), (Named(id="p1", name="Auditors"),)]),
    department=st.sampled_from([None, "IT", "Finance"]),
    type=st.sampled_from([None, "employee"]),
    custom_attributes=st.sampled_from(
        [
            {},
            {"Cost Centre": 17, "remote": True},
            {"costCentre": ["17"], "remote": True},
            {"costCentre": ["18"], "remote": True},
        ]
    ),
)
SHARED = [HeldGroups(), HeldGroups((member("Finance 1"), member("Board"))), HeldGroups((member("Board", "indirect"),))]


@given(st.lists(st.tuples(ONE_USER, st.sampled_from(SHARED)), max_size=12))
def test_roles_of_many_are_those_of_each(people: list[tuple[User, HeldGroups]]) -> None:
    mapping = MappingRoles(RULES, NOW)
    for who, groups in people:
        assert mapping.of(who, groups) == map_roles(RULES, who, groups.memberships, NOW)


def test_roles_of_whom_rules_see_the_same_are_worked_out_once() -> None:
    mapping = MappingRoles(RULES, NOW)
    first = mapping.of(user("a", title="x"), SHARED[1])
    assert mapping.of(user("b", email="b@example.com"), SHARED[1]) is first
    assert mapping.of(user("b", type="employee"), SHARED[1]) is not first
    lists = [
        mapping.of(user("c", custom_attributes={"costCentre": [at], "remote": True}), SHARED[0]) for at in (17, 18)
    ]
    assert [mapped.roles for mapped in lists] == [("builder",), ()]


# --- Reading


def test_every_mistake_is_told_with_its_line_in_one_message() -> None:
    text = '''
rules = 1
[[rule]]
rol = "a"
group = "G"
[[rule]]
role = "a"
[[rule]]
role = 3
group = ""
expires = "2026-12-31"
note = """
[[rule]]
"""
[[rule]]
role = "b"
group = "G"
status = "on"
[[rule]]
role = "b"
attributes = {}
expires = 2026-12-31T00:00:00
[[rule]]
role = "c"
[rule.attributes]
department = "IT"
start = 2026-01-01
empty = []
[[rule]]
role = "c"
group = "Ann"
note = "one"
[[rule]]
expires = 2026-12-31
role = "c"
group = "ANN"
[[rule]]
role = "C"
group = "other"
[[exclusive]]
roles = ["c"]
[[exclusive]]
roles = "c"
[[exclusive]]
roles = ["a", "cc"]
why = 1
'''
    with pytest.raises(Refused) as caught:
        parse_rules(text)
    assert caught.value.code == "BAD_RULES"
    assert str(caught.value).splitlines() == [
        "The rules of roles cannot be used:",
        "  line 2: `rules` is not known; did you mean rule?",
        '  line 3: has no role; write role = "…"',
        "  line 4: `rol` is not known; did you mean role?",
        "  line 6: applies to everybody; name a group, a population or attributes",
        '  line 9: role is a text in quotes: role = "…"',
        '  line 10: group is a text in quotes: group = "…"',
        "  line 11: write a date without quotes: expires = 2026-12-31",
        "  line 18: status is one of active, inactive, invited, any",
        '  line 21: write attributes = { department = "Finance" }',
        "  line 22: a time needs its offset: expires = 2026-12-31T18:00:00Z",
        "  line 27: an attribute equals a text, a number, true or false, or any of a list",
        "  line 28: an attribute equals a text, a number, true or false, or any of a list",
        "  line 33: says the same as the rule on line 29",
        "  line 38: spells the role of line 23 in another way",
        "  line 41: name at least two different roles, each once",
        '  line 43: write roles = ["…", "…"]',
        "  line 45: no rule gives the role `cc`; did you mean `c`?",
        "  line 46: `why` is not known; known are roles, note",
        "Mend each of these lines. [BAD_RULES]",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: there is no [[rule]]"),
        ("\n\n[rule]\nrole = 'a'", "line 3: write [[rule]] in two pairs of brackets"),
        ("[[rule]]\nrole = 'a'\ngroup = 'b'\nexpires = 2026-02-30", "line 4: invalid date"),
        ("[[rule]]\nrole = ", "line 2: invalid value"),
        ("[[rule]]\nrole = 'a'\nrole = 'b'", "line 3: cannot overwrite a value"),
        ("x = " + "[" * 100_000, "nested too deeply"),
        ("x = " + "1" * 10_000, "endless number"),
        ("#" * 1024 * 1024 + "#", "longer than 1,048,576 characters"),
        ("[[rule]]\nrole='a'\ngroup='b'\n" * 2_001, "line 1: there are more than 2,000"),
        ("[[rule]]\ngroup='a'\nrole=1\n" * 60, "and 69 more"),
        (f"[[rule]]\nrole='a'\ngroup='{'b' * 300}'", "line 3: group is longer than 256"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, told: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_rules(text)
    assert told in str(caught.value)


@given(st.text(alphabet="[]rule=\"\n'x.{},#ograpb 1-\\", max_size=80))
def test_any_text_is_rules_or_is_refused(text: str) -> None:
    from contextlib import suppress

    with suppress(Refused):
        parse_rules(text)
    with suppress(Refused):
        parse_rules(f'[[rule]]\nrole="a"\ngroup="b"\n{text}')


# --- Reviewing


def test_a_review_tells_what_is_odd_about_rules() -> None:
    rules = parse_rules("""
[[rule]]
role = "reader"
group = "Sales"
[[rule]]
role = "approver"
group = "Gone"
[[rule]]
role = "approver"
attributes = { department = "HR" }
[[rule]]
role = "admin"
group = "IT*"
expires = 2025-01-01
[[exclusive]]
roles = ["reader", "approver"]
""")
    groups = [group("Sales", "s1"), group("sales", "s2"), group("IT Desk"), group("Café")]
    ann, bo = user("ann", department="HR"), user("bo")
    seen = [
        (ann, HeldGroups((GroupMembership(id="s1", name="Sales"),))),
        (bo, HeldGroups((GroupMembership(id="s2", name="sales"),))),
        (user("cy"), HeldGroups((member("IT Desk"),))),
    ]
    told = json.loads(json.dumps(review_rules(rules, groups, seen, NOW).to_json()))
    assert told == {
        "counts": {
            "users": 3,
            "users_with_roles": 2,
            "groups": 4,
            "unmapped_groups": 2,
            "offenders": 1,
            "rules": 4,
            "unknown_groups": 1,
            "ambiguous_groups": 1,
            "idle": 1,
            "expired": 1,
            "role.admin": 0,
            "role.approver": 1,
            "role.reader": 2,
        },
        "gaps": [],
        "unknown_groups": [{"rule": 2, "line": 5, "role": "approver", "group": "Gone", "groups": []}],
        "ambiguous_groups": [
            {
                "rule": 1,
                "line": 2,
                "role": "reader",
                "group": "Sales",
                "groups": [{"id": "s1", "name": "Sales"}, {"id": "s2", "name": "sales"}],
            }
        ],
        "idle": [{"rule": 2, "line": 5, "role": "approver", "group": "Gone", "groups": []}],
        "expired": [{"rule": 4, "line": 11, "role": "admin", "group": "IT*", "groups": []}],
        "offenders": [
            {
                "person": {"id": "ann", "username": "ann", "status": "active"},
                "conflicts": [{"line": 15, "roles": ["reader", "approver"]}],
            }
        ],
        "unmapped_groups": [{"id": "g-Café", "name": "Café"}, {"id": "g-IT Desk", "name": "IT Desk"}],
    }


def test_a_pattern_may_mean_several_groups() -> None:
    rules = parse_rules('[[rule]]\nrole = "r"\ngroup = "Sales*"')
    assert review_rules(rules, [group("Sales A"), group("Sales B")], [], NOW).ambiguous_groups == ()


# --- Comparing


def test_roles_of_an_application_are_compared_with_those_that_the_rules_give() -> None:
    rules = parse_rules("""
[[rule]]
role = "Reader"
group = "Sales"
[[rule]]
role = "approver"
group = "Board"
[[rule]]
role = "admin"
group = "IT"
expires = 2026-01-01
""")
    roster = parse_roster(
        "login,status,roles\n"
        "ann,active,reader\n"  # as it should be
        "bo,active,approver;admin;legacy\n"  # lacks reader, has three too many
        "cy,inactive,approver\n"
        "gone,active,reader\n"
        "dup,active,reader\n"
        "DUP,active,reader\n"
        "off,active,reader\n",
        "csv",
    )
    sales = HeldGroups((member("Sales"),))
    seen = [
        (user("Ann"), sales),
        (user("bo"), HeldGroups((*sales.memberships, member("IT")))),
        (user("cy"), sales),
        (user("dup"), sales),
        (user("new"), sales),
        (user("plain"), HeldGroups()),
        (user("off", status="inactive"), sales),
    ]
    told = compare(rules, roster, seen, NOW).to_json()
    assert told["counts"] == {
        "entries": 7,
        "compared": 3,
        "mismatches": 2,
        "with_extra_roles": 2,
        "with_lacking_roles": 1,
        "unmatched": 1,
        "ambiguous": 2,
        "unidentified": 0,
        "inactive_accounts": 1,
        "without_account": 1,
        "unruled_roles": 1,
    }
    bo, off = told["mismatches"]
    assert (bo["extra"], bo["lacking"]) == (["approver", "admin", "legacy"], ["Reader"])
    assert [(why["role"], why["rule"]) for why in bo["why"]] == [("Reader", 1), ("admin", 3)]
    assert (off["person"]["status"], off["extra"]) == ("inactive", ["reader"])
    assert [(row["account"]["username"], row["extra"]) for row in told["unmatched"]] == [("gone", ["reader"])]
    assert [row["line"] for row in told["ambiguous"]] == [6, 7]
    assert [row["username"] for row in told["without_account"]] == ["new"]
    assert told["unruled_roles"] == ["legacy"]
    assert (told["notes"], told["gaps"]) == ([], [])


@pytest.mark.parametrize(
    ("exported", "nobody", "said"),
    [
        ("username,roles\n", True, "nothing was compared: the roster holds no account"),
        ("username,name,roles\n,Robot,admin\n", True, "nothing was compared: no account of the roster has"),
        ("username\nann\n", False, "no account of the roster has a role"),
    ],
)
def test_a_roster_that_says_nothing_of_roles_is_not_compared_in_silence(exported: str, nobody: bool, said: str) -> None:
    found = compare(RULES, parse_roster(exported, "csv"), [], NOW)
    assert (found.compared_nobody, found.gaps[0].sentence().startswith(said)) == (nobody, True)


def test_rules_know_each_group_once_however_many_members_it_has() -> None:
    rules = Rules(rules=RULES.rules, exclusive=RULES.exclusive)
    for number in range(100):
        map_roles(rules, user(f"u{number}"), [member("Finance")], NOW)
    assert rules.of_group(member("Finance")) is rules.of_group(group("Finance"))


# --- What would take long


MANY = 20_000


@pytest.mark.parametrize(
    "line",
    [
        f"{'.'.join('a' * MANY)} = 1",
        f"[{'.'.join('a' * MANY)}]",
        f"[[{'.'.join('a' * MANY)}]]",
        f"x = {{ {'.'.join('a' * MANY)} = 1 }}",
        f"""{" . ".join('"a.b"' for _ in range(MANY))} = 1""",
        f"""{".".join("'a'" for _ in range(MANY))} = 1""",
        ".".join("a" * MANY),
    ],
    ids=["key", "table", "array", "inline", "quoted", "literal", "nothing"],
)
def test_a_key_of_many_parts_is_refused_before_it_is_read(line: str) -> None:
    with pytest.raises(Refused, match="line 2: a key has more than 16 parts"):
        parse_rules(f'# "\n{line}')


def test_dots_in_texts_and_comments_are_no_parts_of_a_key() -> None:
    dots = ".".join("a" * 100)
    text = f"""[[rule]] # {dots}\nrole = "{dots}"\ngroup = '{dots}'\nnote = \"\"\"\n{dots}\n\"\"\"\n"""
    assert parse_rules(text).rules[0].role == dots


@pytest.mark.parametrize(
    "unit",
    [
        '\\"""\n',
        '"""\\"""\n',
        "'''\n''",
        '"\\',
        "x = '",
        "[[rule]]\n",
        "[rule.",
        "x={a={b=",
        "a.b.c = 1\n",
        "a = [[[1],",
        "unknown = 1\n",
        '"\\u0041" = 1\n',
        "#\n",
        '[[exclusive]]\nroles = ["a", "b"]\n',
    ],
)
@sampled(5)
def test_a_megabyte_of_anything_is_refused_soon(unit: str) -> None:
    with pytest.raises(Refused, match="cannot be used"):
        parse_rules(unit * (MAX_BYTES // len(unit)))


def test_a_great_many_unknown_roles_and_keys_are_refused_soon() -> None:
    rules = "".join(f'[[rule]]\nrole = "role number {number}"\ngroup = "g{number}"\n' for number in range(1_500))
    roles = ", ".join(f'"role nummer {number}"' for number in range(MANY))
    keys = "".join(f"statos{number} = 1\n" for number in range(MANY))
    with pytest.raises(Refused) as caught:
        parse_rules(f"{rules}{keys}[[exclusive]]\nroles = [{roles}]\n")
    assert len(str(caught.value)) < 10_000


def test_what_a_user_has_is_looked_up_however_much_the_rules_name() -> None:
    values = ", ".join(f'"{number}"' for number in range(MANY))
    roles = ", ".join(f'"r{number}"' for number in range(1_000))
    rules = parse_rules(
        f'[[rule]]\nrole = "r0"\nattributes = {{ title = [{values}] }}\n'
        + "".join(f'[[rule]]\nrole = "r{number}"\ngroup = "*{number}*x*"\n' for number in range(1, 1_000))
        + f"[[exclusive]]\nroles = [{roles}]\n"
    )
    for number in range(2_000):
        mapped = map_roles(rules, user(str(number), title=str(number)), [member(f"{number}x")], NOW)
        assert "r0" in mapped.roles
        assert all(
            conflict.roles == tuple(sorted(mapped.roles, key=lambda role: int(role[1:])))
            for conflict in mapped.conflicts
        )
