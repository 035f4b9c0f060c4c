"""What the audit says has happened, and up to where an environment has been read."""

from __future__ import annotations

from datetime import datetime, timedelta

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.syncing.task import ONE_FAILS, EnvironmentSync, why_unread
from pingone_mcp.replica.watermark import EVENTS_OVERLAP, Watermark


async def read_events(here: EnvironmentSync, mark: Watermark | None, began: datetime) -> None:
    """Note what events ask for since the last ones seen, or since a first sync `began`; of one, the past too."""
    since = (datetime.fromisoformat(mark.events) if mark is not None else began) - EVENTS_OVERLAP
    here.task.report("events", 0, None)
    try:
        wanted = await here.source.happened(since, mark.seen if mark is not None else ())
        if mark is None:  # who has got a role, who was deactivated
            past = await here.source.past(began)
            wanted.roles |= past.roles
            here.found.past = past.events
            here.coverage.audited_since = timestamp(past.since)
    except ONE_FAILS as problem:
        here.coverage.events = False
        why = why_unread(problem)
        here.notes.append(f"The audit of {here.id} {why}: between full syncs, removals are not seen.")
        return
    here.found.wanted = wanted


def next_watermark(here: EnvironmentSync, before: Watermark | None, began: datetime, opened: float) -> Watermark:
    """Return up to where an environment has been read, whose reading `began` at the monotonic instant `opened`.

    By all that is known of the provider's time now: behind a watermark in the future nothing would be read any more.
    """
    source, now, happened = here.task.source, here.task.now(), here.found.wanted.seen
    updated = min(began, now - timedelta(seconds=source.clock.monotonic() - opened))
    times = (at for at in happened.values() if at <= timestamp(now))
    last = max([*times, min(before.events if before is not None else timestamp(began), timestamp(updated))])
    edge = timestamp(datetime.fromisoformat(last) - EVENTS_OVERLAP)
    seen = {**(before.seen if before is not None else {}), **happened}
    return Watermark(
        updated=timestamp(updated),
        events=last,
        seen={event: at for event, at in seen.items() if at >= edge},
        ahead=source.ahead(),
    )
