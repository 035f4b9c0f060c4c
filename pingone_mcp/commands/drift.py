"""`pingone-mcp drift`: an application's roster against the directory, with an exit status for schedulers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pingone_mcp.advice import setting
from pingone_mcp.commands.current import bring_up_to_date, standing
from pingone_mcp.commands.ending import UNCHECKED, WrongUse, asking, verdict
from pingone_mcp.commands.words import at_minute, chosen, counted
from pingone_mcp.console import console, print_json, print_rows, print_warnings, shown
from pingone_mcp.directory.gaps import sentences
from pingone_mcp.replica.comparisons import check_drift
from pingone_mcp.reports.drift import KINDS, MATCH_ON, Account, Drift, Finding, Kind, Person
from pingone_mcp.reports.roles import RoleDrift, RulesReview
from pingone_mcp.reports.roster import Roster
from pingone_mcp.reports.since_last import Changes
from pingone_mcp.service.backend import OpenBackend
from pingone_mcp.service.rosters import Rosters, open_roster

SHOWN = 20
_MEANS: Mapping[Kind, str] = {
    "missing": "accounts without a user in the directory",
    "status_mismatches": "accounts that are active, of users who are not",
    "ambiguous": "accounts that fit several users, or share one",
    "attribute_mismatches": "accounts that say something else than the directory",
    "unexpected": "active users without an account",
    "unidentified": "accounts without email, username and external id",
}


async def drift(
    open_backend: OpenBackend, *, roster: str, match_on: str | None, kinds: str | None, as_json: bool
) -> int:
    """Compare, print what is found, and remember it; return 1 where any of the kinds was found, 3 where nobody knows.

    Raises WrongUse for what the command line names wrongly, and Problem where the directory cannot be read.
    """
    identities = chosen(match_on, MATCH_ON, "Identities")
    wanted = chosen(kinds, KINDS, "Kinds of finding")
    async with open_backend() as backend:
        rosters, name, accounts = find_roster(backend.rosters, roster)
        await bring_up_to_date(backend.replica)
        now = backend.replica.now()
        found, state = await backend.replica.reading(lambda copy: check_drift(copy, accounts, now, match_on=identities))
        news = rosters.since_last(name, found)
    if as_json:
        since = news.to_json() if news is not None else None
        print_json({**found.to_json(), "since_last": since, "replica_age_s": state.age_seconds})
    else:
        out = console()
        _tell(out, found, wanted, f"{shown(name)}, compared with {standing(state)}")
        _tell_news(out, news, wanted)
    return UNCHECKED if found.compared_nobody else verdict(any(found.counts[kind] for kind in wanted), found.gaps)


def find_roster(registered: Rosters, reference: str) -> tuple[Rosters, str, Roster]:
    """Return the roster that a path or a registered name means, with its name and where its checks are remembered.

    Raises WrongUse for one that is not there or cannot be read.
    """
    path = Path(reference)
    if path.name == reference and reference in registered.names():
        with asking():
            return registered, reference, registered.find(reference).read()
    if not path.is_file():
        names = ", ".join(map(shown, registered.names()[:SHOWN]))
        raise WrongUse(
            "There is neither a file nor a registered roster of this name.",
            f"Registered rosters: {names}." if names else f"{setting('rosters')} names a folder for rosters.",
        )
    with asking():
        whole = path.resolve()
        return dataclasses.replace(registered, folder=whole.parent), whole.name, open_roster(path).read()


def _tell(out: Console, found: Drift, wanted: Sequence[Kind], what: str) -> None:
    total = sum(found.counts[kind] for kind in wanted)
    print_outcome(out, total, found, nothing="No drift", what=what)
    known = f"{counted(found.counts['entries'], 'account')}, {counted(found.counts['users'], 'user')}"
    out.print(Text(f"{known}; {found.counts['matched']:,} matched."))
    print_warnings(out, [*found.notes, *sentences(found.gaps)])
    for kind in wanted:
        if not found.counts[kind]:
            continue
        print_heading(out, kind, found.counts[kind], _MEANS[kind])
        rows = found.of(kind)
        print_rows(out, [_row(finding) for finding in rows[:SHOWN]])
        tell_rest(out, found.counts[kind])


def print_outcome(out: Console, total: int, found: Drift | RoleDrift | RulesReview, *, nothing: str, what: str) -> None:
    """Print how many findings there are, or that there are none, as far as that is known."""
    if not isinstance(found, RulesReview) and found.compared_nobody:
        heading, style = "Nothing was compared", "bold red"
    elif total:
        heading, style = counted(total, "finding"), "bold red"
    else:
        heading, style = (f"{nothing} in what was read", "bold yellow") if found.gaps else (nothing, "bold green")
    out.print(Text(heading, style=style).append(f": {what}.", style="not bold default"))


def print_heading(out: Console, kind: str, count: int, means: str) -> None:
    out.print(Text(f"\n{kind} ({count:,})", style="bold").append(f": {means}", style="not bold"))


def tell_rest(out: Console, count: int) -> None:
    if count > SHOWN:
        out.print(Text(f"  and {count - SHOWN:,} more; --json tells them", style="dim"))


def _tell_news(out: Console, news: Changes | None, wanted: Sequence[Kind]) -> None:
    if news is None:
        out.print(Text("\nThere is no earlier check to compare with.", style="dim"))
        return
    sides = (("new", news.new, "red"), ("resolved", news.resolved, "green"))
    kept = [(word, [one for one in side if one.kind in wanted], style) for word, side, style in sides]
    told = ", ".join(f"{len(side):,} {word}" for word, side, _ in kept)
    out.print(Text(f"\nSince the check of {at_minute(news.since)}: {told}.", style="bold"))
    for word, side, style in kept:
        print_rows(out, [(word, one.kind, *_row(one)) for one in side[:SHOWN]], style=style)
        tell_rest(out, len(side))


def _row(finding: Finding) -> tuple[str, ...]:
    """Return one finding: who, what there is to say, and in front where in the roster, if it is there."""
    account, said = finding.account, "; ".join(_said(finding))
    if account is None:
        return person_name(finding.person), said
    return f"line {account.line}", account_name(account), said


def _said(finding: Finding) -> Iterable[str]:
    person = finding.person
    for one in finding.differences:
        yield f"{shown(one.attribute)}: {shown(one.app)} in the application, {shown(one.directory)} in the directory"
    if finding.kind in ("status_mismatches", "missing") and person is not None:
        reasons = f" ({', '.join(map(shown, person.status_reasons))})" if person.status_reasons else ""
        yield f"{person.status}{reasons}"
    if finding.kind == "missing" and finding.account is not None and finding.account.active is False:
        yield "not active in the application either"
    if finding.kind == "unexpected" and person is not None and person.name:
        yield shown(person.name)
    if finding.candidates:
        yield "fits " + ", ".join(person_name(one) for one in finding.candidates)
    if finding.also:
        yield "shares a user with line " + ", ".join(map(str, finding.also))


def account_name(account: Account) -> str:
    """Return what tells an account from others."""
    return shown(account.email or account.username or account.external_id or account.name or "")


def person_name(person: Person | None) -> str:
    return "nobody" if person is None else shown(person.username or person.email or person.id)
