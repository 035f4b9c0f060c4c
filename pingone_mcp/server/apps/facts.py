"""What the view shows of people, as JSON: short rows, what they can be filtered by, and one person with the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

from pingone_mcp.directory.models import GroupMembership, JsonObject, Named, RoleAssignment, User
from pingone_mcp.directory.rows import compact, fitted, plain, timestamp
from pingone_mcp.service.browsing import words

if TYPE_CHECKING:
    from pingone_mcp.service.browsing.copied import CopyAge
    from pingone_mcp.service.browsing.people import FilterChoice, FilterChoices, KnownPerson

_LONGEST = 100  # characters of a text in a row, or in a choice
_CHANGES = 10


def row(user: User) -> JsonObject:
    """Return somebody as a row of a list, no longer than leaves room for all others of a page."""
    return {
        "id": user.id,
        "name": _short(called(user)),
        "login": _short(user.username if user.name else None),
        "email": _short(None if user.email in (user.username, user.name) else user.email),
        "about": _short(_joined(user.title, user.department)),
        "state": state(user),
    }


def called(user: User) -> str:
    return user.name or user.username or user.email or user.id


def state(user: User) -> JsonObject:
    """Return the status as people read it, and as a word of ours to style it by."""
    return {"label": _short(words.status_label(user)), "kind": words.status_class(user)}


def copy(age: CopyAge) -> JsonObject:
    """Return what is said of the copy that something is from: since when it is so, and what it lacks."""
    note = words.copy_note(age)
    return {
        "synced_at": timestamp(note.synced_at),
        "age": note.age,
        "lacks": [_short(one, 500) for one in note.lacks[:20]],
        "is_held": note.is_held,
    }


def choices(found: FilterChoices, characters: int) -> JsonObject:
    """Return what people can be filtered by, within a size; `truncated` says what of it is not all, and of how many."""
    offered: JsonObject = {
        "statuses": [_choice(one, words.STATUS_WORDS.get(one.name, one.name)) for one in found.statuses],
        "removed": found.removed,
    }
    cut: JsonObject = {}
    for name, all_ in (("populations", found.populations), ("groups", found.groups)):
        offered[name] = _first([_choice(one, one.name) for one in all_], characters // 2)
        if len(offered[name]) < len(all_):
            cut[name] = {"shown": len(offered[name]), "of": len(all_)}
    return offered | ({"truncated": cut} if cut else {})


def _first(offered: list[JsonObject], characters: int) -> list[JsonObject]:
    """Return as many of the first choices as have room."""
    sizes = accumulate(len(compact(one)) + 1 for one in offered)
    return [one for one, size in zip(offered, sizes, strict=True) if size <= characters]


def _choice(one: FilterChoice, name: str) -> JsonObject:
    return {"value": one.value, "name": _short(name), "count": one.count}


def person(known: KnownPerson, provider: str, *, lacks: bool, characters: int) -> JsonObject:
    """Return somebody with their status and why, within a size; `lacks` says that the copy is not whole."""
    user = known.user
    facts: JsonObject = {
        "id": user.id,
        "name": called(user),
        "about": _joined(user.title, user.department),
        "state": state(user) if not known.gone_at or known.removed else _LEFT,
        "notices": _notices(known),
        "why": words.status_reasons(user, provider),
        "raw": [{"name": name, "value": value} for name, value in words.raw_status(user)],
        "provider": provider,
        "fields": list(_fields(user)),
        "manager": _manager(user),
        "reports": known.report_count,
        "groups": None if known.groups is None else [_group(one.group, one.how, one.through) for one in known.groups],
        "groups_note": _groups_note(known, lacks=lacks),
        "roles": None if user.roles is None else [_role(one) for one in user.roles],
        "roles_note": _roles_note(known),
        "custom": [{"name": name, "value": value} for name, value in words.attributes(user)],
        "changes": [
            {
                "what": words.KIND_WORDS[one.kind] + (f": {one.group.name or one.group.id}" if one.group else ""),
                "at": timestamp(one.at),
                "evidence": words.EVIDENCE_WORDS[one.evidence],
            }
            for one in known.changes[:_CHANGES]
        ],
        "change_count": known.change_count,
        "known_since": timestamp(known.known_since),
    }
    shown = fitted({name: value for name, value in facts.items() if value is not None}, characters - _SAID_OF_CUSTOM)
    customs, of = len(shown.get("custom", ())), len(user.custom_attributes)
    if customs < of:
        shown["truncated"] = shown.get("truncated", {}) | {"custom": {"shown": customs, "of": of}}
    return shown


_SAID_OF_CUSTOM = 100  # characters of how many custom attributes there are
_LEFT: JsonObject = {"label": "Left what is served", "kind": "other"}


def _notices(known: KnownPerson) -> list[JsonObject]:
    """Return what has to be known before anything else is believed."""
    notices: list[JsonObject] = []
    if known.gone_at:
        what = (
            "Removed from the directory"
            if known.removed
            else "Not in the populations served any more: moved, not removed"
        )
        how = f"; {words.EVIDENCE_WORDS[known.evidence]}" if known.evidence else ""
        notices.append({"text": f"{what}{how}. Below is what the copy last knew.", "at": known.gone_at})
    if unreadable := known.user.unreadable:
        named = ", ".join(unreadable).replace("_", " ")
        text = f"Some of this could not be read, or not whole: {named}. What is missing here may be there all the same."
        notices.append({"text": text})
    return notices


def _fields(user: User) -> Iterable[JsonObject]:
    """Yield what is known of somebody by its name; a time is an `at`."""
    yield from _text("Username", user.username)
    for one in user.emails:
        yield from _text(f"Email, {one.type}" if one.type else "Email", one.email)
    for phone in user.phones:
        yield from _text(f"Phone, {phone.type}" if phone.type else "Phone", phone.number)
    yield from _text("External id", user.external_id)
    yield from _text("Population", _names(user.workspaces))
    yield from _text("Environment", _names(user.organizations))
    yield from _time("Locked since", user.locked_at)
    yield from _time("Last sign-on", user.last_login_at) or _text("Last sign-on", "none is known")
    yield from _text("Second factor", _yes_no(user.is_2fa_enabled, "on", "off"))
    yield from _text("Address verified", _yes_no(user.is_email_verified, "yes", "no"))
    yield from _time("Created", user.created_at)
    yield from _time("Changed", user.updated_at)
    yield from _text("Id", user.id)


def _text(name: str, value: str | None) -> list[JsonObject]:
    return [{"name": name, "value": value}] if value else []


def _time(name: str, at: object) -> list[JsonObject]:
    return [{"name": name, "at": plain(at)}] if at else []


def _yes_no(value: bool | None, yes: str, no: str) -> str:  # noqa: FBT001 - the value that is shown
    return "not said" if value is None else yes if value else no


def _manager(user: User) -> JsonObject | None:
    """Return who the manager is; one whom the copy does not know has no `id`."""
    manager = user.manager
    if manager is None:
        return None
    name = manager.name or manager.username or manager.email or manager.id or manager.reference
    return {"name": name, **({"id": manager.id} if manager.id else {})}


def _group(group: GroupMembership, how: str, through: tuple[Named, ...]) -> JsonObject:
    by = {"direct": "directly", "dynamic": "by the group's filter"}.get(how, "nested")
    below = f", through {_names(through)}" if through else ""
    return {"name": group.name or group.id, "how": by + below}


def _groups_note(known: KnownPerson, *, lacks: bool) -> str | None:
    if known.gone_at:
        return "Of somebody who is gone, no memberships are kept."
    if known.groups is None:
        return "The copy does not hold groups, or not all of them: whether they are in any is not known here."
    if not known.groups:
        return "In no group, as far as the copy knows." if lacks else "In no group."
    return None


def _role(role: RoleAssignment) -> JsonObject:
    over = f" over the {role.scope.type} {role.scope.name or role.scope.id}" if role.scope else ""
    return {"name": f"{role.name or role.id}{over}"}


def _roles_note(known: KnownPerson) -> str | None:
    if known.gone_at:
        return "Of somebody who is gone, no roles are kept."
    if known.user.roles is None:
        return "Roles are not in the copy, so whether they have any is not known here."
    return None if known.user.roles else "None."


def _names(several: Iterable[Named]) -> str:
    return ", ".join(one.name or one.id for one in several)


def _joined(*texts: str | None) -> str | None:
    return ", ".join(filter(None, texts)) or None


def _short(text: str | None, most: int = _LONGEST) -> str | None:
    return text if text is None or len(text) <= most else f"{text[: most - 1]}…"
