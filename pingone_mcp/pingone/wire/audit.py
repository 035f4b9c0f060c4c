"""Audit events of PingOne as lines of the audit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pingone_mcp.directory.models import AuditActor, AuditEntry, JsonObject, Named
from pingone_mcp.directory.text.json_text import shallow
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone.wire.lenient import EMPTY, UNREADABLE, as_text, identity, inner, leniently, text, time

_OF_USERS: Mapping[str, str] = MappingProxyType(
    {"USER.CREATED": "user_created", "USER.UPDATED": "user_updated", "USER.DELETED": "user_deleted"}
)
_ENDINGS: Mapping[str, str] = MappingProxyType({"CREATED": "create", "UPDATED": "updated", "DELETED": "destroy"})


def action_of(event: str) -> str:
    """Return what PingOne's action type means in words that all directories share; itself where none of them fits."""
    return _OF_USERS.get(event) or _ENDINGS.get(event.rpartition(".")[2], event)


def event_of(action: str) -> str | None:
    """Return the only action type that has this meaning; None where several may have it."""
    if action in _ENDINGS.values():
        return None
    return next((event for event, word in _OF_USERS.items() if word == action), action)


def audit_entry(raw: JsonObject, environment: Named, *, remote_data: bool = False) -> AuditEntry:
    """Return an audit event; what cannot be read of it is left out.

    Raises UnexpectedAnswer for one without an id or a time.
    """

    def read(raw: JsonObject) -> AuditEntry:
        resources = raw.get("resources")
        named = [one for one in resources if isinstance(one, dict)] if isinstance(resources, list) else []
        subject = named[0] if named else EMPTY
        population = subject.get("population")
        place = as_text(population.get("id")) if isinstance(population, dict) else None
        at = time(raw, "recordedAt") or time(raw, "createdAt")
        if at is None:
            raise UnexpectedAnswer("PingOne's answer holds an activity without a time.", "Try again.", code=UNREADABLE)
        event, result, source = text(inner(raw, "action"), "type") or "", inner(raw, "result"), inner(raw, "source")
        return AuditEntry(
            id=identity(raw, "activity"),
            created_at=at,
            action=action_of(event),
            event=event,
            actor=_actor(inner(raw, "actors")),
            organization=environment,
            workspace=Named(id=place) if place else None,
            entity=as_text(subject.get("id")),
            entity_type=as_text(subject.get("type")),
            entity_name=as_text(subject.get("name")),
            outcome=text(result, "status"),
            description=text(result, "description"),
            ip_address=text(source, "ipAddress"),
            user_agent=text(source, "userAgent"),
            remote_data=shallow(raw) if remote_data else None,
        )

    return leniently(raw, read)[0]


def _actor(actors: JsonObject) -> AuditActor:
    for key, kind in (("user", "user"), ("client", "system")):
        actor = actors.get(key)
        if isinstance(actor, dict) and actor:
            name, identity_ = as_text(actor.get("name")), as_text(actor.get("id"))
            return AuditActor(type="user" if kind == "user" else "system", id=identity_, name=name)
    return AuditActor(type="anonymous")
