"""What a page of ours may consist of: nothing that runs, loads or leads anywhere."""

from __future__ import annotations

from html.parser import HTMLParser

TAGS = frozenset(
    "html head meta title style body main h1 h2 h3 p ul li div section dl dt dd figure figcaption svg rect text b small span "
    "table colgroup col thead tbody tr th td".split()
)
ATTRIBUTES = frozenset(
    "lang charset http-equiv content name class scope colspan width height viewbox role aria-label tabindex x y text-anchor".split()
)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def assert_safe(page: str) -> None:
    """Fail for a page with a tag or an attribute that is none of ours, or a style that loads something."""
    read = _Page()
    read.feed(page)
    read.close()
    assert (read.tags - TAGS, read.attributes - ATTRIBUTES) == (set(), set())
    style = page[page.index("<style>") : page.index("</style>")]
    assert not any(word in style for word in ("url(", "@import", "expression"))
    assert "default-src 'none'" in page
