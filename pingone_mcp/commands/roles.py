"""`pingone-mcp roles`: what follows from the written rules for one user, for all, and against an application."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from rich.console import Console
from rich.text import Text

from pingone_mcp.advice import variable
from pingone_mcp.commands.current import copy_of, current_copy
from pingone_mcp.commands.ending import UNCHECKED, WrongUse, asking, verdict
from pingone_mcp.commands.findings import SHOWN, account_name, add_map, person_name, print_kind, print_outcome
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.commands.words import at_minute, chosen, counted
from pingone_mcp.console import console, print_json, print_rows, print_warnings, shown
from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.reports.finding_rows import RULES_MEANS
from pingone_mcp.reports.role_drift import RoleDrift, RoleMismatch
from pingone_mcp.reports.role_rules import Conflict, Rules
from pingone_mcp.reports.roles import Granted
from pingone_mcp.reports.rosters.columns import mapping_of
from pingone_mcp.reports.rules_review import RuleAt, RulesReview
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.files.rosters import Accounts
from pingone_mcp.service.reviews.roles import UserRoles, compare_roles, review_roles, roles_of_user
from pingone_mcp.service.reviews.rules import read_rules

_Row = tuple[str, ...]
COMPARED: Mapping[str, str] = {
    "mismatches": "accounts with other roles than by the rules",
    "unmatched": "accounts with roles, without a user in the directory",
    "ambiguous": "accounts that fit several users, or share one, and were not compared",
    "without_account": "users with roles by the rules, without an account",
    "unruled_roles": "roles of the application that no rule gives",
}


async def roles(
    open_backend: OpenBackend,
    *,
    user: str | None,
    diff: str | None,
    kinds: str | None,
    as_json: bool,
    columns: Sequence[str] = (),
) -> int:
    """Review the rules, or print the roles of one user, or compare with a roster; return 1 where something was found.

    Raises WrongUse for what the command line or the rules say wrongly, and Problem where the directory cannot be read.
    """
    if user is not None and (diff is not None or kinds is not None):
        raise WrongUse("USER stands alone.", "Leave out --diff and --kinds, or USER.")
    if columns and diff is None:
        raise WrongUse("--map says what the columns of a roster are.", "Add --diff ROSTER, or leave --map out.")
    wanted = chosen(kinds, tuple(RULES_MEANS if diff is None else COMPARED), "Kinds of finding")
    async with open_backend() as backend:
        with asking():
            rules = await read_rules(backend.rules)
            accounts = backend.rosters.find_file(diff, mapping_of(columns)).read_now() if diff is not None else None
        await current_copy(backend)
        if user is not None:
            return await _one(backend, rules, user, as_json=as_json)
        if accounts is not None:
            return await _compared(backend, rules, accounts, wanted, as_json=as_json)
        return await _reviewed(backend, rules, wanted, as_json=as_json)


async def _one(backend: Backend, rules: Rules, reference: str, *, as_json: bool) -> int:
    with asking():
        found = await roles_of_user(backend, rules, reference)
    if as_json:
        print_json(found.to_json())
    else:
        _print_one(console(), found)
    return verdict(found.mapped.conflicts, found.gaps)


def _print_one(out: Console, found: UserRoles) -> None:
    user, mapped = found.user, found.mapped
    number = counted(len(mapped.roles), "role") if mapped.roles or not found.gaps else "no role that is known"
    name = f" ({shown(user.name)})" if user.name else ""
    out.print(Text(shown(user.username or user.id), style="bold").append(f"{name}: {number}.", style="not bold"))
    print_warnings(out, sentences(found.gaps))
    print_rows(
        out, [(shown(one.role), f"rule {one.rule} on line {one.line}", _why(one)) for one in mapped.granted], prose=True
    )
    for one in mapped.expired:
        ended = f" on {at_minute(one.expires)}" if one.expires else ""
        out.print(Text(f"No more: {shown(one.role)}, by rule {one.rule} on line {one.line}, which ended{ended}."))
    for conflict in mapped.conflicts:
        out.print(Text(f"Conflict: {_conflict(conflict)}.", style="bold red"))


def _why(granted: Granted) -> str:
    reasons = [f"in group {shown(one.name or one.id)}{_indirectly(one.type)}" for one in granted.groups]
    reasons += [f"in population {shown(granted.population)}"] if granted.population else []
    reasons += [f"by {', '.join(map(shown, granted.attributes))}"] if granted.attributes else []
    reasons += [f"until {at_minute(granted.expires)}"] if granted.expires else []
    return ", ".join(reasons)


def _indirectly(type_: str | None) -> str:
    return " (through another group)" if type_ == "indirect" else ""


def _conflict(conflict: Conflict) -> str:
    note = f", {shown(conflict.note)}" if conflict.note else ""
    return f"{' and '.join(map(shown, conflict.roles))} exclude each other (line {conflict.line}{note})"


async def _reviewed(backend: Backend, rules: Rules, wanted: Sequence[str], *, as_json: bool) -> int:
    found, state = await review_roles(backend, rules)
    if as_json:
        print_json({**found.to_json(), "replica_age_s": state.age_seconds})
    else:
        counts = found.counts
        subject = f"{counted(counts['rules'], 'rule')}, {counted(counts['users_with_roles'], 'user')} with a role"
        rows = {
            "unknown_groups": map(_rule, found.unknown_groups),
            "ambiguous_groups": map(_rule, found.ambiguous_groups),
            "idle": map(_rule, found.idle),
            "expired": map(_rule, found.expired),
            "offenders": (
                (person_name(one.person), "; ".join(map(_conflict, one.conflicts))) for one in found.offenders
            ),
            "unmapped_groups": ((shown(one.name or one.id),) for one in found.unmapped_groups),
        }
        _print(
            console(),
            f"{subject}, by {copy_of(state.synced_at, state.age_seconds)}",
            found,
            meanings=RULES_MEANS,
            rows=rows,
            wanted=wanted,
        )
    return verdict(any(found.counts[kind] for kind in wanted), found.gaps)


def _rule(one: RuleAt) -> _Row:
    group = f"group {shown(one.group)}" if one.group else ""
    return f"line {one.line}", shown(one.role), group


async def _compared(backend: Backend, rules: Rules, accounts: Accounts, wanted: Sequence[str], *, as_json: bool) -> int:
    found, state = await compare_roles(backend, rules, accounts)
    if as_json:
        print_json({**found.to_json(), "replica_age_s": state.age_seconds})
    else:
        subject = (
            f"{counted(found.counts['compared'], 'account')} compared, by {copy_of(state.synced_at, state.age_seconds)}"
        )
        rows = {
            "mismatches": map(_mismatch, found.mismatches),
            "unmatched": map(_mismatch, found.unmatched),
            "ambiguous": ((f"line {one.line}", account_name(one)) for one in found.ambiguous),
            "without_account": ((person_name(one), shown(one.name or "")) for one in found.without_account),
            "unruled_roles": ((shown(role),) for role in found.unruled_roles),
        }
        _print(
            console(),
            subject,
            found,
            meanings=COMPARED,
            rows=rows,
            wanted=wanted,
            notes=found.notes,
            compared_nobody=found.compared_nobody,
        )
    return UNCHECKED if found.compared_nobody else verdict(any(found.counts[kind] for kind in wanted), found.gaps)


def _mismatch(one: RoleMismatch) -> _Row:
    said = [f"has {shown(role)}{_rules(role, one.why, 'ended')}" for role in one.extra]
    said += [f"lacks {shown(role)}{_rules(role, one.why, 'given')}" for role in one.lacking]
    return f"line {one.account.line}", account_name(one.account), "; ".join(said)


def _rules(role: str, why: Sequence[Granted], word: str) -> str:
    """Name the rules behind a role: those that give what is lacking, those that gave what is too much."""
    rules = [f"rule {one.rule} on line {one.line}" for one in why if folded(one.role) == folded(role)]
    return f" ({word}: {', '.join(rules)})" if rules else ""


def _print(
    out: Console,
    subject: str,
    found: RulesReview | RoleDrift,
    *,
    meanings: Mapping[str, str],
    rows: Mapping[str, Iterable[_Row]],
    wanted: Sequence[str],
    notes: Sequence[str] = (),
    compared_nobody: bool = False,
) -> None:
    counts = found.counts
    print_outcome(
        out,
        sum(counts[kind] for kind in wanted),
        compared_nobody=compared_nobody,
        lacks=bool(found.gaps),
        nothing="Nothing to look at",
        what=subject,
    )
    print_warnings(out, [*notes, *sentences(found.gaps)])
    for kind in wanted:
        if counts[kind]:
            print_kind(out, kind, counts[kind], meanings[kind], list(islice(rows[kind], SHOWN)))


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", nargs="?", metavar="USER", help="id, username, email or external id")
    parser.add_argument(
        "--diff", metavar="ROSTER", help="compare with the roles in this roster (a file, or a name as in drift)"
    )
    add_map(parser)
    parser.add_argument(
        "--kinds", metavar="A,B", help="what counts as found (default: all; the names are in the output)"
    )
    add_json(parser)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    options = {"diff": given.diff, "kinds": given.kinds, "as_json": given.json}
    return await roles(doors.backend(), user=given.user, columns=given.map, **options)


VERB = Verb(
    name="roles",
    text=f"""\
Say which roles of an application follow from groups and attributes, by the rules in
{variable("roles_file")} (`pingone-mcp guide roles` tells how to write them). With USER: its roles,
and the rule that gave each. With --diff: who has other roles in the application. With neither: what
is odd about the rules in the light of the directory. The exit status is 0 when there is nothing to
look at, 1 when there is, 2 for wrong use or configuration, 3 when the directory could not be read.

examples:
  pingone-mcp roles
  pingone-mcp roles uma.becker@example.com
  pingone-mcp roles --diff ledger --kinds mismatches,unmatched""",
    add=_add,
    run=_run,
    takes_connection=True,
    failed=UNCHECKED,
)
