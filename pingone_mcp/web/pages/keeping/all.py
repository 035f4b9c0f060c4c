"""All pages here, put together over the use cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.web.pages.keeping.attention import AttentionPages
from pingone_mcp.web.pages.keeping.events import TargetForms
from pingone_mcp.web.pages.keeping.hooks import HookPages
from pingone_mcp.web.pages.keeping.keys import KeyPages
from pingone_mcp.web.pages.keeping.once import OncePages
from pingone_mcp.web.pages.keeping.removals import RemovalPages
from pingone_mcp.web.pages.keeping.rosters import RosterPages
from pingone_mcp.web.pages.keeping.schedules import ScheduleForms
from pingone_mcp.web.pages.keeping.settings import SettingsPage
from pingone_mcp.web.pages.keeping.syncs import SyncForms

if TYPE_CHECKING:
    from pingone_mcp.service.fleet.attention.desk import KeepingDesk
    from pingone_mcp.service.fleet.event_targets import EventTargets
    from pingone_mcp.service.schedules.schedules import CallerSchedules
    from pingone_mcp.web.pages.page import PageForm, SitePage


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingPages:
    """Pages and forms, and what counts and shows what needs a person."""

    attention: AttentionPages
    pages: tuple[SitePage, ...]
    forms: tuple[PageForm, ...]


def keeping_pages(desk: KeepingDesk, targets: EventTargets, schedules: CallerSchedules) -> KeepingPages:
    """Return everything that people keep in order on pages."""
    attention, removals = AttentionPages(desk.attention, targets), RemovalPages(desk.removals, desk.runs)
    syncs, keys, hooks = SyncForms(desk.scopes, desk.intervals, desk.runs), KeyPages(desk.keys), HookPages(desk.hooks)
    rosters, events, by_the_hour = RosterPages(desk.rosters), TargetForms(targets), ScheduleForms(schedules)
    settings = SettingsPage([syncs, hooks, events, keys, rosters, by_the_hour])
    with_pages = (attention, removals, settings, keys, hooks, OncePages())
    with_forms = (attention, removals, syncs, keys, hooks, rosters, events, by_the_hour)
    return KeepingPages(
        attention=attention,
        pages=tuple(page for one in with_pages for page in one.pages()),
        forms=tuple(form for one in with_forms for form in one.forms()),
    )
