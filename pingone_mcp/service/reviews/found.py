"""What checks found as pages show it: bounded, so that it can be kept, with counts of all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.replica.state import State
from pingone_mcp.reports.drift import KINDS, Drift
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.reports.rules_review import RulesReview
from pingone_mcp.reports.since_last import Changes
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.rosters import Accounts
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.drift import DriftQuestion, check_drift
from pingone_mcp.service.reviews.roles import review_roles
from pingone_mcp.tasks import in_thread

KEPT_FINDINGS = 500
"""Findings of each kind that pages show; files have all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFound:
    """What a check found, with the first findings of each kind, and what is new since the last one that was kept.

    `roster_at` is when the list was written (None: not known).
    """

    drift: Drift
    news: Changes | None
    state: State
    roster_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFound:
    """A review of role rules, at what time, of which state of the copy."""

    review: RulesReview
    checked_at: datetime
    state: State


async def look_at_drift(backend: Backend, accounts: Accounts, *, progress: JobProgress | None = None) -> DriftFound:
    """Check a roster for who looks at it: nothing is remembered. Raises as `check_drift` does."""
    unkept = dataclasses.replace(accounts, memory=None)
    check = await check_drift(backend, unkept, DriftQuestion(), progress=progress)
    news = await in_thread(backend.rosters.news, accounts, check.found, pool="copy")
    first = tuple(finding for kind in KINDS for finding in check.found.of(kind)[:KEPT_FINDINGS])
    return DriftFound(
        drift=dataclasses.replace(check.found, findings=first),
        news=None if news is None else dataclasses.replace(news, new=(), resolved=()),
        state=check.state,
        roster_at=accounts.at,
    )


async def look_at_rules(backend: Backend, rules: Rules, *, progress: JobProgress | None = None) -> RulesFound:
    """Review rules for who looks at it. Raises as `review_roles` does."""
    now = backend.replica.now()
    review, state = await review_roles(backend, rules, progress=progress)
    return RulesFound(review=review, checked_at=now, state=state)
