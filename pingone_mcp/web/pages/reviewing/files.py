"""Files of reviews as pages offer them: made when somebody asks for one, and saved by the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from starlette.responses import StreamingResponse

from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.made_files import MANIFEST, open_file
from pingone_mcp.web.pages.browsing.copied import of_copy
from pingone_mcp.web.pages.page import LeadsTo, PageView, SitePage
from pingone_mcp.web.pages.reviewing.looking import looking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.responses import Response

    from pingone_mcp.reports.export import FileFormat
    from pingone_mcp.service.reviews.made_files import FileWanted, ReviewFiles
    from pingone_mcp.web.pages.page import Visit
    from pingone_mcp.web.pages.reviewing.looking import Looking

_PIECE = 64 * 1024
_UNDER_WAY = "The file is being made"
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "csv": "text/csv; charset=utf-8",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "html": "text/html; charset=utf-8",
        "json": "application/json",
    }
)


def file_pages(
    files: ReviewFiles,
    path: str,
    formats: tuple[FileFormat, ...],
    wanted: Callable[[Looking], Awaitable[FileWanted | JobProgress]],
) -> list[SitePage]:
    """Return for each format the page that makes a file and leads to it, at `path` with its ending.

    `wanted` says what writes it, or how far that is which has to be found before.
    """

    def page(format_: FileFormat) -> SitePage:
        async def lead(visit: Visit) -> PageView | LeadsTo | Response:
            at = await looking(visit)
            file = await wanted(at)
            if isinstance(file, JobProgress):
                return at.under_way(file, _UNDER_WAY)
            made = await files.make(at.served, file, format_, at.edition, asker=at.asker)
            if isinstance(made, JobProgress):
                return at.under_way(made, _UNDER_WAY)
            return LeadsTo(path=at.path("files", made.name))

        return SitePage(path=f"{path}.{format_}", show=of_copy(lead))

    return [page(format_) for format_ in formats]


def saved_file() -> SitePage:
    """Return the page from which a file is saved that was made, or its manifest."""
    return SitePage(path="/c/{connection}/reviews/files/{name}", show=_save)


async def _save(visit: Visit) -> Response:
    name = visit.path["name"]
    file, size = await open_file(await visit.backend(), name)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',  # it was checked: letters, digits, dots and dashes
        "Content-Length": str(size),
        "Cache-Control": "no-store",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return StreamingResponse(_pieces(file), HTTPStatus.OK, headers, media_type=_TYPES[_ending(name)])


def _ending(name: str) -> str:
    return "json" if name.endswith(MANIFEST) else name.rpartition(".")[2]


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
