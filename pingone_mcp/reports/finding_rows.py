"""What was found by a check as flat rows, for a table: the same in a file, on a page and in a ticket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, get_args

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.reports.drift import Finding, Kind
from pingone_mcp.reports.matching import Account, Person
from pingone_mcp.reports.rules_review import RuleAt, RulesReview

RulesKind = Literal["offenders", "unknown_groups", "ambiguous_groups", "idle", "expired", "unmapped_groups"]
RULES_KINDS: tuple[RulesKind, ...] = get_args(RulesKind)

_PERSON = ("person_id", "username", "email", "name", "status", "status_reasons")
DRIFT_COLUMNS: tuple[str, ...] = (
    *("kind", "line", "app_email", "app_username", "app_external_id", "app_name", "app_active"),
    *(
        *_PERSON,
        "matched_on",
        "attribute",
        "app_value",
        "directory_value",
        "candidates",
        "candidate_count",
        "also_lines",
    ),
)
"""The columns of drift: `line` is that of the roster, what begins with `app_` stands there."""
RULES_COLUMNS: tuple[str, ...] = (
    "kind",
    "rule",
    "line",
    "role",
    "group",
    "groups",
    "group_id",
    *_PERSON,
    "roles",
    "note",
)
"""The columns of a review of role rules: `line` is that of the file of rules."""

DRIFT_MEANS: Mapping[Kind, str] = MappingProxyType(
    {
        "missing": "accounts without a user in the directory",
        "status_mismatches": "accounts that are active, of users who are not",
        "ambiguous": "accounts that fit several users, or share one",
        "attribute_mismatches": "accounts that say something else than the directory",
        "unexpected": "active users without an account",
        "unidentified": "accounts without email, username and external id",
    }
)
RULES_MEANS: Mapping[str, str] = MappingProxyType(
    {
        "unknown_groups": "rules whose group is not in the directory",
        "ambiguous_groups": "rules that name a group by a name that several have",
        "idle": "rules in force that give nobody anything",
        "expired": "rules that give nothing any more",
        "offenders": "users with roles that exclude each other",
        "unmapped_groups": "groups that no rule in force names",
    }
)


def drift_rows(findings: Iterable[Finding]) -> Iterator[JsonObject]:
    """Give a row for each finding; one for each attribute that differs."""
    for finding in findings:
        row: JsonObject = {"kind": finding.kind, **_of_account(finding.account), **_of_person(finding.person)}
        if finding.candidates:
            row["candidates"] = [one.username or one.email or one.id for one in finding.candidates]
            row["candidate_count"] = finding.candidate_count
        if finding.also:
            row["also_lines"] = list(finding.also)
        if not finding.differences:
            yield row
        for difference in finding.differences:
            differs = {"app_value": difference.app, "directory_value": difference.directory}
            yield {**row, "attribute": difference.attribute, **differs}


def drift_row_count(findings: Iterable[Finding]) -> int:
    """Count the rows of findings."""
    return sum(len(finding.differences) or 1 for finding in findings)


def rules_rows(review: RulesReview, kind: RulesKind) -> Iterator[JsonObject]:
    """Give a row for each finding of a kind; one for each conflict that somebody has."""
    match kind:
        case "offenders":
            for offender in review.offenders:
                for conflict in offender.conflicts:
                    about = {"line": conflict.line, "roles": list(conflict.roles), "note": conflict.note}
                    yield {"kind": kind, **_of_person(offender.person), **about}
        case "unmapped_groups":
            for group in review.unmapped_groups:
                yield {"kind": kind, "group": group.name or group.id, "group_id": group.id}
        case _:
            rules: tuple[RuleAt, ...] = getattr(review, kind)
            for one in rules:
                about = {"groups": [f"{group.name or ''} ({group.id})".lstrip() for group in one.groups]}
                yield {"kind": kind, "rule": one.rule, "line": one.line, "role": one.role, "group": one.group, **about}


def rules_row_count(review: RulesReview, kind: RulesKind) -> int:
    """Count the rows of a kind of finding."""
    if kind == "offenders":
        return sum(len(offender.conflicts) for offender in review.offenders)
    found: tuple[object, ...] = getattr(review, kind)
    return len(found)


def _of_account(account: Account | None) -> JsonObject:
    if account is None:
        return {}
    return {
        "line": account.line,
        "app_email": account.email,
        "app_username": account.username,
        "app_external_id": account.external_id,
        "app_name": account.name,
        "app_active": None if account.active is None else "yes" if account.active else "no",
    }


def _of_person(person: Person | None) -> JsonObject:
    if person is None:
        return {}
    return {
        "person_id": person.id,
        "username": person.username,
        "email": person.email,
        "name": person.name,
        "status": person.status,
        "status_reasons": list(person.status_reasons),
        "matched_on": list(person.matched_on),
    }
