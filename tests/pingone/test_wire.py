"""PingOne's JSON becomes the unified model, with nothing lost and nothing guessed."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import (
    Address,
    Email,
    Event,
    Group,
    GroupMembership,
    Manager,
    Named,
    Organization,
    Phone,
    Role,
    RoleAssignment,
    RoleScope,
    StatusSource,
    User,
    Workspace,
)
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone import wire

ATTRIBUTES = {"department": "costCentre", "manager": "boss"}
NATIVE: dict[str, Any] = {
    "_links": {"self": {"href": "https://api.pingone.eu/v1/x"}},
    "_embedded": {"password": {"status": "OK"}},
    "id": "u1",
    "environment": {"id": "e1"},
    "population": {"id": "p1"},
    "createdAt": "2022-04-26T16:42:05.051Z",
    "updatedAt": "2022-04-27T13:04:46.704Z",
    "username": "ann",
    "email": "ann@example.com",
    "emailVerified": False,
    "enabled": False,
    "account": {"canAuthenticate": False, "status": "LOCKED", "lockedAt": "2022-04-27T13:00:00.000Z"},
    "lifecycle": {"status": "ACCOUNT_OK"},
    "verifyStatus": "NOT_INITIATED",
    "mfaEnabled": False,
    "identityProvider": {"type": "PING_ONE"},
    "lastSignOn": {"at": "2022-04-27T12:24:40.823Z", "remoteIp": "192.0.2.35"},
    "name": {"given": "Ann", "family": "Lee", "formatted": "Dr Ann Lee"},
    "address": {
        "streetAddress": "1 High St",
        "locality": "Ulm",
        "region": "BW",
        "postalCode": "89073",
        "countryCode": "DE",
    },
    "primaryPhone": "+1",
    "mobilePhone": "+2",
    "nickname": "Annie",
    "title": "CEO",
    "type": "Employee",
    "locale": "de-DE",
    "preferredLanguage": "de",
    "timezone": "Europe/Berlin",
    "externalId": "x1",
    "accountId": "a1",
    "photo": {"href": "https://example.com/ann.png"},
    "memberOfGroupIDs": ["g1"],
    "memberOfGroupNames": ["Staff"],
    "costCentre": "Finance",
    "boss": "bob",
    "flags": [1, {"a": None}],
}


def user(raw: dict[str, Any], **rest: Any) -> User:
    return wire.user({"id": "u1", **raw}, attributes=ATTRIBUTES, **rest)


# -------------------------------------------------------------------------------------------------------------- users


def test_every_field_of_a_full_user() -> None:
    found = wire.user(
        NATIVE, attributes=ATTRIBUTES, environments={"e1": "Acme"}, populations={"p1": "People"}, remote_data=True
    )
    assert found == User(
        id="u1",
        external_id="x1",
        identifiers={"account_id": "a1"},
        username="ann",
        name="Dr Ann Lee",
        first_name="Ann",
        last_name="Lee",
        emails=(Email(email="ann@example.com", type="work", is_primary=True),),
        phones=(Phone(number="+1", type="primary"), Phone(number="+2", type="mobile")),
        title="CEO",
        department="Finance",
        manager=Manager(reference="bob"),
        type="Employee",
        status="inactive",
        status_reasons=("disabled", "locked"),
        status_source=StatusSource(enabled=False, account_status="LOCKED", lifecycle_status="ACCOUNT_OK"),
        is_email_verified=False,
        is_2fa_enabled=False,
        groups=None,
        roles=None,
        organizations=(Named(id="e1", name="Acme"),),
        workspaces=(Named(id="p1", name="People"),),
        locale="de-DE",
        timezone="Europe/Berlin",
        preferred_language="de",
        address=Address(street="1 High St", city="Ulm", region="BW", postal_code="89073", country="DE"),
        avatar_url="https://example.com/ann.png",
        last_login_at=datetime(2022, 4, 27, 12, 24, 40, 823_000, tzinfo=UTC),
        locked_at=datetime(2022, 4, 27, 13, tzinfo=UTC),
        created_at=datetime(2022, 4, 26, 16, 42, 5, 51_000, tzinfo=UTC),
        updated_at=datetime(2022, 4, 27, 13, 4, 46, 704_000, tzinfo=UTC),
        custom_attributes={"costCentre": "Finance", "boss": "bob", "flags": [1, {"a": None}]},
        remote_data=NATIVE,
    )


def test_the_model_has_the_fields_of_the_unified_model(shared: Path) -> None:
    table = (
        (shared / "unified-model.md").read_text("utf-8").partition("\n## User\n")[2].partition("\nDefault fields")[0]
    )
    cells = re.findall(r"^\| ([a-z][\w, ]*) \|", table, re.MULTILINE)
    told = {name for cell in cells for name in cell.split(", ")} - {"field"}
    ours = {field.name for field in dataclasses.fields(User)}
    assert ours == told | {"unreadable"}


def test_absent_null_and_false_are_kept_apart() -> None:
    absent, null = user({}), user(dict.fromkeys(set(NATIVE) - {"id", "costCentre", "boss", "flags"}))
    assert absent == null
    assert absent == User(id="u1", status="unknown", status_source=StatusSource())
    false = user({"emailVerified": False, "mfaEnabled": False, "enabled": False})
    assert (false.is_email_verified, false.is_2fa_enabled, false.status_source.enabled) == (False, False, False)


STATUSES = [
    (True, "OK", "ACCOUNT_OK", "active", ()),
    (True, "OK", None, "active", ()),
    (True, "OK", "VERIFICATION_REQUIRED", "invited", ("verification_required",)),
    (False, "OK", "ACCOUNT_OK", "inactive", ("disabled",)),
    (False, "NEW", "NEW", "inactive", ("disabled",)),
    (False, None, None, "inactive", ("disabled",)),
    (False, "LOCKED", None, "inactive", ("disabled", "locked")),
    (True, "LOCKED", "ACCOUNT_OK", "inactive", ("locked",)),
    (True, "LOCKED", "VERIFICATION_REQUIRED", "inactive", ("locked",)),
    (True, "SUSPENDED", "ACCOUNT_OK", "SUSPENDED", ()),
    (True, "OK", "ARCHIVED", "ARCHIVED", ()),
    (None, "OK", "ACCOUNT_OK", "OK", ()),
    (None, None, None, "unknown", ()),
]


@pytest.mark.parametrize(("enabled", "account", "lifecycle", "status", "reasons"), STATUSES)
def test_the_status_table(
    enabled: bool | None, account: str | None, lifecycle: str | None, status: str, reasons: tuple[str, ...]
) -> None:
    source = StatusSource(enabled=enabled, account_status=account, lifecycle_status=lifecycle)
    assert wire.status_of(source) == (status, reasons)
    raw = {"enabled": enabled, "account": {"status": account}, "lifecycle": {"status": lifecycle}}
    assert user(raw).status_source == source


KNOWN = ("OK", "LOCKED", "ACCOUNT_OK", "VERIFICATION_REQUIRED")


@given(st.text(min_size=1).filter(lambda value: value not in KNOWN))
def test_a_value_nobody_foresaw_is_kept_raw(value: str) -> None:
    assert user({"enabled": True, "account": {"status": value}}).status == value
    assert user({"enabled": True, "account": {"status": "OK"}, "lifecycle": {"status": value}}).status == value
    assert user({"type": value}).type == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.one_of(st.sampled_from(sorted(NATIVE)), st.text(max_size=6)), JSON))
def test_members_of_any_shape_are_a_user_or_an_unexpected_answer(raw: dict[str, Any]) -> None:
    try:
        found = wire.user(raw, attributes=ATTRIBUTES)
    except UnexpectedAnswer:
        return
    assert found.custom_attributes == {name: raw[name] for name in raw if name not in wire.CORE_ATTRIBUTES}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ({"formatted": "Dr A"}, "Dr A"),
        ({"given": "Ann", "family": "Lee"}, "Ann Lee"),
        ({"family": "Lee"}, "Lee"),
        ({"formatted": "", "given": "Ann"}, "Ann"),
        ({}, None),
        ("Ann", None),
    ],
)
def test_the_name_of_a_user(name: object, shown: str | None) -> None:
    assert user({"name": name}).name == shown


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ("bob", "bob"),
        ({"id": "u9", "username": "bob"}, "u9"),
        ({"value": "u9"}, "u9"),
        ({"username": "bob"}, "bob"),
        ({"email": "bob@example.com"}, "bob@example.com"),
        ({"ref": 7, "ü": None}, '{"ref": 7, "ü": null}'),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_manager_as_the_attribute_names_it(value: object, reference: str | None) -> None:
    found = user({"boss": value})
    assert found.manager == (None if reference is None else Manager(reference=reference))
    assert found.custom_attributes == {"boss": value}


def test_attributes_that_are_not_mapped_are_custom_only() -> None:
    found = wire.user({"id": "u1", "department": "Sales", "manager": "bob"}, attributes={})
    assert (found.department, found.manager) == (None, None)
    assert found.custom_attributes == {"department": "Sales", "manager": "bob"}


@pytest.mark.parametrize("raw", [{}, {"id": None}, {"id": ""}, {"id": 7}])
def test_an_object_without_an_id_is_unexpected(raw: dict[str, Any]) -> None:
    for read in (
        lambda: wire.user(raw, attributes={}),
        lambda: wire.group(raw),
        lambda: wire.workspace(raw),
        lambda: wire.organization(raw),
        lambda: wire.role(raw),
        lambda: wire.membership(raw),
        lambda: wire.event({**raw, "recordedAt": "2026-01-01T00:00:00Z"}),
    ):
        with pytest.raises(UnexpectedAnswer, match="without an id"):
            read()
    assert wire.role_assignments([{"id": "a", "role": raw}], roles={}, places={}) == ((), False)


@pytest.mark.parametrize("time", ["", "yesterday", 7, [], "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+05:00"])
@pytest.mark.parametrize(
    ("member", "field"),
    [
        ("createdAt", "created_at"),
        ("updatedAt", "updated_at"),
        ("account.lockedAt", "locked_at"),
        ("lastSignOn.at", "last_login_at"),
    ],
)
def test_a_time_that_is_none_is_left_out_and_named_and_all_else_stays(member: str, field: str, time: object) -> None:
    raw = json.loads(json.dumps(NATIVE))
    outer, _, inner = member.rpartition(".")
    (raw[outer] if outer else raw)[inner] = time
    whole = wire.user(NATIVE, attributes=ATTRIBUTES)
    lost: dict[str, Any] = {field: None, "unreadable": (field,)}
    assert wire.user(raw, attributes=ATTRIBUTES) == dataclasses.replace(whole, **lost)
    kept = wire.user(raw, attributes=ATTRIBUTES, remote_data=True).remote_data
    assert kept == raw


def wrongly_typed(raw: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the object again and again, each time with one member of it, or of an object in it, of no known type."""
    found: list[tuple[str, dict[str, Any]]] = []
    for key, value in raw.items():
        found.append((key, {**raw, key: [object]}))
        if isinstance(value, dict):
            found += [(f"{key}.{inner}", {**raw, key: {**value, inner: [object]}}) for inner in value]
    return found


