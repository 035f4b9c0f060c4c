"""The page of what changed: day by day, the newest first, with a chart of who came, went and was locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pingone_mcp.directory.changes import KINDS, ChangeKind
from pingone_mcp.errors import Refused
from pingone_mcp.service.browsing import words
from pingone_mcp.service.browsing.timeline import DAYS, KINDS_OF, MOVEMENTS, Movement, browse_changes
from pingone_mcp.web.pages.browsing.copied import given, of_copy, part_of, query_of
from pingone_mcp.web.pages.charts import Chart, Series, stacked_bars
from pingone_mcp.web.pages.page import PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from pingone_mcp.directory.changes import Change
    from pingone_mcp.service.browsing.timeline import Day
    from pingone_mcp.web.pages.page import Visit

_USUAL_DAYS = 30
_NAMES: Mapping[Movement, str] = {"joined": "Joined", "left": "Left", "locked": "Locked"}


class ChangesPage:
    """Shows what changed, out of the local copy."""

    def pages(self) -> list[SitePage]:
        return [SitePage(path="/c/{connection}/changes", show=of_copy(self._show))]

    async def _show(self, visit: Visit) -> PageView:
        kind, person, days = given(visit, "kind"), given(visit, "person"), _days(visit)
        cursor = given(visit, "after")
        found = await browse_changes(await visit.backend(), kinds=_kinds(kind), user=person, days=days, cursor=cursor)
        asked = {"kind": kind, "person": person, "days": days}
        timeline = found.found
        part = part_of(visit)
        values: dict[str, object] = {
            "here": path_in(visit.connection.id, "changes"),
            "people": path_in(visit.connection.id, "people"),
            "groups": path_in(visit.connection.id, "groups"),
            "live": path_in(visit.connection.id, "live"),
            "asked": asked,
            "kinds": [(one, words.KIND_WORDS[one]) for one in KINDS],
            "movements": list(_NAMES.items()),
            "moved": _moved(timeline.days, days),
            "spans": DAYS,
            "total": timeline.total,
            "known_since": timeline.known_since,
            "audited_since": timeline.audited_since,
            "days": _by_day(timeline.changes),
            "chart": _chart(timeline.days) if cursor is None and part in (None, "results") else None,
            "is_further": cursor is not None,
            "query": query_of(asked),
            "more": None if found.next_cursor is None else query_of(asked, after=found.next_cursor),
            "copy": words.copy_note(found.copy),
            "words": words,
        }
        return PageView(
            template="browsing/changes.html", values=values, part=part if part in ("results", "rows", "copy") else None
        )


def _kinds(asked: str | None) -> tuple[ChangeKind, ...]:
    """Return the kinds that are asked for: one, all by which somebody joins or leaves, or all there are (empty)."""
    if asked is None:
        return ()
    for movement in MOVEMENTS:
        if asked == movement:
            return KINDS_OF[movement]
    for known in KINDS:
        if asked == known:
            return (known,)
    raise Refused("There is no such kind of change.", "Choose one of the list.", code="NO_SUCH_KIND")


def _moved(days: Sequence[Day], span: int) -> list[tuple[str, str]]:
    """Return how many joined, left and were locked, as a person says it, each with the query that shows them."""
    return [
        (f"{sum(day.counts[name] for day in days):,} {_NAMES[name].lower()}", query_of({"kind": name, "days": span}))
        for name in MOVEMENTS
    ]


def _days(visit: Visit) -> int:
    text = given(visit, "days")
    if text is None:
        return _USUAL_DAYS
    if text.isascii() and text.isdigit() and len(text) <= 3:
        return int(text)
    raise Refused("That is no number of days.", "Choose one of the list.", code="DAYS")


def _by_day(changes: Sequence[Change]) -> list[tuple[str, list[Change]]]:
    """Return changes under the days (of UTC) on which they happened."""
    days = groupby(changes, key=lambda one: one.at.date())
    return [(f"{day:%A}, {day.day} {day:%B %Y}", list(some)) for day, some in days]


def _chart(days: Sequence[Day]) -> Chart:
    """Draw who came, went, and was locked; the numbers of the whole span stand in its description."""
    totals = {name: sum(day.counts[name] for day in days) for name in MOVEMENTS}
    said = ", ".join(f"{totals[name]:,} {name}" for name in MOVEMENTS)
    return stacked_bars(
        title=f"Who joined, left and was locked in {len(days)} days",
        description=f"A bar for each day (UTC). In all: {said}. The table below has the numbers.",
        what="Day",
        labels=[day.day.isoformat() for day in days],
        series=[Series(name=_NAMES[name], values=[day.counts[name] for day in days]) for name in MOVEMENTS],
    )
