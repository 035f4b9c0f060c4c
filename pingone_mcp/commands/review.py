"""`pingone-mcp review`: who has access, as a file with a manifest, and whether such a file is still the same."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pingone_mcp.commands.current import current_copy
from pingone_mcp.commands.ending import FAILED, OK, WrongUse, asking
from pingone_mcp.commands.verb import Doors, Verb, add_json
from pingone_mcp.commands.words import at_minute, counted
from pingone_mcp.console import console, print_json, print_rows, print_warnings, shown
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.private_files import is_no_file, this_user, write_whole
from pingone_mcp.reports.audit.cover import Operator
from pingone_mcp.reports.export import FileFormat, Manifest, verify
from pingone_mcp.service.backend import OpenBackend
from pingone_mcp.service.files.exports import NotWritten
from pingone_mcp.service.reviews.access_file import write_review

_FORMATS: Mapping[str, FileFormat] = {".csv": "csv", ".jsonl": "jsonl", ".xlsx": "xlsx", ".html": "html"}
# How long roles may be read that the local copy does not hold: nobody waits for an answer here.
_ROLE_SECONDS = 60


async def review(
    open_backend: OpenBackend,
    *,
    question: AccessQuestion,
    path: Path,
    format_: FileFormat | None,
    force: bool,
    as_json: bool,
) -> int:
    """Write the review and its manifest; return 1 where it is not complete.

    Raises WrongUse, NotWritten, and Problem where the directory is not read.
    """
    chosen = format_ or _FORMATS.get(path.suffix.lower())
    if chosen is None:
        raise WrongUse(
            "The ending of the file does not tell its format.", f"Name it …{', …'.join(_FORMATS)}, or add --format."
        )
    beside = manifest_path(path)
    _free(path, beside, force=force)

    def put(content: Iterable[bytes]) -> None:
        with _writing():
            if force:
                beside.unlink(missing_ok=True)  # that of another file must not stand beside this one
            write_whole(path, content)

    async with open_backend() as backend:
        await current_copy(backend)
        with asking():
            manifest, _ = await write_review(
                backend, question, chosen, put, seconds=_ROLE_SECONDS, operator=_operator()
            )
    _write_beside(path, beside, manifest)
    if as_json:
        print_json(manifest.to_json())
    else:
        _print(console(), path, manifest)
    return OK if manifest.complete else FAILED


def verified(path: Path, *, as_json: bool) -> int:
    """Say whether a file is what its manifest says; return 1 where it is not. Raises WrongUse where one is missing."""
    beside = manifest_path(path)
    try:
        written = beside.read_bytes()
        content = path.read_bytes()
    except OSError as error:
        missing = Path(str(error.filename)).name
        raise WrongUse(f"{shown(missing)} cannot be read: {error.strerror}.") from None
    with asking():
        manifest = Manifest.from_json(_parsed(written))
    same = verify(manifest, content)
    if as_json:
        print_json({"same": same, "manifest": manifest.to_json()})
        return OK if same else FAILED
    out = console()
    if same:
        out.print(Text(f"{shown(path.name)} is as it was written.", style="bold green"))
    else:
        out.print(Text(f"{shown(path.name)} is not as it was written.", style="bold red"))
        if len(content) != manifest.bytes:
            out.print(Text(f"It has {len(content):,} bytes; it had {manifest.bytes:,}."))
    _print_manifest(out, manifest)
    return OK if same else FAILED


def _operator() -> Operator:
    """Return who runs this program, and where."""
    return Operator(user=harmless(this_user()), host=harmless(platform.node()))


def manifest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.manifest.json")


def _parsed(written: bytes) -> object:
    try:
        manifest: object = json.loads(written)
    except (ValueError, RecursionError):
        return None
    return manifest


def _free(path: Path, beside: Path, *, force: bool) -> None:
    """Refuse to take the place of a file that nobody offered."""
    if path.is_dir():
        raise WrongUse("--out names a folder.", "Name a file in it.")
    if is_no_file(path):
        raise WrongUse("--out names no file, but a device or a pipe.", "Name a file: its manifest stands beside it.")
    if not path.absolute().parent.is_dir():
        raise WrongUse("--out names a file in a folder that is not there.", "Make the folder first, or name another.")
    taken = [one.name for one in (path, beside) if os.path.lexists(one)]
    if taken and not force:
        raise WrongUse(f"{shown(taken[0])} is there already.", "Name another file, or add --force to replace it.")


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotWritten(
            f"The review cannot be written: {error.strerror}.",
            "See that its folder is there and may be written to, and that the disk has room.",
            code="EXPORT_NOT_WRITTEN",
        ) from None


def _write_beside(path: Path, beside: Path, manifest: Manifest) -> None:
    """Write the manifest; a file without one is not left behind."""
    try:
        with _writing():
            write_whole(beside, [f"{json.dumps(manifest.to_json(), ensure_ascii=False, indent=1)}\n".encode()])
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _print(out: Console, path: Path, manifest: Manifest) -> None:
    people = counted(manifest.totals["people_in_file"], "person", "people")
    has = counted(manifest.totals["entitlements"], "entitlement")
    out.print(
        Text(f"{people} and {has}: {shown(str(path))}", style="bold green" if manifest.complete else "bold yellow")
    )
    print_rows(out, list(_counts({**manifest.totals, **manifest.counts}.items())))
    _print_manifest(out, manifest)


def _counts(counts: Iterable[tuple[str, int | None]]) -> Iterator[tuple[str, str]]:
    for name, count in counts:
        if count != 0 and name not in ("people", "rows", "people_in_file"):
            yield shown(name.replace(".", ": ", 1).replace("_", " ")), "unknown" if count is None else f"{count:,}"


def _print_manifest(out: Console, manifest: Manifest) -> None:
    out.print(
        Text(
            f"{counted(manifest.rows, 'row')}, written {at_minute(manifest.created_at)}, "
            f"from data of {at_minute(manifest.data_as_of)}."
        )
    )
    if not manifest.complete:
        out.print(Text("This review is incomplete:", style="bold yellow"))
    print_warnings(out, manifest.gaps)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", metavar="G", help="who is in this group (id or name)")
    parser.add_argument("--role", metavar="R", help="who has this administrator role (id or name)")
    parser.add_argument("--population", metavar="P", help="who is in this population (id or name)")
    parser.add_argument(
        "--format", help="what to write, where the ending of FILE does not tell", choices=tuple(_FORMATS.values())
    )
    parser.add_argument("--force", action="store_true", help="replace FILE and its manifest")
    add_json(parser)
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("--out", type=Path, metavar="FILE", help="the file to write")
    either.add_argument("--verify", type=Path, metavar="FILE", help="compare a file with the manifest beside it")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    question = AccessQuestion(group=given.group, role=given.role, population=given.population)
    if given.verify is not None:
        if question != AccessQuestion() or given.format or given.force:
            raise WrongUse("--verify stands alone.", "Example: pingone-mcp review --verify review.csv")
        return verified(given.verify, as_json=given.json)
    options = {"format_": given.format, "force": given.force, "as_json": given.json}
    return await review(doors.backend(), question=question, path=given.out, **options)


VERB = Verb(
    name="review",
    text="""\
Write who has access, and by which way, into FILE, and what that file is into FILE.manifest.json; or
compare such a file with its manifest. There is one row for each person and each group or
administrator role that the person has, with empty columns for reviewer, decision and comment.
Without --group, --role and --population it holds everybody who has any access. FILE is CSV (for
Excel too), JSON Lines, a workbook (.xlsx, which needs the extra [xlsx]) or a page with charts to
print (.html), which without those three has the drift of each roster and what is odd about the role
rules, too. Both files are readable by you only. A file is written whole or not at all, and none
is replaced without --force. The exit status is 0 when it is done (--verify: the file is as it was
written), 1 when not or when the review is incomplete (it says why), 2 for wrong use or
configuration.

examples:
  pingone-mcp review --out review.csv
  pingone-mcp review --group Finance --out finance.xlsx
  pingone-mcp review --out review.html
  pingone-mcp review --verify review.csv""",
    add=_add,
    run=_run,
    takes_connection=True,
)
