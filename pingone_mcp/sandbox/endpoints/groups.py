"""The endpoints under `/environments/{environment}/groups`."""

from __future__ import annotations

import json
import zlib

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.company.people import value_at
from pingone_mcp.sandbox.company.state import GroupState
from pingone_mcp.sandbox.endpoints.calls import Call, Endpoint
from pingone_mcp.sandbox.errors import Json, invalid, not_found, not_permitted, not_unique
from pingone_mcp.sandbox.hal import Reply, href
from pingone_mcp.sandbox.times import timestamp

_LANGUAGE = scim.language({"id": "eq", "name": "eq", "population.id": "eq", "externalId": "eq sw"}, members=True)
_TEXTS = ("description", "externalId", "userFilter")
_MADE_UP_FIRST = ("id", "environment", "name", "displayName", "description", "externalId", "userFilter", "customData")


def group_body(call: Call, group: GroupState, *, totals: bool = False) -> Json:
    """Write a group in the recorded order, with its counts."""
    record = group.record
    state = call.state
    body: Json = {"_links": {"self": href(f"{call.home}/groups/{group.id}")}}
    body |= {name: record[name] for name in _MADE_UP_FIRST if name in record}
    body |= {name: record[name] for name in ("population", "sourceType", "sourceId") if name in record}
    children = state.children(group.id)
    body["directMemberCounts"] = {"users": _member_count(call, group, "DIRECT"), "groups": len(children)}
    if totals:
        body["totalMemberCounts"] = {
            "users": _member_count(call, group, None),
            "groups": len(state.below(group.id)),
        }
    body |= {"createdAt": record["createdAt"], "updatedAt": record["updatedAt"]}
    # The real sum's rule is unknown; this one changes whenever the group does, which is all one may rely on.
    body["checkSum"] = str(zlib.crc32(json.dumps(record, sort_keys=True).encode()) * 3)
    return body


def _member_count(call: Call, group: GroupState, type_: scim.Membership | None) -> int:
    asked = scim.MemberCondition(group.id, type_)
    return (call if call.options.member_counts_narrowed else call.state).matching(asked).count(1)


def membership_body(
    call: Call, member: str, group: GroupState, type_: scim.Membership, *, expand: bool = False
) -> Json:
    """Write a membership; `member` is the path of the user or group that belongs to `group`."""
    noun, _, id_ = member.partition("/")
    body: Json = {
        "_links": {
            "self": href(f"{call.home}/{member}/memberOfGroups/{group.id}"),
            noun.removesuffix("s"): href(f"{call.home}/{noun}/{id_}"),
        }
    }
    if expand:
        body["_embedded"] = {"group": group_body(call, group)}
    return body | {
        "id": group.id,
        "environment": {"id": call.state.id},
        "name": group.record["name"],
        "type": type_,
    }


def _find(call: Call) -> GroupState:
    group = call.state.groups.get(call.named("group"))
    if group is None:
        raise not_found()
    if not _visible(call, group):
        raise not_permitted()
    return group


def _visible(call: Call, group: GroupState) -> bool:
    return call.options.unreachable_groups_listed or call.reaches(value_at(group.record, "population.id"))


def list_groups(call: Call) -> Reply:
    """List the groups, oldest first."""
    by_serial = {group.serial: group for group in call.state.groups.values() if _visible(call, group)}
    rows = [(serial, group_body(call, by_serial[serial])) for serial in sorted(by_serial)]
    return call.listed(
        "groups",
        rows,
        spoken=_LANGUAGE,
        value_of=value_at,
        member_of=lambda serial, parent: call.state.group_membership(by_serial[serial].id, parent),
    )


def read_group(call: Call) -> Reply:
    """Give one group; `include=totalMemberCounts` adds the counts over all nesting."""
    totals = "totalMemberCounts" in (call.asked("include") or "").split(",")
    return Reply(200, group_body(call, _find(call), totals=totals))


def _written(call: Call, existing: GroupState | None) -> Json:
    body = call.body()
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("REQUIRED_VALUE", "must not be empty", "name")
    population_id = value_at(existing.record if existing else body, "population.id")
    if population_id is not None and population_id not in call.state.populations:
        raise invalid("INVALID_VALUE", "there is no such population", "population.id")
    if not call.reaches(population_id):
        raise not_permitted()
    for other in call.state.groups.values():
        same_place = value_at(other.record, "population.id") in {None, population_id} or population_id is None
        if other is not existing and same_place and other.record["name"].lower() == name.lower():
            raise not_unique("name", other.id)
    record: Json = {"name": name} | {key: body[key] for key in _TEXTS if isinstance(body.get(key), str)}
    if isinstance(body.get("customData"), dict):
        record["customData"] = body["customData"]
    if population_id is not None:
        record["population"] = {"id": population_id}
    return record


