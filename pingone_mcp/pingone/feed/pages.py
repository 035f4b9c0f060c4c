"""Lists of PingOne read page by page to a good end, or from the beginning once more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from pingone_mcp.errors import RequestRefused
from pingone_mcp.pingone.api.answers import repeated_link
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.replica.source import ShortList


async def whole_pages(
    read: Callable[[str], Awaitable[HalPage]], path: str, key: str, *, counted: bool = True
) -> AsyncGenerator[HalPage, None]:
    """Yield each page, and once more from the first page on where they came to no good end.

    That is where a cursor is not accepted any more, and where fewer came than the last page counts (`counted`): a
    page that has lost its link looks like the last one. Raises ShortList when that is so twice, UnexpectedAnswer for
    pages in a circle, and what `read` raises.
    """
    place = _ListPlace(path)
    while place.next is not None:
        try:
            page = await read(place.next)
        except RequestRefused:
            if place.next == path or not place.starts_over():
                raise
            continue
        yield page
        place.goes_behind(page)
        is_short = page.next is None and counted and page.count is not None and place.found < page.count
        if is_short and not place.starts_over():
            raise _short(key, counted=page.count or 0, found=place.found)


def _short(key: str, *, counted: int, found: int) -> ShortList:
    what = f"PingOne counts {counted:,} {key}, and its pages showed {found:,}."
    return ShortList(what, counted=counted, found=found)


class _ListPlace:
    """Where in a list to read next (None: it has ended), and how many things have been found."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._again = False
        self._begin()

    def _begin(self) -> None:
        self.next: str | None = self._path
        self.found = 0
        self._seen = {self._path}

    def starts_over(self) -> bool:
        """Begin once more; say whether that was still to be had."""
        if self._again:
            return False
        self._again = True
        self._begin()
        return True

    def goes_behind(self, page: HalPage) -> None:
        """Go on behind a page that was read. Raises UnexpectedAnswer for a `next` link that came before."""
        self.found += len(page.raws)
        self.next = page.next
        if page.next is None:
            return
        if page.next in self._seen:
            raise repeated_link()
        self._seen.add(page.next)
