"""All groups of figures, by the names that `python -m benchmarks` knows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.copy import answers, effort, exports, growth, memory, pace, reviews
from benchmarks.events import lateness
from benchmarks.fleet import crowded, live_list
from benchmarks.pages import conversion, requests
from benchmarks.server import attacks, crowd, meanwhile, over_http, pages, question, sizes, startup
from benchmarks.table.group import Group
from benchmarks.walks import curves, floor, limit, walk

GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        "startup": Group(title="Start-up", measure=startup.measured),
        "sizes": Group(title="Size of an answer", measure=sizes.measured),
        "conversion": Group(title="Reading a page, processor time", measure=conversion.measured),
        "requests": Group(title="One request", measure=requests.measured),
        "question": Group(title="One question", measure=question.measured),
        "over_http": Group(title="One question over HTTP", measure=over_http.measured),
        "rest": Group(title="One list over REST", measure=live_list.measured),
        "fleet": Group(title="Many connections in one process", measure=crowded.measured),
        "events": Group(title="From a change in PingOne to the event at a program", measure=lateness.measured),
        "pages": Group(title="Pages in a browser", measure=pages.measured),
        "crowd": Group(title="Many questions at once", measure=crowd.measured),
        "meanwhile": Group(title="Questions during a walk", measure=meanwhile.measured),
        "walk": Group(title="Whole walk", measure=walk.measured),
        "limit": Group(title=f"Whole walk under a limit of {limit.LIMIT:g} requests/s", measure=limit.measured),
        "floor": Group(title="Whole walk against the least possible", measure=floor.measured),
        "curves": Group(title="Growth of a walk, 20 ms per answer", measure=curves.measured),
        "effort": Group(title="Syncing the local copy, processor time", measure=effort.measured),
        "pace": Group(title="Syncing the local copy, from end to end", measure=pace.measured),
        "memory": Group(title="Memory", measure=memory.measured),
        "answers": Group(title="Asking the local copy", measure=answers.measured),
        "exports": Group(title="Writing everybody into a file", measure=exports.measured),
        "reviews": Group(title="Reviewing everybody", measure=reviews.measured),
        "attacks": Group(title="Under attack", measure=attacks.measured),
        "growth": Group(title="Growth of the local copy", measure=growth.measured, long=True),
    }
)
USUAL = tuple(name for name, group in GROUPS.items() if not group.long)
