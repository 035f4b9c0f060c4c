"""The endpoints under `/environments/{environment}/users`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.activities import modified_attributes
from pingone_mcp.sandbox.company.people import value_at
from pingone_mcp.sandbox.company.roles import BY_ID
from pingone_mcp.sandbox.company.state import CUSTOM_ATTRIBUTES, AssignedRole, GroupState
from pingone_mcp.sandbox.cursors import WalkPosition
from pingone_mcp.sandbox.endpoints.calls import Call, Endpoint
from pingone_mcp.sandbox.endpoints.groups import membership_body
from pingone_mcp.sandbox.endpoints.populations import population_body
from pingone_mcp.sandbox.errors import (
    Json,
    invalid,
    not_found,
    not_permitted,
    not_unique,
    wrong_media_type,
)
from pingone_mcp.sandbox.hal import Reply, envelope, href, query, user_links
from pingone_mcp.sandbox.times import parse_timestamp, timestamp

IMPORT = "application/vnd.pingidentity.user.import+json"
SCIM_PATCH = "application/vnd.pingidentity.user.scim.patch+json"
LOCK = "application/vnd.pingidentity.account.lock+json"
UNLOCK = "application/vnd.pingidentity.account.unlock+json"
SEND_CODE = "application/vnd.pingidentity.account.sendVerificationCode+json"
PASSWORD_SET = "application/vnd.pingidentity.password.set+json"

# ------------------------------------------------------------------------------------------- what may be written

_TEXT = {"nickname": 256, "title": 256, "type": 256, "locale": 256, "username": 128}
_PLAIN = {"externalId": 1024, "accountId": 256, "primaryPhone": 32, "mobilePhone": 32, "preferredLanguage": 256}
_NAME = ("family", "formatted", "given", "middle", "honorificPrefix", "honorificSuffix")
_ADDRESS = {"streetAddress": 256, "locality": 256, "region": 256, "postalCode": 40, "countryCode": 2}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\Z")
_ZONE = re.compile(r"\w+/\w+\Z")
_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_KEPT_BY_PUT = (
    "id environment account createdAt emailVerified enabled identityProvider lastSignOn lifecycle mfaEnabled population "
    "verifyStatus"
).split()


def is_text(value: str) -> bool:
    r"""Say whether a string consists of `[\p{L}\p{M}\p{Zs}\p{S}\p{N}\p{P}]`: nothing invisible."""
    return all((category := unicodedata.category(letter))[0] in "LMSNP" or category == "Zs" for letter in value)


def is_strict_name(value: str) -> bool:
    r"""Say whether a string consists of `[\p{L}\p{M}\p{N}' .-]`."""
    return all(letter in "' .-" or unicodedata.category(letter)[0] in "LMN" for letter in value)


def _string(value: object, target: str, longest: int, *, pattern: bool = False) -> str:
    if not isinstance(value, str):
        raise invalid("INVALID_VALUE", "must be a string", target)
    if not value:
        raise invalid("EMPTY_VALUE", "must not be empty", target)
    if len(value) > longest:
        raise invalid("SIZE_LIMIT_EXCEEDED", "is too long", target, maximumValue=longest)
    if pattern and not is_text(value):
        raise invalid("INVALID_VALUE", "has characters that are not allowed", target)
    return value


def _name(value: object) -> Json:
    if not isinstance(value, dict):
        raise invalid("INVALID_VALUE", "must be an object", "name")
    name = {part: value[part] for part in _NAME if value.get(part) is not None}
    for part, text in name.items():
        strict = part in {"family", "formatted"}
        _string(text, f"name.{part}", 256, pattern=part in {"given", "middle"})
        if strict and not is_strict_name(text):
            raise invalid("INVALID_VALUE", "has characters that are not allowed", f"name.{part}")
    return name


def _address(value: object) -> Json:
    if not isinstance(value, dict):
        raise invalid("INVALID_VALUE", "must be an object", "address")
    address = {part: value[part] for part in _ADDRESS if value.get(part) is not None}
    for part, text in address.items():
        _string(text, f"address.{part}", _ADDRESS[part])
    if "countryCode" in address and not _COUNTRY.match(address["countryCode"]):
        raise invalid("INVALID_VALUE", "must be two capital letters", "address.countryCode", allowedPattern="[A-Z]{2}")
    return address


def _attribute(name: str, value: Any) -> Any:
    """Check one writable attribute; raises 400."""
    if name == "name":
        return _name(value)
    if name == "address":
        return _address(value)
    if name == "photo":
        if not isinstance(value, dict) or not re.match("https?://", str(value.get("href"))):
            raise invalid("INVALID_VALUE", "must hold an http link", "photo.href")
        return {"href": value["href"]}
    if name in _TEXT:
        return _string(value, name, _TEXT[name], pattern=True)
    text = _string(value, name, _PLAIN.get(name, 16_384 if name in CUSTOM_ATTRIBUTES else 256))
    if name == "email" and not _EMAIL.match(text):
        raise invalid("INVALID_VALUE", "must be an email address", name)
    if name == "timezone" and not _ZONE.match(text):
        raise invalid("INVALID_VALUE", "must be a time zone", name)
    return text


_WRITABLE = {"name", "address", "photo", "email", "timezone", *_TEXT, *_PLAIN, *CUSTOM_ATTRIBUTES}


def _checked(body: Json) -> Json:
    """Keep the attributes that may be written, each checked; unknown and read-only ones are ignored."""
    return {name: _attribute(name, value) for name, value in body.items() if name in _WRITABLE and value is not None}


def _require(record: Json) -> None:
    for name in ("username", "email"):
        if not record.get(name):
            raise invalid("REQUIRED_VALUE", "must not be empty", name)


def _unique(call: Call, username: str, position: int | None) -> None:
    taken = call.state.position_of_username(username)
    if taken is not None and taken != position:
        raise not_unique("username", call.state.people.ids.of(taken))


# ------------------------------------------------------------------------------------------------------- reading


def find(call: Call) -> tuple[int, Json]:
    """Find the user in the path; raises 404, and 403 (or 404, by option) for a population out of reach."""
    position = call.state.position(call.named("user"))
    if position is None or call.named("user") in call.narrowing(call.state.id).hidden:
        raise not_found()
    user = call.state.user(position)
    if not call.reaches(user["population"]["id"]):
        raise not_found() if call.options.unreachable_user_status == 404 else not_permitted()
    return position, user


def _body(call: Call, user: Json, *, single: bool, expand: bool = False) -> Json:
    links = user_links(
        f"{call.home}/users/{user['id']}", single=single, home=call.home, population_id=user["population"]["id"]
    )
    body: Json = {"_links": links}
    if expand:
        place = population_body(call, call.state.populations[user["population"]["id"]])
        body["_embedded"] = {"population": place}
    if call.options.embedded_password and not single:
        body.setdefault("_embedded", {})["password"] = {"status": "OK"}
    body.update(user)
    for path, value in call.state.spoiled.get(user["id"], {}).items():
        _spoil(body, path.split("."), value)
    return body


def _spoil(body: Json, path: list[str], value: object) -> None:
    """Put a value in the place of another; what holds it is copied, for the record itself stays as it is."""
    name, *below = path
    if below:
        body[name] = dict(body.get(name, {}))
        _spoil(body[name], below, value)
    else:
        body[name] = value


_AGAIN = 2**32
"""Added to the position of a user who is met again at the end of a walk."""


def _places(call: Call, flags: bytes, reached: int, begun: int) -> Iterator[int]:
    """Give the places behind the one reached, in a walk that began with a version of the environment."""
    option = call.options.moved_users_change_place
    moved = set[int]() if option == "never" else call.state.moved_since(begun)
    at = flags.find(1, reached + 1)
    while at >= 0:
        if option != "skipped" or at not in moved:
            yield at
        at = flags.find(1, at + 1)
    if option == "repeated":
        again = (_AGAIN + position for position in sorted(moved) if flags[position])
        yield from (at for at in again if at > reached)


def list_users(call: Call) -> Reply:
    """Give a page: `count` tells how many match in all, `size` how many are here."""
    if call.asked("order") is not None and call.options.order_refused:
        raise invalid("INVALID_PARAMETER", "is not supported", "order")
    state = call.state
    anchor, filter_ = call.place()
    place = None if anchor is None else WalkPosition.read(anchor)
    if place and call.options.deleted_anchor_refuses_cursor and not state.exists(place.reached % _AGAIN):
        raise invalid("INVALID_PARAMETER", "the cursor is not valid", "cursor")
    node = call.filter(state.language, filter_)
    flags = call.matching(node)
    size = min(call.limit(call.options.max_page), call.page.rows or 2**31)
    begun = state.version if place is None else place.begun
    behind = -1 if place is None else place.reached
    reached = list(islice(_places(call, flags, behind, begun), size + 1))
    if call.page.ends is not None:
        reached = reached[: call.page.ends]
    shown = [at % _AGAIN for at in reached[:size]]
    expand = "population" in (call.asked("expand") or "").split(",")
    links: Json = {"self": href(call.here + query(("limit", call.asked("limit")), ("filter", filter_ or None)))}
    if len(reached) > size:
        links = call.next_link(WalkPosition(reached[size - 1], begun).anchor(), filter_) | links
    count = flags.count(1) if call.page.ends is None else flags.count(1, 0, behind + 1) + len(shown)
    if (
        call.options.inaccurate_updated_at_count
        and node is not None
        and scim.bounds(node, "updatedAt") == {"from", "to"}
    ):
        count += count // 10 + 1
    call.page.served, call.page.environment_id = shown, state.id
    rows = [_body(call, state.user(position), single=False, expand=expand) for position in shown]
    return Reply(200, envelope("users", rows, links, count=count + call.page.miscount, size=len(rows)))


def read_user(call: Call) -> Reply:
    """Give one user; `include` adds the ids or the names of its groups."""
    position, user = find(call)
    include = (call.asked("include") or "").split(",")
    groups = (
        call.state.memberships(position) if "memberOfGroupIDs" in include or "memberOfGroupNames" in include else []
    )
    extra: Json = {}
    if "memberOfGroupIDs" in include:
        extra["memberOfGroupIDs"] = [group.id for group, _ in groups]
    if "memberOfGroupNames" in include:
        extra["memberOfGroupNames"] = [group.record["name"] for group, _ in groups]
    expand = "population" in (call.asked("expand") or "").split(",")
    return Reply(200, _body(call, user | extra, single=True, expand=expand))


# ------------------------------------------------------------------------------------------------------- writing


_MAYBE_BUMPING = {"Locked User", "Unlocked User", "Updated enabled for User"}


def _save(call: Call, position: int, user: Json, result: str = "Updated User", action: str = "USER.UPDATED") -> Json:
    """Store a changed user, write the event, and give the user back."""
    if call.options.writes_bump_updated_at or result not in _MAYBE_BUMPING:
        user["updatedAt"] = timestamp(call.world.clock.tick())
    old, account = call.state.user(position), user["account"]
    account = account | {"canAuthenticate": bool(user["enabled"]) and account["status"] == "OK"}
    account.pop("secondsUntilUnlock", None)
    call.state.put_user(position, user | {"account": account})
    modified = modified_attributes(old, user) if action in {"USER.UPDATED", "USER.MOVED"} else ()
    _record(call, user, action, result, modified)
    return call.state.user(position)


def _record(call: Call, user: Json, action: str, result: str, modified: tuple[str, ...] = ()) -> None:
    resource = (user["id"], user["username"], f"users/{user['id']}")
    call.record(action, result, resource, user["population"]["id"], modified=modified)


def create_user(call: Call) -> Reply:
    """Add a user; the import media type may also say that the address is verified and where the life cycle stands."""
    body = call.body("application/json", IMPORT)
    importing = call.media_type == IMPORT.lower()
    record = _checked(body)
    _require(record)
    population_id = value_at(body, "population.id") or call.state.default_population
    if population_id is None:
        raise invalid("REQUIRED_VALUE", "must not be empty", "population")
    if population_id not in call.state.populations:
        raise invalid("INVALID_VALUE", "there is no such population", "population.id")
    if not call.reaches(population_id):
        raise not_permitted()
    _unique(call, record["username"], None)
    lifecycle = value_at(body, "lifecycle.status") if importing else None
    if lifecycle not in {None, "ACCOUNT_OK", "VERIFICATION_REQUIRED"}:
        raise invalid(
            "INVALID_VALUE", "is not allowed", "lifecycle.status", allowedValues=["ACCOUNT_OK", "VERIFICATION_REQUIRED"]
        )
    mfa = body.get("mfaEnabled")
    now = timestamp(call.world.clock.tick())
    position = call.state.add_user(
        {
            "account": {"canAuthenticate": True, "status": "OK"},
            "createdAt": now,
            "emailVerified": bool(body.get("emailVerified")) if importing else False,
            "enabled": True,
            "identityProvider": {"type": "PING_ONE"},
            "lifecycle": {"status": lifecycle or "ACCOUNT_OK"},
            "mfaEnabled": mfa if isinstance(mfa, bool) else call.options.mfa_enabled_by_default,
            "population": {"id": population_id},
            "updatedAt": now,
            "verifyStatus": "NOT_INITIATED",
            **record,
        }
    )
    user = call.state.user(position)
    _record(call, user, "USER.CREATED", "Created User")
    return Reply(201, _body(call, user, single=True), location=f"{call.home}/users/{user['id']}")


def replace_user(call: Call) -> Reply:
    """Replace what may be written: what the body leaves out is gone; state and population stay."""
    position, user = find(call)
    record = _checked(call.body())
    _require(record)
    _unique(call, record["username"], position)
    kept = {name: user[name] for name in _KEPT_BY_PUT if name in user}
    return Reply(200, _body(call, _save(call, position, kept | record), single=True))


def patch_user(call: Call) -> Reply:
    """Change what the body names; null clears, in `name` and `address` part by part."""
    position, user = find(call)
    body = call.body("application/json", SCIM_PATCH)
    if call.media_type == SCIM_PATCH.lower():
        body = _from_operations(body)
    changed = dict(user)
    for name, value in body.items():
        if name not in _WRITABLE:
            continue
        old = changed.get(name)
        merged = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        changed[name] = _attribute(name, merged) or None if merged is not None else None
    _require(changed)
    _unique(call, changed["username"], position)
    return Reply(200, _body(call, _save(call, position, changed), single=True))


def _from_operations(body: Json) -> Json:
    """Turn SCIM patch operations (`add`, `replace`, `remove` of a path) into a merge."""
    operations = body.get("Operations")
    if not isinstance(operations, list):
        raise invalid("REQUIRED_VALUE", "must be a list", "Operations")
    merge: Json = {}
    for operation in operations:
        path, op = (operation.get("path"), operation.get("op")) if isinstance(operation, dict) else (None, None)
        if not isinstance(path, str) or op not in {"add", "replace", "remove"}:
            raise invalid("INVALID_VALUE", "is not a patch operation", "Operations")
        head, _, tail = path.partition(".")
        value = None if op == "remove" else operation.get("value")
        if tail:
            merge[head] = {**merge.get(head, {}), tail: value}
        else:
            merge[head] = value
    return merge


def delete_user(call: Call) -> Reply:
    """Remove a user for good."""
    position, user = find(call)
    call.state.remove_user(position)
    _record(call, user, "USER.DELETED", "Deleted User")
    return Reply(204)


def act_on_account(call: Call) -> Reply:
    """Lock, unlock, or send a verification code: the media type says which."""
    position, user = find(call)
    match call.media_type:
        case kind if kind == LOCK.lower():
            user = _lock(call, position, user)
        case kind if kind == UNLOCK.lower():
            if user["account"]["status"] == "LOCKED":
                user = _save(call, position, user | {"account": {"status": "OK"}}, "Unlocked User", "USER.UNLOCKED")
        case kind if kind == SEND_CODE.lower():
            pass
        case _:
            raise wrong_media_type([LOCK, UNLOCK, SEND_CODE])
    return Reply(200, _body(call, user, single=True))


def _lock(call: Call, position: int, user: Json) -> Json:
    body = call.body(LOCK.lower())
    unlock_at = body.get("unlockAt") or value_at(body, "account.unlockAt")
    now = call.world.clock.now()
    account: Json = {"status": "LOCKED", "lockedAt": timestamp(now)}
    if unlock_at is not None:
        try:
            until = parse_timestamp(str(unlock_at))
        except ValueError as problem:
            raise invalid("INVALID_VALUE", "must be a date and time", "unlockAt") from problem
        if until <= now:
            return user
        account["unlockAt"] = timestamp(until)
    return _save(call, position, user | {"account": account}, "Locked User", "USER.LOCKED")


def _part(call: Call, name: str, value: Json) -> Reply:
    return Reply(200, {"_links": {"self": href(f"{call.home}/users/{call.named('user')}/{name}")}} | value)


def read_enabled(call: Call) -> Reply:
    """Say whether a user is enabled."""
    return _part(call, "enabled", {"enabled": find(call)[1]["enabled"]})


def put_enabled(call: Call) -> Reply:
    """Enable or disable a user."""
    return _put_flag(call, "enabled")


def read_mfa(call: Call) -> Reply:
    """Say whether a user's sign-on takes a second factor."""
    return _part(call, "mfaEnabled", {"mfaEnabled": find(call)[1]["mfaEnabled"]})


