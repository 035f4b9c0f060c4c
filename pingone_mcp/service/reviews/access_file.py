"""An access review as a file that people sign: a row for each person and each thing that this person has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from pingone_mcp import __version__
from pingone_mcp.directory.gaps import ShortGroups, WhyNoRoles, sentences
from pingone_mcp.directory.models import JsonObject, Named
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.replica.asking.accesses import Roles
from pingone_mcp.replica.asking.snapshot import PlaceState, Snapshot
from pingone_mcp.replica.reviewing.entitlements import Entitlements
from pingone_mcp.replica.state import State
from pingone_mcp.reports.audit.book import check_book, write_book
from pingone_mcp.reports.audit.cover import Cover, Operator, PlaceRead, ReviewQuery
from pingone_mcp.reports.audit.entitlements import ENTITLEMENT_COLUMNS
from pingone_mcp.reports.audit.page import page_chunks
from pingone_mcp.reports.audit.sections import ReviewSection
from pingone_mcp.reports.export import Export, FileFormat, Manifest, csv_chunks, jsonl_chunks
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.access import CopiedReview, reviewed
from pingone_mcp.service.reviews.sections import sections_beside

BOM = b"\xef\xbb\xbf"
"""Without it Excel takes a CSV file for text of the code page of the machine, and names with accents are lost."""
PIECE = 1 << 20
_ROLES: dict[WhyNoRoles | None, str] = {
    None: "read of everybody",
    "not asked for": "read only of users that audit events named: unknown of the others",
    "refused": "may not be read (403): unknown",
    "missed": "could not be read of some users: unknown of them",
}


async def write_review(
    backend: Backend,
    question: AccessQuestion,
    format_: FileFormat,
    write: Callable[[Iterable[bytes]], None],
    *,
    seconds: float,
    operator: Operator | None = None,
    progress: JobProgress | None = None,
    roles: Roles | None = None,
) -> tuple[Manifest, State]:
    """Write who has what with `write`, which is given the content of the file in a worker thread.

    The page (HTML) of everybody has the drift of each roster and a review of the role rules, too. For at most so many
    `seconds` roles are read that the copy does not hold; none where the `roles` are given that a cover was made with.
    Return the manifest, and the state of the copy. Raises Refused for names that are not there, NoReplica,
    MissingExtra, and what `write` does.
    """
    if format_ == "xlsx":
        check_book()  # before anything is read

    sections = await sections_beside(backend) if format_ == "html" and has_sections(question) else []

    def made(review: CopiedReview) -> Manifest:
        entitlements = Entitlements(review.accesses)
        cover = cover_of(review, entitlements, question, application=backend.application, operator=operator)
        file = Export(format_, ENTITLEMENT_COLUMNS)
        write(file.taken(_content(format_, cover, sections, file.counted(review.progress.of(entitlements.rows())))))
        return file.manifest(
            program=cover.program,
            created_at=cover.created_at,
            source="local copy",
            data_as_of=cover.data_as_of,
            filters={"group": question.group, "role": question.role, "population": question.population},
            counts=cover.counts,
            gaps=review.gaps(),
            complete=cover.totals_reconcile(),
            cover=cover,
        )

    return await reviewed(backend, question, made, seconds=seconds, progress=progress, roles=roles)


def has_sections(question: AccessQuestion) -> bool:
    """Whether the page of a review has more than what is in the directory: only one of everybody has."""
    return question == AccessQuestion()


def cover_of(
    review: CopiedReview,
    entitlements: Entitlements,
    question: AccessQuestion,
    *,
    application: str | None,
    operator: Operator | None,
) -> Cover:
    """Return what stands on the cover of a review."""
    counted = entitlements.counted()
    return Cover(
        program=f"pingone-mcp {__version__}",
        created_at=review.now,
        data_as_of=review.data_as_of,
        everybody_read_at=review.copy.since.full,
        query=_query(review, question),
        environments=tuple(_place(review.copy, place) for place in review.copy.states(review.now)),
        application=application,
        operator=operator,
        totals=counted.totals,
        counts=review.counts,
        largest=counted.largest,
        gaps=tuple(harmless(sentence) for sentence in sentences(review.gaps())),
    )


def _content(
    format_: FileFormat, cover: Cover, sections: Sequence[ReviewSection], rows: Iterator[JsonObject]
) -> Iterator[bytes]:
    match format_:
        case "csv":
            yield BOM
            yield from (chunk.encode() for chunk in csv_chunks(ENTITLEMENT_COLUMNS, rows))
        case "jsonl":
            yield from (chunk.encode() for chunk in jsonl_chunks(ENTITLEMENT_COLUMNS, rows))
        case "xlsx":
            yield from _book(cover, rows)
        case "html":
            yield from (chunk.encode() for chunk in page_chunks(cover, rows, sections))


def _book(cover: Cover, rows: Iterator[JsonObject]) -> Iterator[bytes]:
    with TemporaryDirectory() as folder, TemporaryFile(dir=folder) as file:
        write_book(file, Path(folder), cover, rows)
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def _query(review: CopiedReview, question: AccessQuestion) -> ReviewQuery:
    accesses, places = review.accesses, review.copy.places
    asked = {"group": question.group, "role": question.role, "population": question.population}
    parts = [f"{kind} {harmless(name)}" for kind, name in asked.items() if name is not None]
    served = sorted(places.scope.populations)

    def population(identity: str) -> Named:
        return Named(id=identity, name=places.population_names.get(identity))

    return ReviewQuery(
        words=f"everybody with {' and '.join(parts)}" if parts else "everybody with any group or administrator role",
        group=Named(id=accesses.group.id, name=accesses.group_name) if accesses.group is not None else None,
        roles=tuple(Named(id=role, name=name) for role, name in accesses.role_names().items()),
        population=tuple(map(population, accesses.populations)),
        populations_served=tuple(map(population, served)),
    )


def _place(copy: Snapshot, state: PlaceState) -> PlaceRead:
    return PlaceRead(
        id=state.id,
        name=None if state.name is None else harmless(state.name),
        type=copy.places.organizations[state.id].type,
        read_at=_to_milliseconds(state.read_at),
        age_seconds=state.age_seconds,
        groups=_groups_of(copy, state),
        roles=_ROLES[copy.why_no_roles_of(state.id)],
        gaps=tuple(harmless(sentence) for sentence in sentences(state.gaps)),
    )


def _groups_of(copy: Snapshot, state: PlaceState) -> str:
    """Say how far it is known who is in which group."""
    if not copy.has_groups_of(state.id):
        return "may not be read: unknown"
    return "read, but not all members" if any(isinstance(gap, ShortGroups) for gap in state.gaps) else "read"


def _to_milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1_000 * 1_000)