def _record(call: Call, group: GroupState, verb: str, result: str) -> None:
    population_id = value_at(group.record, "population.id")
    resource = (group.id, str(group.record["name"]), f"groups/{group.id}")
    call.record(f"GROUP.{verb}", f"{result} Group", resource, str(population_id) if population_id else None)


def create_group(call: Call) -> Reply:
    """Add a group, in a population or in the environment; a `userFilter` makes it dynamic."""
    written = _written(call, None)
    node = call.state.read_user_filter(written.get("userFilter"))
    now = timestamp(call.world.clock.tick())
    record = {"id": call.state.new_id("group"), "environment": {"id": call.state.id}} | written
    group = GroupState(call.state.next_serial(), record | {"createdAt": now, "updatedAt": now}, set(), filter=node)
    call.state.put_group(group)
    _record(call, group, "CREATED", "Created")
    return Reply(201, group_body(call, group), location=f"{call.home}/groups/{group.id}")


def replace_group(call: Call) -> Reply:
    """Replace what may be written; members and nesting stay."""
    group = _find(call)
    written = _written(call, group)
    group.filter = call.state.read_user_filter(written.get("userFilter"))
    kept = {
        key: group.record[key]
        for key in ("id", "environment", "createdAt", "sourceType", "sourceId")
        if key in group.record
    }
    group.record = kept | written | {"updatedAt": timestamp(call.world.clock.tick())}
    call.state.put_group(group)
    _record(call, group, "UPDATED", "Updated")
    return Reply(200, group_body(call, group))


def delete_group(call: Call) -> Reply:
    """Remove a group; its members stay."""
    group = _find(call)
    call.state.remove_group(group)
    _record(call, group, "DELETED", "Deleted")
    return Reply(204)


def list_parents(call: Call) -> Reply:
    """List the groups a group is nested in, directly or further up."""
    group, state = _find(call), call.state
    found = [(other, state.group_membership(group.id, other.id)) for other in state.groups.values()]
    rows = [
        (other.serial, membership_body(call, f"groups/{group.id}", other, type_))
        for other, type_ in sorted(found, key=lambda pair: pair[0].serial)
        if type_ is not None
    ]
    return call.listed("groupMemberships", rows, value_of=value_at)


def nest(call: Call) -> Reply:
    """Put a group into another; a circle is refused."""
    group, state = _find(call), call.state
    parent = state.groups.get(call.reference())
    if parent is None:
        raise invalid("INVALID_VALUE", "there is no such group", "id")
    if parent.id in group.parents:
        raise not_unique("id", parent.id)
    if parent.id == group.id or parent.id in state.below(group.id):
        raise invalid("CONSTRAINT_VIOLATION", "a group cannot hold itself", "id")
    group.parents.add(parent.id)
    _mark(call, group, parent)
    _record(call, group, "UPDATED", "Updated")
    member = f"groups/{group.id}"
    location = f"{call.home}/{member}/memberOfGroups/{parent.id}"
    return Reply(201, membership_body(call, member, parent, "DIRECT"), location=location)


def _mark(call: Call, *groups: GroupState) -> None:
    """Nesting moved `updatedAt` of both groups in the recording."""
    for group in groups:
        call.state.put_group(group)
        if call.options.membership_bumps_group:
            group.record["updatedAt"] = timestamp(call.world.clock.now())


def read_parent(call: Call) -> Reply:
    """Say how a group is nested in another."""
    group = _find(call)
    type_ = call.state.group_membership(group.id, call.named("parent"))
    if type_ is None:
        raise not_found()
    return Reply(200, membership_body(call, f"groups/{group.id}", call.state.groups[call.named("parent")], type_))


def unnest(call: Call) -> Reply:
    """Take a group out of another."""
    group = _find(call)
    if call.named("parent") not in group.parents:
        raise not_found()
    group.parents.discard(call.named("parent"))
    _mark(call, group, call.state.groups[call.named("parent")])
    _record(call, group, "UPDATED", "Updated")
    return Reply(204)


_GROUPS = "/v1/environments/{environment}/groups"
_GROUP = f"{_GROUPS}/{{group}}"
ENDPOINTS = (
    Endpoint("GET", _GROUPS, "read places", list_groups),
    Endpoint("POST", _GROUPS, "write identities", create_group),
    Endpoint("GET", _GROUP, "read places", read_group),
    Endpoint("PUT", _GROUP, "write identities", replace_group),
    Endpoint("DELETE", _GROUP, "write identities", delete_group),
    Endpoint("GET", f"{_GROUP}/memberOfGroups", "read places", list_parents),
    Endpoint("POST", f"{_GROUP}/memberOfGroups", "write identities", nest),
    Endpoint("GET", f"{_GROUP}/memberOfGroups/{{parent}}", "read places", read_parent),
    Endpoint("DELETE", f"{_GROUP}/memberOfGroups/{{parent}}", "write identities", unnest),
)