def put_mfa(call: Call) -> Reply:
    """Switch the second factor."""
    return _put_flag(call, "mfaEnabled")


def _put_flag(call: Call, name: str) -> Reply:
    position, user = find(call)
    value = call.body().get(name)
    if not isinstance(value, bool):
        raise invalid("INVALID_VALUE", "must be true or false", name)
    _save(call, position, user | {name: value}, f"Updated {name} for User")
    return _part(call, name, {name: value})


def read_population(call: Call) -> Reply:
    """Say where a user belongs."""
    return _part(call, "population", find(call)[1]["population"])


def put_population(call: Call) -> Reply:
    """Move a user; it leaves the groups of the population it comes from."""
    position, user = find(call)
    population_id = call.reference()
    if population_id not in call.state.populations:
        raise invalid("INVALID_VALUE", "there is no such population", "id")
    if not call.reaches(population_id):
        raise not_permitted()
    move(call, position, user, population_id)
    return _part(call, "population", {"id": population_id})


def move(call: Call, position: int, user: Json, population_id: str) -> None:
    """Put a user into another population."""
    state = call.state
    for group in list(state.groups.values()):
        of = value_at(group.record, "population.id")
        if of is not None and of != population_id and state.is_direct(position, group):
            state.leave(position, group)
    moved = user | {"population": {"id": population_id}}
    _save(call, position, moved, "Updated population for User", call.options.moved_users_event)


