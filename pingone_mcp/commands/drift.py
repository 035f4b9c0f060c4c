"""`pingone-mcp drift`: an application's roster against the directory, with an exit status for schedulers."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from pingone_mcp.advice import variable
from pingone_mcp.commands.current import copy_of, current_copy
from pingone_mcp.commands.ending import UNCHECKED, asking, verdict
from pingone_mcp.commands.findings import (
    SHOWN,
    account_name,
    add_map,
    person_name,
    print_kind,
    print_outcome,
    print_rest,
)
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.commands.words import at_minute, chosen, counted
from pingone_mcp.console import console, print_json, print_rows, print_warnings, shown
from pingone_mcp.directory.gaps import sentences
from pingone_mcp.reports.drift import KINDS, Drift, Finding, Kind
from pingone_mcp.reports.finding_rows import DRIFT_MEANS
from pingone_mcp.reports.matching import MATCH_ON, Person
from pingone_mcp.reports.rosters.columns import Columns, mapping_of, quoted
from pingone_mcp.reports.since_last import Changes
from pingone_mcp.service.backend import OpenBackend
from pingone_mcp.service.reviews.drift import DriftQuestion, check_drift

_FIELDS: Mapping[str, str] = {
    "external_id": "external id",
    "handle": "username, where nothing else names somebody,",
    "first_name": "given name",
    "last_name": "family name",
    "active": "status",
    "inactive": "status (no for active)",
    "unused": "nothing",
}


async def drift(
    open_backend: OpenBackend,
    *,
    roster: str,
    match_on: str | None,
    kinds: str | None,
    as_json: bool,
    columns: Sequence[str] = (),
    compare: str | None = None,
    expected_group: str | None = None,
) -> int:
    """Compare, print what is found, and remember it; return 1 where any of the kinds was found, 3 where nobody knows.

    Raises WrongUse for what the command line names wrongly, and Problem where the directory cannot be read.
    """
    identities = chosen(match_on, MATCH_ON, "Identities")
    usual = KINDS if expected_group is not None else tuple(kind for kind in KINDS if kind != "unexpected")
    wanted = chosen(kinds, KINDS, "Kinds of finding") if kinds is not None else usual
    attributes = [word.strip() for word in compare.split(",") if word.strip()] if compare is not None else None
    question = DriftQuestion(match_on=identities, expected_group=expected_group, compare=attributes)
    async with open_backend() as backend:
        with asking():
            accounts = backend.rosters.find_file(roster, mapping_of(columns)).read_now()
        await current_copy(backend)
        with asking():
            check = await check_drift(backend, accounts, question)
    found, state = check.found, check.state
    if as_json:
        since = check.since_last.to_json() if check.since_last is not None else None
        facts = {"kinds": list(wanted), "since_last": since, "replica_age_s": state.age_seconds}
        print_json({**found.to_json(), **facts})
    else:
        out = console()
        subject = f"{shown(accounts.name)}, compared with {copy_of(state.synced_at, state.age_seconds)}"
        _print(out, found, wanted, subject)
        if not found.matched_nobody:
            _print_news(out, check.since_last, wanted)
    if found.compared_nobody or found.matched_nobody:
        return UNCHECKED
    return verdict(any(found.counts[kind] for kind in wanted), found.gaps)


def _print(out: Console, found: Drift, wanted: Sequence[Kind], what: str) -> None:
    total = sum(found.counts[kind] for kind in wanted)
    print_outcome(
        out,
        total,
        compared_nobody=found.compared_nobody,
        matched_nobody=found.matched_nobody,
        lacks=bool(found.gaps),
        nothing="No drift",
        what=what,
    )
    known = f"{counted(found.counts['entries'], 'account')}, {counted(found.counts['users'], 'user')}"
    out.print(Text(f"{known}; {found.counts['matched']:,} matched."))
    if found.columns is not None:
        _print_columns(out, found.columns)
    print_warnings(out, [*found.notes, *sentences(found.gaps)])
    if found.matched_nobody:
        out.print(Text('If another column says who they are, name it: --map email="Its Heading".'))
        return
    for kind in wanted:
        if found.counts[kind]:
            rows = [_row(finding) for finding in found.of(kind)[:SHOWN]]
            print_kind(out, kind, found.counts[kind], _means(kind, found), rows)
    number = found.counts["unexpected"]
    if "unexpected" not in wanted and number:
        without = counted(number, "active user has", "active users have")
        out.print(
            Text(f"\nBeside that, {without} no account here. Who should? --expected-group GROUP says.", style="dim")
        )


def _print_columns(out: Console, columns: Columns) -> None:
    """Print which column was read as what."""
    whose = f" of {columns.application}" if columns.application else ""
    said = [f"{_FIELDS.get(name, name)} from {shown(quoted(headings))}" for name, headings in columns.fields.items()]
    out.print(Text(f"Columns{whose}: {'; '.join(said)}.", style="dim"))


def _means(kind: Kind, found: Drift) -> str:
    group = found.expected_group
    if kind == "unexpected" and group is not None:
        return f"active members of {shown(group.name or group.id)} without an account"
    return DRIFT_MEANS[kind]


def _print_news(out: Console, news: Changes | None, wanted: Sequence[Kind]) -> None:
    if news is None:
        out.print(Text("\nThere is no earlier check to compare with.", style="dim"))
        return
    sides = (("new", news.new, "red"), ("resolved", news.resolved, "green"))
    kept = [(word, [one for one in side if one.kind in wanted], style) for word, side, style in sides]
    numbers = ", ".join(f"{len(side):,} {word}" for word, side, _ in kept)
    out.print(Text(f"\nSince the check of {at_minute(news.since)}: {numbers}.", style="bold"))
    for word, side, style in kept:
        print_rows(out, [(word, one.kind, *_row(one)) for one in side[:SHOWN]], style=style, prose=True)
        print_rest(out, len(side))


def _row(finding: Finding) -> tuple[str, ...]:
    """Return one finding: who, what there is to say, and in front where in the roster, if it is there."""
    account, said = finding.account, "; ".join(_said(finding))
    if account is None:
        return person_name(finding.person), said
    return f"line {account.line}", account_name(account), said


def _said(finding: Finding) -> Iterable[str]:
    for one in finding.differences:
        yield f"{shown(one.attribute)}: {shown(one.app)} in the application, {shown(one.directory)} in the directory"
    if finding.person is not None:
        yield from _said_of(finding.person, finding.kind)
    if finding.kind == "missing" and finding.account is not None and finding.account.active is False:
        yield "not active in the application either"
    if finding.candidates:
        yield "fits " + ", ".join(person_name(one) for one in finding.candidates)
    if finding.also:
        yield "shares a user with line " + ", ".join(map(str, finding.also))


def _said_of(person: Person, kind: Kind) -> Iterable[str]:
    if kind in ("status_mismatches", "missing"):
        reasons = f" ({', '.join(map(shown, person.status_reasons))})" if person.status_reasons else ""
        yield f"{person.status}{reasons}"
    if kind == "unexpected" and person.name:
        yield shown(person.name)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "roster", metavar="ROSTER", help=f"a .csv or .json file, or the name of one in {variable('rosters')}"
    )
    parser.add_argument("--match-on", metavar="A,B", help="who is who, by: email,username,external_id (default: all)")
    parser.add_argument(
        "--kinds", metavar="A,B", help="what counts as drift: missing,status_mismatches,… (default: all but unexpected)"
    )
    add_map(parser)
    parser.add_argument(
        "--compare", metavar="A,B", help="attributes to compare (default: all on both sides; not the username by email)"
    )
    parser.add_argument(
        "--expected-group", metavar="GROUP", help="id or name of the group whose members should have an account"
    )
    add_json(parser)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    return await drift(
        doors.backend(),
        roster=given.roster,
        match_on=given.match_on,
        kinds=given.kinds,
        as_json=given.json,
        columns=given.map,
        compare=given.compare,
        expected_group=given.expected_group,
    )


VERB = Verb(
    name="drift",
    text=f"""\
Compare the user list of an application with the local copy of the directory, which is brought up to
date first when it is missing or older than {variable("replica_minutes")}; and say what is new since the
last check of this list. The exit status is 0 when there is no drift, 1 when there is, 2 for wrong
use or configuration, 3 when it could not be checked, or no account fits anybody. --kinds says what
counts: missing, status_mismatches, ambiguous, attribute_mismatches, unidentified; and unexpected
(active in the directory, without account), which counts with --expected-group or when it is named.
User lists of Google Workspace, GitHub, Slack, Salesforce, Atlassian, Entra ID, Okta, AWS IAM and
ServiceNow are known by their headings. `pingone-mcp guide rosters` tells more.

examples:
  pingone-mcp drift ledger-users.csv
  pingone-mcp drift ledger --match-on email --kinds missing,status_mismatches
  pingone-mcp drift crm.csv --map email="Work Mail" --expected-group "CRM users"
  pingone-mcp drift ledger --json | jq .counts""",
    add=_add,
    run=_run,
    takes_connection=True,
    failed=UNCHECKED,
)