NOT_OURS = {"_links", "_embedded", "id", "verifyStatus", "identityProvider", "nickname", "flags"} | {
    "memberOfGroupIDs",
    "memberOfGroupNames",
}


@pytest.mark.parametrize(
    ("member", "raw"), [one for one in wrongly_typed(NATIVE) if one[0].partition(".")[0] not in NOT_OURS]
)
def test_one_member_of_a_wrong_type_costs_that_member_alone(member: str, raw: dict[str, Any]) -> None:
    whole, found = wire.user(NATIVE, attributes=ATTRIBUTES), wire.user(raw, attributes=ATTRIBUTES)
    other = {
        field.name
        for field in dataclasses.fields(User)
        if getattr(found, field.name) != getattr(whole, field.name) and field.name != "custom_attributes"
    }
    unsaid = {"account.canAuthenticate", "lastSignOn.remoteIp"}
    assert bool(found.unreadable) == (member not in unsaid)
    assert other - {"unreadable", "status_reasons", "status_source"} <= {*found.unreadable}


def test_what_decides_the_status_and_cannot_be_read_is_not_guessed() -> None:
    found = user({"enabled": "yes", "account": {"status": "OK"}})
    assert (found.status, found.status_reasons, found.unreadable) == ("OK", (), ("status",))