def read_identity_provider(call: Call) -> Reply:
    """Say who knows a user's password."""
    return _part(call, "identityProvider", find(call)[1]["identityProvider"])


def read_password(call: Call) -> Reply:
    """Return the state of the password; never the password."""
    user = find(call)[1]
    body = {"environment": {"id": call.state.id}, "user": {"id": user["id"]}, "status": "OK"}
    return _part(call, "password", body)


def put_password(call: Call) -> Reply:
    """Set the password; nothing of it is kept."""
    user = find(call)[1]
    body = call.body(PASSWORD_SET.lower())
    if not isinstance(body.get("value"), str):
        raise invalid("REQUIRED_VALUE", "must not be empty", "value")
    _record(call, user, "PASSWORD.SET", "Set Password for User")
    status = "MUST_CHANGE_PASSWORD" if body.get("forceChange") else "OK"
    return _part(call, "password", {"environment": {"id": call.state.id}, "user": {"id": user["id"]}, "status": status})


# ---------------------------------------------------------------------------------------------- groups of a user

_MEMBERSHIPS = scim.language({"id": "eq", "type": "eq", "name": "eq"})


def list_memberships(call: Call) -> Reply:
    """List the groups of a user, direct and indirect."""
    position, user = find(call)
    expand = "group" in (call.asked("expand") or "").split(",")
    address = f"users/{user['id']}"
    rows = [
        (group.serial, membership_body(call, address, group, type_, expand=expand))
        for group, type_ in call.state.memberships(position)
    ]
    return call.listed("groupMemberships", rows, spoken=_MEMBERSHIPS, value_of=value_at)


