"""Who cannot sign in any more, out of the local copy: since when and by whom, where a sync saw it happen."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pingone_mcp.directory.coverage import REASONS, Coverage, DeactivatedPage, Reason, by_reason, in_order
from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import Deactivated
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import DeactivatedQuestion
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.asking.conditions import EVERYBODY, Condition, both, negated
from pingone_mcp.replica.asking.pages import TablePart, read_page
from pingone_mcp.replica.asking.snapshot import Since, Snapshot
from pingone_mcp.replica.asking.users import EXISTS, listed
from pingone_mcp.replica.store.schema import REMOVED, USER

_KINDS: dict[Reason, str] = {"disabled": "user.deactivated", "locked": "user.locked", "removed": "user.removed"}
_LATEST = "FROM changes_ c WHERE c.user_id = u.id AND c.kind = ? ORDER BY c.at DESC, c.id DESC LIMIT 1"


def deactivated_page(
    copy: Snapshot, question: DeactivatedQuestion, at: Position | None, page_size: int | None, now: datetime
) -> DeactivatedPage:
    """Return a page of users, one reason after the other. Raises Refused, and NotHeld."""

    def rows(part: TablePart, found: list[tuple[Any, ...]]) -> Sequence[Deactivated]:
        return [_deactivated(copy, part.label, removed_at, row) for _, removed_at, *row in found]

    page = read_page(
        copy,
        deactivated_parts(copy, question),
        f"u.removed_at, {USER}",
        rows,
        at=at,
        page_size=page_size,
        environment=question.environment,
    )
    return DeactivatedPage.of(page, _coverage(question, page.gaps, copy.since, now))


def deactivated_parts(copy: Snapshot, question: DeactivatedQuestion) -> list[TablePart]:
    """Return where the users asked for are found. Raises Refused and NotHeld."""
    places = copy.places
    return by_reason(
        TablePart(
            key=f"{reason} {home.environment}",
            label=reason,
            where=both(places.inside(home), _is(reason, question, copy.since)),
        )
        for home in places.homes(places.environments(question.environment), question.population)
        for reason in in_order(question.reasons)
    )


def _is(reason: str, question: DeactivatedQuestion, known: Since) -> Condition:
    """Return that a user belongs under a reason; who is both disabled and locked comes once."""
    # Said besides, because an index has only those.
    with_reason = Condition("u.status_reasons <> ''")
    if reason == "removed":
        removed = both(with_reason, Condition(REMOVED))
        since = question.since
        return removed if since is None else both(removed, Condition("u.removed_at >= ?", (timestamp(since),)))
    disabled = both(with_reason, EXISTS, Condition("u.enabled = 0"), _happened("disabled", question.since, known))
    if reason == "disabled":
        return disabled
    locked = Condition("(',' || u.status_reasons || ',') LIKE '%,locked,%'")
    once = negated(disabled) if "disabled" in question.reasons else EVERYBODY
    return both(with_reason, EXISTS, locked, _happened("locked", question.since, known), once)


def _happened(reason: Reason, since: datetime | None, known: Since) -> Condition:
    """Return that it happened since a time, as a sync saw it, or as PingOne says of a lock.

    Of what happened before the copy began to watch, only the user's last change is known; live answers go by it too.
    From then on, whom no sync saw being deactivated was that from the first.
    """
    if since is None:
        return EVERYBODY
    by_lock = "u.locked_at >= ?, " if reason == "locked" else ""
    else_by = "u.created_at" if since >= known.watched else "u.updated_at"
    at = timestamp(since)
    return Condition(
        f"coalesce({by_lock}(SELECT c.at {_LATEST}) >= ?, {else_by} >= ?)",
        (*([at] if by_lock else []), _KINDS[reason], at, at),
    )


def _deactivated(copy: Snapshot, label: str, removed_at: str | None, row: Sequence[Any]) -> Deactivated:
    user = listed(copy, row, removed=removed_at is not None)
    reason = next(reason for reason in REASONS if reason == label)
    seen, actor = _seen(copy.database, row[0], reason)
    at = removed_at if reason == "removed" else seen
    locked_at = user.locked_at if user.status_reasons == ("locked",) else None
    return Deactivated(user=user, at=locked_at or (datetime.fromisoformat(at) if at is not None else None), by=actor)


def _seen(database: sqlite3.Connection, identity: str, reason: Reason) -> tuple[str | None, str | None]:
    """Return when a sync saw it happen, and by whom it was done where an event said so."""
    row: tuple[str | None, str | None] | None = database.execute(
        "SELECT c.at, c.actor FROM changes_ c WHERE c.user_id = ? AND c.kind = ? ORDER BY c.at DESC, c.id DESC LIMIT 1",
        (identity, _KINDS[reason]),
    ).fetchone()
    return row or (None, None)


def _coverage(
    question: DeactivatedQuestion, gaps: Sequence[Gap], known: Since, now: datetime
) -> dict[Reason, Coverage]:
    """Return how each reason is covered when the whole list is read."""
    missing = [gap.note() for gap in gaps]
    how = f"from the local copy, {_ago(known.synced, now)} old"
    coverage: dict[Reason, Coverage] = {}
    for reason in in_order(question.reasons):
        notes = [*missing, *_doubts(reason, question.since, known)]
        coverage[reason] = Coverage(how=how, complete=not notes, note=" ".join(notes) or None)
    return coverage


def _doubts(reason: Reason, since: datetime | None, known: Since) -> list[str]:
    """Return why users of a reason may be missing from the copy, or be in the answer without belonging there."""
    began = timestamp(known.watched)
    full = timestamp(known.full)
    doubts: list[str] = []
    if reason == "removed":
        if since is None or since < known.audited_since:
            doubts.append(
                f"Who was removed before {timestamp(known.audited_since)} is not in the copy: PingOne's audit did not reach back so far."
            )
        if not known.audited and known.full < known.synced:
            doubts.append(f"The audit could not be read, so removals since the last full sync ({full}) are not seen.")
        return doubts
    if since is not None and since < known.watched:
        doubts.append(
            f"Changes are known since {began}, when the copy began; of earlier ones what PingOne's audit still told since "
            f"{timestamp(known.audited_since)}. All others are found by their last change, and may have been deactivated before "
            "`since`."
        )
    if reason == "locked" and known.full < known.synced:
        doubts.append(
            f"Locks by failed sign-ons may raise no event; those since the last full sync ({full}) may be missing."
        )
    return doubts


def _ago(then: datetime, now: datetime) -> str:
    """Return a time that has passed, in one unit, rounded up: never younger than it is."""
    minutes = max(1, -int(-(now - then).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    hours = -(-minutes // 60)
    return f"{hours} hours" if hours < 48 else f"{-(-hours // 24)} days"
