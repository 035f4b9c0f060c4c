"""The drift of every roster and what is odd about role rules, as sections of the file of an access review."""

from __future__ import annotations

from hashlib import sha256
from itertools import islice

from pingone_mcp.advice import spelled
from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import NoReplica, Problem, Refused
from pingone_mcp.reports.audit.charts import Bar, Figure
from pingone_mcp.reports.audit.sections import FindingsShown, ReviewSection
from pingone_mcp.reports.audit.tickets import finding_line
from pingone_mcp.reports.drift import KINDS
from pingone_mcp.reports.finding_rows import (
    DRIFT_MEANS,
    RULES_KINDS,
    RULES_MEANS,
    drift_row_count,
    drift_rows,
    rules_row_count,
    rules_rows,
)
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.reviews.found import DriftFound, RulesFound, look_at_drift, look_at_rules
from pingone_mcp.service.reviews.rules import read_rules
from pingone_mcp.tasks import in_thread

SHOWN = 100
"""Findings of each kind that the file shows; the counts say the rest."""


async def sections_beside(backend: Backend) -> list[ReviewSection]:
    """Return a section for each roster, and one for the rules; what cannot be compared says why. Raises NoReplica."""
    names = await in_thread(backend.rosters.names, pool="disk")
    sections = [await _of_roster(backend, name) for name in names]
    if not names:
        said = ["There is no roster, so nothing was compared with any application."]
        sections.append(ReviewSection(title="Drift of applications", said=said))
    return [*sections, await _of_rules(backend)]


async def beside(backend: Backend) -> str:
    """Return what is another text when a roster or the rules have changed, so that other sections are to be made."""
    lie = await in_thread(backend.rosters.lie, pool="disk")
    try:
        rules = repr(await read_rules(backend.rules))
    except Refused as lacking:
        rules = lacking.what
    return sha256(f"{lie}\0{rules}".encode(errors="replace")).hexdigest()


async def _of_roster(backend: Backend, name: str) -> ReviewSection:
    title = f"Drift of {harmless(name)}"
    try:
        accounts = await in_thread(backend.rosters.find, name, pool="disk")
        return _drift(title, await look_at_drift(backend, accounts))
    except NoReplica:
        raise
    except Problem as problem:
        return _not_known(title, problem)


def _drift(title: str, found: DriftFound) -> ReviewSection:
    drift, counts = found.drift, found.drift.counts
    said = [f"{counts['entries']:,} accounts, of which {counts['matched']:,} fit a user, of {counts['users']:,} users."]
    if found.roster_at is not None:
        said.append(f"The roster is of {timestamp(found.roster_at)}.")
    if drift.compared_nobody:
        said.append("Nothing was compared: no account has an identity to look for.")
    findings = [
        FindingsShown(
            means=DRIFT_MEANS[kind],
            total=counts[kind],
            lines=[finding_line(row, title, ()) for row in islice(drift_rows(drift.of(kind)), SHOWN)],
            is_whole=len(drift.of(kind)) == counts[kind] and drift_row_count(drift.of(kind)) <= SHOWN,
        )
        for kind in KINDS
        if counts[kind]
    ]
    return ReviewSection(
        title=title,
        said=[*said, *map(harmless, drift.notes)],
        gaps=[harmless(one) for one in sentences(drift.gaps)],
        figures=[Figure("Findings by kind", [Bar(kind.replace("_", " "), counts[kind]) for kind in KINDS])],
        findings=findings,
    )


async def _of_rules(backend: Backend) -> ReviewSection:
    title = "Role rules"
    try:
        rules = await read_rules(backend.rules)
        return _rules(title, await look_at_rules(backend, rules))
    except Refused as lacking:
        if lacking.code == "NO_RULES":
            said = "There are no rules for roles, so whether anybody has conflicting roles is not known."
            return ReviewSection(title=title, said=[said])
        return _not_known(title, lacking)
    except NoReplica as lacking:  # who is in which group was not read
        return _not_known(title, lacking)


def _rules(title: str, found: RulesFound) -> ReviewSection:
    review, counts = found.review, found.review.counts
    findings = [
        FindingsShown(
            means=RULES_MEANS[kind],
            total=counts[kind],
            lines=[finding_line(row, title, ()) for row in islice(rules_rows(review, kind), SHOWN)],
            is_whole=len(getattr(review, kind)) == counts[kind] and rules_row_count(review, kind) <= SHOWN,
        )
        for kind in RULES_KINDS
        if counts[kind]
    ]
    return ReviewSection(
        title=title,
        said=[f"{counts['rules']:,} rules, by which {counts['users_with_roles']:,} people have a role."],
        gaps=[harmless(one) for one in sentences(review.gaps)],
        figures=[Figure("Findings by kind", [Bar(kind.replace("_", " "), counts[kind]) for kind in RULES_KINDS])],
        findings=findings,
    )


def _not_known(title: str, problem: Problem) -> ReviewSection:
    return ReviewSection(
        title=title,
        said=[f"This could not be compared: {spelled(problem.what)} {spelled(problem.next_step or '')}".strip()],
    )
