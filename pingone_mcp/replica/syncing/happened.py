"""What the audit says has happened, and up to where an environment has been read."""

from __future__ import annotations

from datetime import datetime, timedelta

from pingone_mcp.ahead import Awaited
from pingone_mcp.directory.rights import AUDIT
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.source import Past
from pingone_mcp.replica.syncing.task import ONE_FAILS, EnvironmentSync, why_unread
from pingone_mcp.replica.watermark import EVENTS_OVERLAP, UPDATES_OVERLAP, Watermark


async def read_events(
    here: EnvironmentSync, mark: Watermark | None, began: datetime, past: Awaited[Past] | None = None
) -> None:
    """Note what events ask for since the last ones seen, or since a first sync `began`; of one, the `past` too."""
    since = (datetime.fromisoformat(mark.events) if mark is not None else began) - EVENTS_OVERLAP
    here.report("events", 0, None)
    try:
        wanted = await here.source.happened(since, mark.seen if mark is not None else ())
        if past is not None:  # who has got a role, who was deactivated
            before = await past.taken()
            wanted.roles |= before.roles
            here.found.past = before.events
            here.coverage.audited_since = timestamp(before.since)
    except ONE_FAILS as problem:
        here.coverage.events = False
        why = why_unread(problem, AUDIT)
        here.notes.append(f"The audit of {here.id} {why}: between full syncs, removals are not seen.")
        return
    here.found.wanted = wanted


def next_watermark(
    here: EnvironmentSync, before: Watermark | None, began: datetime, opened: float, *, events_first: bool
) -> Watermark:
    """Return up to where an environment has been read, whose reading `began` at the monotonic instant `opened`.

    By all that is known of the provider's time now: behind a watermark in the future nothing would be read any more.
    What events ask for is done when they were read first (`events_first`). Else that holds of those only that were
    there before the reading began, by a margin for what the provider shows late: the next sync reads the others again.
    """
    source, now = here.task.source, here.task.now()
    updated = min(began, now - timedelta(seconds=source.clock.monotonic() - opened))
    done_until = timestamp(now if events_first else updated - UPDATES_OVERLAP)
    happened = {event: at for event, at in here.found.wanted.seen.items() if events_first or at <= done_until}
    times = (at for at in happened.values() if at <= done_until)
    last = max([*times, min(before.events if before is not None else timestamp(began), timestamp(updated))])
    edge = timestamp(datetime.fromisoformat(last) - EVENTS_OVERLAP)
    seen = {**(before.seen if before is not None else {}), **happened}
    return Watermark(
        updated=timestamp(updated),
        events=last,
        seen={event: at for event, at in seen.items() if at >= edge},
        ahead=source.ahead(),
    )