def add_membership(call: Call) -> Reply:
    """Put a user into a group."""
    position, user = find(call)
    group = call.state.groups.get(call.reference())
    if group is None:
        raise invalid("INVALID_VALUE", "there is no such group", "id")
    of = value_at(group.record, "population.id")
    if of not in {None, user["population"]["id"]}:
        raise invalid("CONSTRAINT_VIOLATION", "the group belongs to another population", "id")
    if call.state.is_direct(position, group):
        if call.options.duplicate_membership_refused:
            raise not_unique("id", group.id)
    else:
        call.state.join(position, group)
        _record_membership(call, user, group, "Created")
    path = f"users/{user['id']}"
    body = membership_body(call, path, group, "DIRECT")
    return Reply(201, body, location=f"{call.home}/{path}/memberOfGroups/{group.id}")


def _record_membership(call: Call, user: Json, group: GroupState, done: str) -> None:
    resource = (
        call.state.new_id("membership"),
        str(group.record["name"]),
        f"users/{user['id']}/memberOfGroups/{group.id}",
    )
    population_id = user["population"]["id"]
    call.record(f"MEMBER_OF_GROUP.{done.upper()}", f"{done} Member Of Group", resource, population_id)


def read_membership(call: Call) -> Reply:
    """Say how a user belongs to a group."""
    position, user = find(call)
    type_ = call.state.membership(position, call.named("group"))
    if type_ is None:
        raise not_found()
    return Reply(200, membership_body(call, f"users/{user['id']}", call.state.groups[call.named("group")], type_))