def test_things_that_cannot_be_told_apart_are_counted_and_the_rest_is_read() -> None:
    raws: list[dict[str, Any]] = [{"id": "g1"}, {}, {"id": "g2", "name": 7}, {"id": 7}]
    groups, left_out = wire.readable(raws, wire.group)
    assert ([(group.id, group.unreadable) for group in groups], left_out) == ([("g1", ()), ("g2", ("name",))], 2)
    assert wire.memberships([{"id": "g", "type": "DIRECT"}]) == ((GroupMembership(id="g", type="direct"),), True)
    assert wire.memberships([{"id": "g", "type": 7}, {"id": "h"}])[1] is False
    assert wire.memberships([{"id": "g"}, {}]) == ((GroupMembership(id="g"),), False)
    held: list[dict[str, Any]] = [{"role": {"id": "r"}, "scope": "all"}, {"role": 7}]
    assert wire.role_assignments(held, roles={}, places={}) == ((RoleAssignment(id="r"),), False)
    assert wire.role_assignments(held[:1], roles={}, places={})[1] is False
    assert wire.role_assignments([{"role": {"id": "r"}}], roles={}, places={})[1] is True
    assert wire.workspace({"id": "p", "userCount": "7"}).unreadable == ("user_count",)


@pytest.mark.parametrize(
    "change",
    [{"actors": 7}, {"result": []}, {"resources": [7]}, {"recordedAt": "noon"}, {"action": "x"}],
    ids=lambda change: next(iter(change)),
)
def test_an_event_with_a_wrong_member_is_read_all_the_same(change: dict[str, Any]) -> None:
    found = wire.event({**EVENT, **change})
    assert (found.id, found.at.year) == ("v1", 2022)


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01T10:00:00Z",
        "2026-01-01T10:00:00.000+00:00",
        "2026-01-01T15:30:00.000+05:30",
        "2026-01-01T05:00:00-05:00",
        "2025-12-31T22:00:00.000000-12:00",
        "2026-01-01T10:00:00.000",  # without an offset: PingOne's times are UTC
        "2026-01-01T10:00",
    ],
)
@pytest.mark.parametrize("member", ["createdAt", "updatedAt"])
def test_a_time_of_any_offset_is_told_in_utc(member: str, time: str) -> None:
    found = user({member: time})
    at = found.created_at if member == "createdAt" else found.updated_at
    assert at is not None
    assert (at, at.tzinfo) == (datetime(2026, 1, 1, 10, tzinfo=UTC), UTC)


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1000))  # `strftime` pads no years
def test_a_time_as_pingone_writes_it_is_read_to_the_millisecond(at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    written = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
    assert user({"createdAt": written, "account": {"lockedAt": written}, "lastSignOn": {"at": written}}) == User(
        id="u1", status="unknown", status_source=StatusSource(), created_at=at, locked_at=at, last_login_at=at
    )


def test_users_alike_in_status_and_place_differ_where_they_differ() -> None:
    raw = {"enabled": True, "account": {"status": "OK"}, "population": {"id": "p1"}, "environment": {"id": "p1"}}
    one = user(raw, populations={"p1": "People"}, environments={"p1": "Acme"})
    two = user({**raw, "enabled": False}, populations={"p1": "Renamed"})
    assert (one.status, two.status) == ("active", "inactive")
    assert one.workspaces == (Named(id="p1", name="People"),)
    assert one.organizations == (Named(id="p1", name="Acme"),)
    assert two.workspaces == (Named(id="p1", name="Renamed"),)
    assert two.organizations == (Named(id="p1"),)


def test_what_several_users_share_cannot_be_changed() -> None:
    found = user({"enabled": True, "population": {"id": "p1"}})
    for value, name in ((found.status_source, "enabled"), (found.workspaces[0], "name")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


# ----------------------------------------------------------------------------------------------------- other resources


def test_a_group() -> None:
    raw = {
        "id": "g1",
        "name": "Staff",
        "description": "All",
        "externalId": "x",
        "environment": {"id": "e1"},
        "population": {"id": "p1"},
        "directMemberCounts": {"users": 3, "groups": 1},
        "createdAt": "2022-04-26T16:42:05.051Z",
    }
    group = Group(
        id="g1",
        name="Staff",
        description="All",
        external_id="x",
        group_type="custom",
        organization=Named(id="e1"),
        workspace=Named(id="p1", name="People"),
        member_count=3,
        group_count=1,
        created_at=datetime(2022, 4, 26, 16, 42, 5, 51_000, tzinfo=UTC),
    )
    assert wire.group(raw, populations={"p1": "People"}) == group
    assert wire.group(raw, remote_data=True).remote_data == raw
    total = wire.group({**raw, "totalMemberCounts": {"users": 9}})
    assert (total.member_count, total.total_member_count) == (3, 9)
    dynamic = wire.group({**raw, "userFilter": 'type eq "x"'})
    assert (dynamic.group_type, dynamic.member_count) == ("dynamic", None)
    assert wire.group({**raw, "sourceType": "LDAP", "userFilter": "x"}).group_type == "external"
    assert wire.group({"id": "g"}).member_count is None


def test_populations_environments_and_roles() -> None:
    population = {"id": "p1", "name": "People", "userCount": 7, "default": True, "environment": {"id": "e1"}}
    assert wire.workspace(population) == Workspace(id="p1", name="People", user_count=7, is_default=True)
    assert wire.workspace({"id": "p1"}) == Workspace(id="p1")
    environment = {"id": "e1", "name": "Acme", "type": "PRODUCTION", "region": "EU"}
    assert wire.organization(environment) == Organization(id="e1", name="Acme", type="PRODUCTION", region="EU")
    role = {"id": "r1", "name": "Admin", "description": "All", "applicableTo": ["ENVIRONMENT", 7, "POPULATION"]}
    assert wire.role(role) == Role(id="r1", name="Admin", description="All", scope_types=("ENVIRONMENT", "POPULATION"))
    assert wire.role({"id": "r1", "applicableTo": "x"}).scope_types == ()


def test_memberships_and_role_assignments() -> None:
    assert wire.membership({"id": "g1", "type": "DIRECT", "name": "Staff"}) == GroupMembership(
        id="g1", name="Staff", type="direct"
    )
    embedded = {"id": "g1", "type": "NESTED", "_embedded": {"group": {"name": "Staff"}}}
    assert wire.membership(embedded) == GroupMembership(id="g1", name="Staff", type="NESTED")
    raw = {"id": "a1", "role": {"id": "r1"}, "scope": {"id": "e1", "type": "ENVIRONMENT"}}
    admin = RoleAssignment(id="r1", name="Admin", scope=RoleScope(id="e1", type="environment", name="Acme"))
    assert wire.role_assignments([raw], roles={"r1": "Admin"}, places={"e1": "Acme"}) == ((admin,), True)
    assert wire.role_assignments([{"role": {"id": "r1"}}], roles={}, places={}) == ((RoleAssignment(id="r1"),), True)


EVENT = {
    "id": "v1",
    "recordedAt": "2022-07-13T19:32:54.079Z",
    "createdAt": "2022-07-13T19:32:54.101Z",
    "actors": {"client": {"id": "c1", "name": "adminui"}, "user": {"id": "u9", "name": "admin@example.com"}},
    "action": {"type": "USER.DELETED", "description": "User Deleted"},
    "resources": [{"type": "USER", "id": "u1", "name": "ann", "population": {"id": "p1"}}],
    "result": {"status": "SUCCESS", "description": "Deleted User ann"},
}


def test_an_event_and_the_user_it_removed() -> None:
    event = wire.event(EVENT)
    assert event == Event(
        id="v1",
        at=datetime(2022, 7, 13, 19, 32, 54, 79_000, tzinfo=UTC),
        action="USER.DELETED",
        actor="admin@example.com",
        subject_id="u1",
        subject_name="ann",
        subject_workspace_id="p1",
        summary="Deleted User ann",
    )
    assert wire.removed_user(event, "e1", environments={"e1": "Acme"}, populations={"p1": "People"}) == User(
        id="u1",
        username="ann",
        status="deleted",
        status_reasons=("removed",),
        status_source=StatusSource(),
        organizations=(Named(id="e1", name="Acme"),),
        workspaces=(Named(id="p1", name="People"),),
    )


def test_an_event_of_few_words() -> None:
    event = wire.event(
        {"id": "v1", "createdAt": "2022-07-13T19:32:54Z", "actors": {"client": {"id": "c1"}}, "resources": []}
    )
    assert (event.actor, event.subject_id, event.action, event.summary) == ("c1", None, "", "")
    with pytest.raises(UnexpectedAnswer, match="without a time"):
        wire.event({"id": "v1"})


# --------------------------------------------------------------------------------------------------------- recordings


def _recorded(shared: Path, name: str) -> Any:
    return json.loads((shared / "recordings" / name).read_text("utf-8"))["response"]["body"]


def test_recorded_users_lose_nothing(shared: Path) -> None:
    for raw in _recorded(shared, "users.json")["_embedded"]["users"]:
        found = wire.user(raw, attributes=ATTRIBUTES)
        assert found.id == raw["id"]
        assert found.custom_attributes == {}
        assert found.status == "active"
        assert found.emails[0].email == raw["email"]
        assert found.created_at == datetime.fromisoformat(raw["createdAt"])


def test_recorded_groups_and_environment_are_read(shared: Path) -> None:
    groups = [wire.group(raw) for raw in _recorded(shared, "groups.json")["_embedded"]["groups"]]
    assert [(group.name, group.member_count, group.group_type) for group in groups] == [
        ("example group", 1, "custom"),
        ("example second group", 0, "custom"),
    ]
    raw = _recorded(shared, "environment.json")
    assert wire.organization(raw) == Organization(
        id=raw["id"], name=raw["name"], type=raw["type"], region=raw["region"]
    )
