"""What of that which is known needs a person: decisions over facts by a given time, without reading anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pingone_mcp.advice import setting
from pingone_mcp.directory.gaps import (
    Gap,
    HeldSync,
    PopulationNotCopied,
    UnprovenRemovals,
    UnreadableEnvironment,
    Unrefreshed,
    gone_at_once,
)
from pingone_mcp.directory.text.harmless import candidate, harmless
from pingone_mcp.service.fleet.attention.matters import Matter, NamedConnection
from pingone_mcp.service.fleet.syncs import minutes_of

if TYPE_CHECKING:
    from pingone_mcp.control.api_keys import ApiKey
    from pingone_mcp.control.inbox import InboxState
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.outbox import FailingSince
    from pingone_mcp.control.receiving.hook_secrets import RefusedDeliveries
    from pingone_mcp.control.sync_runs import RunRecord
    from pingone_mcp.control.watching.schedules import ScheduleRecord
    from pingone_mcp.control.webhooks import Webhook
    from pingone_mcp.service.rosters.keeping import KeptRoster

LATE_AFTER = timedelta(hours=1)
"""A copy that is so old, and three intervals too, was not brought up to date as it should be."""
WAITS_LONG = timedelta(hours=1)
SILENT_AFTER = timedelta(hours=24)
"""A hook that has heard nothing for so long is silent, where syncs have found changes since."""
LATELY = timedelta(days=1)
FAILS_LONG = timedelta(minutes=10)
ENDS_SOON = timedelta(days=14)
ENDED_LATELY = timedelta(days=7)
_LATE_INTERVALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFacts:
    """How a local copy stands: what it is of, what it lacks, why the last sync came to nothing.

    `names` are those of its environments, by id. `changed_at` is when the newest change was, `held_since` when a sync
    was held first, since one was not.
    """

    synced_at: datetime
    gaps: tuple[Gap, ...] = ()
    names: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    problem: str | None = None
    changed_at: datetime | None = None
    held_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFacts:
    """What is known of a hook: what lies in its inbox, when the last event came, and which deliveries were refused."""

    inbox: InboxState
    last_received_at: datetime | None = None
    refused: RefusedDeliveries | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """What is known of a connection; None and empty where nobody looked, or the caller may not know.

    `damage` says that the copy is damaged, and `unknown` what it was that could not be found out, and why: a sentence
    for each. `held` is the last sync where it is held, for whoever does not look into the copy.
    """

    linked: LinkedConnection
    copy: CopyFacts | None = None
    damage: str | None = None
    unknown: Sequence[str] = ()
    held: RunRecord | None = None
    hook: HookFacts | None = None
    schedules: Sequence[ScheduleRecord] = ()
    rosters: Sequence[KeptRoster] = ()


def matters_of_connection(facts: ConnectionFacts, now: datetime) -> list[Matter]:
    """Return what needs a person of one connection; nothing of one that a person has paused."""
    linked = facts.linked
    if linked.is_paused:
        return []
    of = NamedConnection(id=linked.id, name=linked.name)
    found = [*_of_credentials(linked, of)]
    works = not found
    found += [Matter(kind="unknown", act="look", what=what, of=of) for what in facts.unknown]
    if facts.damage is not None:
        what = f"{facts.damage} Until it is made anew, nothing of it is shown. A sync does that, and reads everything."
        found.append(Matter(kind="copy_damaged", act="sync", what=what, of=of))
    elif facts.copy is not None:
        found += _of_copy(facts.copy, of)
    elif facts.held is not None:
        what = f"The last sync is held: nothing of it was taken over. {facts.held.reason or ''}".rstrip()
        found.append(Matter(kind="removals", act="decide", what=what, since=facts.held.ended_at, of=of))
    is_held = facts.held is not None if facts.copy is None else _is_held(facts.copy)
    if works and not is_held and facts.damage is None:  # else it is old for that reason, and what settles that helps
        found += _of_age(linked, facts.copy, of, now)
    if facts.hook is not None:
        found += _of_hook(facts.hook, facts.copy, of, now)
    found += _of_rosters(facts.rosters, of)
    found += _of_schedules(facts.schedules, of)
    return found


def matters_of_webhooks(
    webhooks: Iterable[Webhook], failing: Mapping[str, FailingSince], given_up: Mapping[str, int], now: datetime
) -> list[Matter]:
    """Return which webhooks need a person; one that a person has switched off needs none.

    `given_up` counts the events of each that were.
    """
    found: list[Matter] = []
    for one in webhooks:
        host, late = urlsplit(one.target_url).netloc, failing.get(one.id)
        if not one.is_active:
            if one.reason:
                what = f"The webhook to {host} is switched off, so your program hears of nothing. {one.reason}"
                found.append(
                    Matter(kind="webhook_off", act="switch_on", what=what, since=one.updated_at, subject=one.id)
                )
            continue
        if late is not None and now - late.since >= FAILS_LONG:
            what = f"Events do not arrive at {host}. {late.error or ''}".rstrip()
            what += " They are tried again, and the webhook is switched off after 24 hours."
            found.append(Matter(kind="webhook_failing", act="try_again", what=what, since=late.since, subject=one.id))
        if count := given_up.get(one.id):
            what = f"Events for {host} that were given up while it did not answer: {count:,}. They can be sent again."
            found.append(Matter(kind="webhook_lost", act="resend", what=what, subject=one.id))
    return found


def matter_of_key(key: ApiKey, of: NamedConnection | None, now: datetime) -> Matter | None:
    """Return that a key ends soon, or has ended lately; None for any other, and one that was revoked."""
    ends = key.expires_at
    if key.revoked_at is not None or ends is None or not now - ENDED_LATELY <= ends <= now + ENDS_SOON:
        return None
    helps = "Make another one, give it to whoever uses this, and revoke this one then."
    if ends <= now:
        what = f"The key {_quoted(key.name)} has ended: who uses it is refused. {helps}"
        return Matter(kind="key", act="renew", what=what, since=ends, subject=key.id, of=of)
    what = f"The key {_quoted(key.name)} ends soon. {helps}"
    return Matter(kind="key", act="renew", what=what, until=ends, subject=key.id, of=of)


def _of_credentials(linked: LinkedConnection, of: NamedConnection) -> Iterator[Matter]:
    if linked.status in ("active", "connecting"):
        return
    read = "Its directory was not read since" if linked.last_sync_at is not None else "It was never read"
    lacks = "work, and lack a right" if linked.status == "validation_error" else "do not work any more"
    what = f"Its credentials {lacks}. {linked.reason or ''}".rstrip()
    yield Matter(kind="credentials", act="reconnect", what=f"{what} {read}.", since=linked.last_sync_at, of=of)


def _of_copy(copy: CopyFacts, of: NamedConnection) -> Iterator[Matter]:
    held = next((gap for gap in copy.gaps if isinstance(gap, HeldSync)), None)
    few = sum(gap.count for gap in copy.gaps if isinstance(gap, UnprovenRemovals))
    if held is not None:
        whole = [one for one in held.missing if one[-1] is None] or held.missing  # else populations count them again
        missing = "; ".join(gone_at_once(*one) for one in whole)
        what = (
            f"Cannot be found any more, and nothing proves that they were removed: {missing}. All is shown as it was, and "
            "nothing new is taken over, until you say what is so or they are found again."
        )
        yield Matter(
            kind="removals", act="decide", what=what, since=copy.held_since or datetime.fromisoformat(held.at), of=of
        )
    elif few:
        who = "1 user" if few == 1 else f"{few:,} users"
        what = f"{who} could not be found, and nothing proves a removal; they are shown as they were."
        yield Matter(kind="removals", act="decide", what=what, of=of)
    for gap in copy.gaps:
        match gap:
            case UnreadableEnvironment():
                what, since = (
                    f"The environment {_place(copy, gap.place)} may not be read, and is not in the copy.",
                    None,
                )
            case Unrefreshed():
                what = f"The environment {_place(copy, gap.place)} could not be read again, and is shown as it was."
                since = datetime.fromisoformat(gap.read_at)
            case PopulationNotCopied():
                what, since = f"No environment that is served has the population {gap.population}.", None
            case _:
                continue
        helps = "Give the worker application a role over it in PingOne, or choose what is served anew."
        yield Matter(kind="place", act="choose", what=f"{what} {helps}", since=since, of=of)


def _of_age(linked: LinkedConnection, copy: CopyFacts | None, of: NamedConnection, now: datetime) -> Iterator[Matter]:
    late = max(LATE_AFTER, _LATE_INTERVALS * timedelta(minutes=minutes_of(linked)))
    read = [at for at in (linked.last_sync_at, None if copy is None else copy.synced_at) if at is not None]
    if now - max(read, default=linked.created_at) <= late:
        return
    why = f" {copy.problem}" if copy is not None and copy.problem else ""
    said = "The local copy was not brought up to date since" if read else "The directory was not read yet"
    yield Matter(kind="stale", act="sync", what=f"{said}.{why}", since=max(read, default=None), of=of)


def _of_hook(hook: HookFacts, copy: CopyFacts | None, of: NamedConnection, now: datetime) -> Iterator[Matter]:
    inbox, refused, synced_at = hook.inbox, hook.refused, None if copy is None else copy.synced_at
    if refused is not None and now - refused.last < LATELY:
        yield Matter(
            kind="hook_secret",
            act="hook",
            what=f"{refused.count:,} deliveries of events were refused: they showed another secret than that of the hook. "
            "Enter the header anew at PingOne.",
            since=refused.since,
            of=of,
        )
    if inbox.unreadable_at is not None and now - inbox.unreadable_at < LATELY:
        yield Matter(
            kind="hook_format",
            act="hook",
            what=f"{inbox.unreadable:,} deliveries to the hook could not be read. Its format at PingOne must be the Ping "
            "Activity Format.",
            since=inbox.unreadable_at,
            of=of,
        )
    if inbox.set_aside_at is not None and (synced_at is None or synced_at < inbox.set_aside_at):
        yield Matter(
            kind="hook_aside",
            act="sync",
            what=f"{inbox.set_aside:,} events could not be worked on, and were set aside. A sync finds out what they were "
            "about.",
            since=inbox.set_aside_at,
            of=of,
        )
    if inbox.waiting_since is not None and now - inbox.waiting_since >= WAITS_LONG:
        yield Matter(
            kind="hook_waits",
            act="sync",
            what=f"{inbox.waiting:,} events have come and wait for long: what they are about could not be read again.",
            since=inbox.waiting_since,
            of=of,
        )
    last, changed = hook.last_received_at, None if copy is None else copy.changed_at
    if last is not None and changed is not None and now - last >= SILENT_AFTER and changed - last >= WAITS_LONG:
        yield Matter(
            kind="hook_silent",
            act="hook",
            what=f"No event has come from PingOne since, although syncs have found changes. See at PingOne whether the "
            f"webhook is still on, and leads to the public address of this server ({setting('public_url')}).",
            since=last,
            of=of,
        )


def _of_rosters(rosters: Iterable[KeptRoster], of: NamedConnection) -> Iterator[Matter]:
    for one in rosters:
        if one.source == "scim" and one.reason:
            what = f"The roster {_quoted(one.name)} could not be read from its application. {one.reason}"
            yield Matter(kind="roster", act="pull", what=what, since=one.tried_at, subject=one.name, of=of)


def _of_schedules(schedules: Iterable[ScheduleRecord], of: NamedConnection) -> Iterator[Matter]:
    for one in schedules:
        if one.is_active and one.outcome == "failed":
            name = one.kind.replace("_", " ")
            what = f"What is done by the hour failed the last time ({name}). {one.summary or ''}".rstrip()
            yield Matter(kind="schedule", act="run", what=what, since=one.ran_at, subject=one.id, of=of)


def _is_held(copy: CopyFacts) -> bool:
    return any(isinstance(gap, HeldSync) for gap in copy.gaps)


def _place(copy: CopyFacts, place: str | None) -> str:
    return candidate(place or "", copy.names.get(place or ""))


def _quoted(name: str) -> str:
    """Name a thing that a person has named, as data on one line."""
    return f"\u201c{' '.join(harmless(name).split())}\u201d"