def remove_membership(call: Call) -> Reply:
    """Take a user out of a group; an indirect membership cannot be ended here."""
    position, user = find(call)
    type_ = call.state.membership(position, call.named("group"))
    if type_ is None:
        raise not_found()
    group = call.state.groups[call.named("group")]
    if type_ == "INDIRECT":
        raise invalid("CONSTRAINT_VIOLATION", "the membership is indirect", "id")
    call.state.leave(position, group)
    _record_membership(call, user, group, "Deleted")
    return Reply(204)


# ----------------------------------------------------------------------------------------------- roles of a user


def _assignment(call: Call, user_id: str, held: AssignedRole) -> Json:
    return {
        "_links": {"self": href(f"{call.home}/users/{user_id}/roleAssignments/{held.id}")},
        "id": held.id,
        "scope": {"id": held.scope_id, "type": held.scope},
        "role": {"id": held.role_id},
        "environment": {"id": call.state.id},
        "readOnly": False,
    }


def list_roles(call: Call) -> Reply:
    """List the administrator roles a user holds."""
    position, user = find(call)
    rows = [(at, _assignment(call, user["id"], held)) for at, held in enumerate(call.state.roles_of(position).values())]
    return call.listed("roleAssignments", rows, value_of=value_at)


def add_role(call: Call) -> Reply:
    """Give a user an administrator role."""
    position, user = find(call)
    body = call.body()
    role, scope = value_at(body, "role.id"), value_at(body, "scope.type")
    scope_id = value_at(body, "scope.id")
    if role not in BY_ID:
        raise invalid("INVALID_VALUE", "there is no such role", "role.id")
    if scope not in BY_ID[str(role)].applicable_to:
        raise invalid(
            "INVALID_VALUE", "is not allowed", "scope.type", allowedValues=list(BY_ID[str(role)].applicable_to)
        )
    if not isinstance(scope_id, str):
        raise invalid("REQUIRED_VALUE", "must not be empty", "scope.id")
    before = set(call.state.roles_of(position))
    held = call.state.hold_role(position, str(role), str(scope), scope_id)
    if held.id in before:
        raise not_unique("role", held.id)
    _record_role(call, user, held, "Created")
    body = _assignment(call, user["id"], held)
    return Reply(201, body, location=f"{call.home}/users/{user['id']}/roleAssignments/{held.id}")


