"""Audit events of PingOne, and what they leave of a user who was deleted."""

from __future__ import annotations

from collections.abc import Mapping

from pingone_mcp.directory.models import Event, JsonObject, Named, StatusSource, User
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone.wire.lenient import EMPTY, UNREADABLE, as_text, identity, inner, leniently, text, time


def event(raw: JsonObject) -> Event:
    """Return an audit event about its first user; one that names no user has no subject.

    What cannot be read of it is left out. Raises UnexpectedAnswer for one without an id or a time.
    """

    def read(raw: JsonObject) -> Event:
        resources = raw.get("resources")
        named = [one for one in resources if isinstance(one, dict)] if isinstance(resources, list) else []
        subject = next((one for one in named if one.get("type") == "USER"), EMPTY)
        actors = inner(raw, "actors")
        actor = next((one for key in ("user", "client") if isinstance(one := actors.get(key), dict) and one), EMPTY)
        population = subject.get("population")
        at = time(raw, "recordedAt") or time(raw, "createdAt")
        if at is None:
            raise UnexpectedAnswer("PingOne's answer holds an activity without a time.", "Try again.", code=UNREADABLE)
        return Event(
            id=identity(raw, "activity"),
            at=at,
            action=text(inner(raw, "action"), "type") or "",
            actor=as_text(actor.get("name")) or as_text(actor.get("id")),
            subject_id=as_text(subject.get("id")),
            subject_name=as_text(subject.get("name")),
            subject_workspace_id=as_text(population.get("id")) if isinstance(population, dict) else None,
            summary=text(inner(raw, "result"), "description") or "",
        )

    return leniently(raw, read)[0]


def removed_user(
    removal: Event, environment: str, *, environments: Mapping[str, str | None], populations: Mapping[str, str | None]
) -> User:
    """Return what is still known of a deleted user: id, username and where it was."""
    place = removal.subject_workspace_id
    return User(
        id=removal.subject_id or "",
        username=removal.subject_name,
        status="deleted",
        status_reasons=("removed",),
        status_source=StatusSource(),
        organizations=(Named(id=environment, name=environments.get(environment)),),
        workspaces=(Named(id=place, name=populations.get(place)),) if place else (),
    )
