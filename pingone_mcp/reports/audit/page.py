"""An access review as one page (HTML) that needs nothing beside itself: to read, to print and to sign.

What stands in a directory was written by anybody: every text of it is escaped, nothing of it is an address or a style,
and the page's own policy lets no script run and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.reports.audit.cover import Cover
from pingone_mcp.reports.audit.glance import figures_of
from pingone_mcp.reports.audit.sections import FindingsShown, ReviewSection

_ROWS_PER_CHUNK = 200
_STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --shade: #f6f8fa;
  --bar: #2f6fb3; --other: #9db4cc; --third: #c9ced6; --warn: #8a5300; --warnback: #fff4de; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --text: #e6e9ed; --quiet: #9aa4af; --line: #363c45;
  --shade: #1d2127; --bar: #6ea8e0; --other: #45607c; --third: #3a414b; --warn: #f0c274; --warnback: #33270f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px; max-width: 1800px; background: var(--page); color: var(--text);
  font: 14px/1.45 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 28px 0 8px; }
.state { font-weight: 600; margin: 0 0 16px; } .incomplete { color: var(--warn); }
.gaps { background: var(--warnback); border-left: 4px solid var(--warn); padding: 8px 16px 8px 32px; }
.cols { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 8px 40px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
dl.totals dd { text-align: right; font-variant-numeric: tabular-nums; max-width: 8em; }
figure { margin: 0 0 12px; } figcaption { font-weight: 600; margin-bottom: 4px; }
svg { width: 100%; max-width: 380px; height: auto; } svg text { fill: var(--text); font-size: 13px; }
.length, .part0 { fill: var(--bar); background: var(--bar); } .part1 { fill: var(--other); background: var(--other); }
.part2 { fill: var(--third); background: var(--third); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 4px 0 0; padding: 0; }
.key { display: inline-block; width: 12px; height: 12px; margin-right: 6px; }
.scroll { overflow-x: auto; padding-right: 1px; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; min-width: 1100px; font-size: 12.5px; }
th, td { border: 1px solid var(--line); padding: 4px 6px; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: var(--shade); } small { color: var(--quiet); display: block; font-size: 11px; }
table.findings { min-width: 0; } .findings th:first-child { width: 30%; } h3 { font-size: 14px; margin: 16px 0 4px; }
.verify { margin-top: 28px; border-top: 1px solid var(--line); max-width: 900px; }
td.flag { color: var(--warn); }
@page { size: A4 landscape; margin: 11mm; }
@media print {
  :root { color-scheme: light; --page: #fff; --text: #000; --quiet: #444; --line: #999; --shade: #eee; --bar: #2f6fb3;
    --other: #9db4cc; --third: #c9ced6; --warn: #6b4000; --warnback: #fff4de; }
  body { padding: 0; max-width: none; font-size: 10pt; } table { font-size: 7.5pt; min-width: 0; }
  th { font-size: 6.5pt; padding: 3px; } small { font-size: 6pt; line-height: 1.25; } .cols { grid-template-columns: 1fr 1fr; }
  thead { display: table-header-group; } tr, figure, dl { break-inside: avoid; }
  .scroll { overflow: visible; } h2 { break-after: avoid; } .rows { break-before: page; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
# What each column is called, and how many of a hundred parts of the width it takes.
_COLUMNS: Mapping[str, float] = MappingProxyType(
    {
        "Person": 14,
        "Manager": 10,
        "Status": 6.5,
        "Entitlement": 12.5,
        "How": 10,
        "Scope": 6,
        "Since": 6.5,
        "Last sign-on": 6.5,
        "Deserves a look": 7.5,
        "Reviewer": 6.5,
        "Decision": 6,
        "Comment": 8,
    }
)
_VERIFY = """<div class="verify"><h2>Manifest, and how to verify this file</h2>
<p>A manifest belongs beside this file, under its name with <b>.manifest.json</b> behind it. It says what was asked, what was
read and when, what could not be read, how many rows and bytes there are, and the SHA-256 of this file.</p>
<p><b>pingone-mcp review --verify FILE</b> says whether this file is as it was written; so does any program that prints the
SHA-256 of a file: <b>sha256sum FILE</b>, or <b>Get-FileHash FILE</b> on Windows. A digest proves that a file was not changed
since; what was not found may be there all the same where something could not be read.</p></div>
"""
_NO_ROWS = f'<tr><td colspan="{len(_COLUMNS)}">Nobody.</td></tr>'


def page_chunks(cover: Cover, rows: Iterable[JsonObject], sections: Sequence[ReviewSection] = ()) -> Iterator[str]:
    """Yield a page with the cover, the charts, sections, a table of all rows, some at a time, and how to verify it."""
    yield _head()
    yield _cover(cover)
    yield _charts(cover)
    for section in sections:
        yield _section(section)
    columns = "".join(f'<col width="{share}%">' for share in _COLUMNS.values())
    headings = "".join(f'<th scope="col">{heading}</th>' for heading in _COLUMNS)
    yield f'<h2 class="rows">Who has what</h2>\n<div class="scroll" tabindex="0" role="region" aria-label="Who has what"><table><colgroup>{columns}</colgroup>'
    yield f"<thead><tr>{headings}</tr></thead><tbody>\n"
    lines: list[str] = []
    before = None
    for row in rows:
        lines.append(_row(row, is_first=row["user_id"] != before))
        before = row["user_id"]
        if len(lines) == _ROWS_PER_CHUNK:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)
    yield f"{_NO_ROWS if before is None else ''}</tbody></table></div>\n{_VERIFY}</main></body></html>\n"


def _head() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">\n'
        f"<title>Access review</title>\n<style>{_STYLE}</style></head><body><main>\n"
    )


def _cover(cover: Cover) -> str:
    state = "state" if cover.status() == "Complete" else "state incomplete"
    facts = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in cover.facts())
    totals = "".join(f"<dt>{_text(name)}</dt><dd>{number:,}</dd>" for name, number in cover.totals_in_words())
    gaps = "".join(f"<li>{_text(gap)}</li>" for gap in cover.gaps)
    missing = f'<ul class="gaps">{gaps}</ul>\n' if gaps else ""
    return (
        f'<h1>Access review</h1><p class="{state}">{_text(cover.status())}</p>\n{missing}'
        f'<div class="cols"><section><h2>What this is</h2><dl>{facts}</dl></section>\n'
        f'<section><h2>Totals</h2><dl class="totals">{totals}</dl></section></div>\n'
    )


def _charts(cover: Cover) -> str:
    drawn = "".join(figure.drawn() for figure in figures_of(cover))
    return f'<h2>At a glance</h2><div class="cols">{drawn}</div>\n'


def _section(section: ReviewSection) -> str:
    said = "".join(f"<p>{_text(sentence)}</p>" for sentence in section.said)
    gaps = "".join(f"<li>{_text(gap)}</li>" for gap in section.gaps)
    missing = f'<ul class="gaps">{gaps}</ul>\n' if gaps else ""
    drawn = "".join(figure.drawn() for figure in section.figures)
    findings = "".join(map(_findings, section.findings))
    return f'<h2 class="part">{_text(section.title)}</h2>\n{missing}{said}\n<div class="cols">{drawn}</div>\n{findings}'


def _findings(found: FindingsShown) -> str:
    """Return the first findings of a kind, and say how many there are."""
    rows = "".join(
        f"<tr><td><b>{_text(line.who)}</b>{_small(line.person_id)}</td>"
        f"<td>{_text('; '.join(f'{name}: {text}' for name, text in line.facts))}</td></tr>"
        for line in found.lines
    )
    shown = f"{found.total:,}" if found.is_whole else f"{found.total:,}; the first {len(found.lines):,} rows"
    return (
        f'<h3>{_text(found.means)} ({shown})</h3>\n<div><table class="findings"><thead><tr>'
        f'<th scope="col">Who or what</th><th scope="col">What was found</th></tr></thead><tbody>{rows}</tbody></table></div>\n'
    )


def _row(row: JsonObject, *, is_first: bool) -> str:
    """Return a row of the table; who stands in several of them is described in the first one."""
    email = row["email"] if row["email"] != row["username"] else None
    person = _small(row["user_id"])
    manager = _small(row["manager_id"])
    if is_first:
        person = _small(row["username"], email, row["user_id"], row["title"], row["department"], row["type"])
        manager = _small(row["manager_email"], row["manager_id"])
    status = _small(*row["status_reasons"], f"MFA: {row['mfa']}", f"privileged: {row['privileged']}")
    scope = " ".join(filter(None, (row["scope_type"], row["scope"])))
    return (
        f"<tr><td><b>{_text(row['name'] or row['username'])}</b>{person}</td><td>{_text(row['manager'])}{manager}</td>"
        f"<td>{_text(row['status'])}{status}</td>{_entitlement(row)}"
        f"<td>{_text(scope)}{_small(row['scope_id'])}</td><td>{_day(row['since'])}</td>"
        f"<td>{_day(row['last_sign_on']) or 'never'}</td>"
        f'<td class="flag">{_text(_words(row["flags"]))}</td><td></td><td></td><td></td></tr>\n'
    )


def _entitlement(row: JsonObject) -> str:
    if row["kind"] == "none":
        return "<td>none</td><td></td>"
    chains = zip(row["through"], row["through_ids"], strict=True)
    through = "".join(f"<small>through {_text(names)} ({_text(ids)})</small>" for names, ids in chains)
    named = _text(row["entitlement"] or row["entitlement_id"])
    return (
        f"<td>{_text(row['kind'])} <b>{named}</b>{_small(row['entitlement_id'])}</td>"
        f"<td>{_text(row['how'])}{through}</td>"
    )


def _words(flags: Sequence[str]) -> str:
    return ", ".join(flag.replace("_", " ") for flag in flags)


def _day(at: Any) -> str:
    return _text(plain(at)[:10]) if at is not None else ""


def _small(*texts: str | None) -> str:
    return "".join(f"<small>{_text(text)}</small>" for text in texts if text)


def _text(text: str | None) -> str:
    return "" if text is None else escape(harmless(text), quote=True)