def _record_role(call: Call, user: Json, held: AssignedRole, done: str) -> None:
    resource = (user["id"], user["username"], f"users/{user['id']}/roleAssignments/{held.id}")
    result = f"{done} role assignment '{held.id}' for role '{held.role_id}' scoped for {held.scope} '{held.scope_id}'"
    action = f"ROLE_ASSIGNMENT.{done.upper()}"
    call.record(action, result, resource, user["population"]["id"], whole_result=True)


def _held(call: Call) -> tuple[int, Json, AssignedRole]:
    position, user = find(call)
    held = call.state.roles_of(position).get(call.named("assignment"))
    if held is None:
        raise not_found()
    return position, user, held


def read_role(call: Call) -> Reply:
    """Give one role assignment."""
    _, user, held = _held(call)
    return Reply(200, _assignment(call, user["id"], held))


def remove_role(call: Call) -> Reply:
    """Take a role away."""
    position, user, held = _held(call)
    del call.state.roles_of(position)[held.id]
    _record_role(call, user, held, "Deleted")
    return Reply(204)


_USERS = "/v1/environments/{environment}/users"
_USER = f"{_USERS}/{{user}}"
ENDPOINTS = (
    Endpoint("GET", _USERS, "read identities", list_users),
    Endpoint("POST", _USERS, "write identities", create_user),
    Endpoint("GET", _USER, "read identities", read_user),
    Endpoint("PUT", _USER, "write identities", replace_user),
    Endpoint("PATCH", _USER, "write identities", patch_user),
    Endpoint("DELETE", _USER, "write identities", delete_user),
    Endpoint("POST", _USER, "write identities", act_on_account),
    Endpoint("GET", f"{_USER}/enabled", "read identities", read_enabled),
    Endpoint("PUT", f"{_USER}/enabled", "write identities", put_enabled),
    Endpoint("GET", f"{_USER}/mfaEnabled", "read identities", read_mfa),
    Endpoint("PUT", f"{_USER}/mfaEnabled", "write identities", put_mfa),
    Endpoint("GET", f"{_USER}/population", "read identities", read_population),
    Endpoint("PUT", f"{_USER}/population", "write identities", put_population),
    Endpoint("GET", f"{_USER}/identityProvider", "read identities", read_identity_provider),
    Endpoint("GET", f"{_USER}/password", "read identities", read_password),
    Endpoint("PUT", f"{_USER}/password", "write identities", put_password),
    Endpoint("GET", f"{_USER}/memberOfGroups", "read identities", list_memberships),
    Endpoint("POST", f"{_USER}/memberOfGroups", "write identities", add_membership),
    Endpoint("GET", f"{_USER}/memberOfGroups/{{group}}", "read identities", read_membership),
    Endpoint("DELETE", f"{_USER}/memberOfGroups/{{group}}", "write identities", remove_membership),
    Endpoint("GET", f"{_USER}/roleAssignments", "read identities", list_roles),
    Endpoint("POST", f"{_USER}/roleAssignments", "assign roles", add_role),
    Endpoint("GET", f"{_USER}/roleAssignments/{{assignment}}", "read identities", read_role),
    Endpoint("DELETE", f"{_USER}/roleAssignments/{{assignment}}", "assign roles", remove_role),
)
