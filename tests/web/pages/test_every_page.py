"""Every page and form of the site, by its own routes: what holds for all of them, those to come included."""

from __future__ import annotations

import html
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pingone_mcp.directory.text.harmless import hides_nothing
from pingone_mcp.service.callers import Permission
from pingone_mcp.web.pages import frame
from tests.hostile import JOINED
from tests.web.faces import EVERYTHING, HOST, whole_face
from tests.web.pages.rounds import NOBODY, OF_GUESTS, Rounds, forms_of, furnished, pages_of

_ORIGIN = f"http://{HOST}"
_TEMPLATES = Path(frame.__file__).with_name("templates")
_ALL_BUT_READING = EVERYTHING - {"directory.read"}
_STALE = "Nothing was changed"
_LINKS = ("href", "src", "action", "formaction", "srcset", "poster", "data")


@pytest.fixture(scope="module")
async def rounds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rounds]:
    async with whole_face(tmp_path_factory.mktemp("plain")) as face:
        yield await furnished(face.app, face.estate, face.acme, _ORIGIN)


@pytest.fixture(scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rounds]:
    """Give the same with strings that are hostile, all of them."""
    async with whole_face(tmp_path_factory.mktemp("hostile")) as face:
        yield await furnished(face.app, face.estate, face.acme, _ORIGIN, is_hostile=True)


class Elements(HTMLParser):
    """The elements of a page with their attributes, in order, and the text of its title."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.title = ""
        self._is_title = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self._is_title = tag == "title" and not any(one == "svg" for one, _ in self.found)

    def handle_endtag(self, tag: str) -> None:
        self._is_title = False

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self.title += data

    def forms(self) -> list[tuple[dict[str, str], list[tuple[str, dict[str, str]]]]]:
        """Return each form that is posted, and what stands behind it up to the next form."""
        starts = [at for at, (tag, _) in enumerate(self.found) if tag == "form"]
        ends = [*starts, len(self.found)][1:]
        return [
            (self.found[at][1], self.found[at + 1 : end])
            for at, end in zip(starts, ends, strict=True)
            if self.found[at][1].get("method", "").lower() == "post"
        ]


async def test_every_page_there_is_can_be_opened(rounds: Rounds) -> None:
    closed: list[str] = []
    for route in pages_of(rounds.app):
        answers = [(await rounds.first(address)).status for address in rounds.filled(route.path)]
        if not any(status in (200, 303) for status in answers):
            closed.append(f"{route.path}: {answers}")
    assert closed == []


def _plain(text: str) -> str:
    """Return a text without what may stand in one: breaks, and joiners that belong to the spelling."""
    return re.sub("[\\t\\r\\n]", "", text).replace(JOINED, "")


async def test_no_page_holds_anything_that_runs_or_hides(hostile: Rounds) -> None:
    pages = await hostile.shown()
    assert len(pages) > len(pages_of(hostile.app)) * 3
    wrong: list[str] = []
    for address, page in pages.items():
        elements = Elements(page)
        for tag, attributes in elements.found:
            for name, value in attributes.items():
                if name.startswith("on") or name in ("style", "srcdoc"):
                    wrong.append(f"{address}: {tag} {name}")
                if name in _LINKS and not re.match(r"(?:/(?!/)|#|\?)", value):
                    wrong.append(f"{address}: {tag} {name}={value[:80]}")
                if not hides_nothing(_plain(value)):
                    wrong.append(f"{address}: {tag} {name} hides something")
            if tag in ("script", "style", "link") and "nonce" not in attributes and attributes.get("rel") != "icon":
                wrong.append(f"{address}: {tag} without a nonce")
            if tag in ("iframe", "object", "embed", "base", "meta") and not {"charset", "name"} & set(attributes):
                wrong.append(f"{address}: {tag}")
        if not hides_nothing(_plain(elements.title)) or not elements.title.strip(" ·"):
            wrong.append(f"{address}: its title is {elements.title!r}")
        if not hides_nothing(_plain(html.unescape(page))):
            wrong.append(f"{address} hides something")
    assert wrong == []
    assert any("&lt;svg/onload" in page for page in pages.values()), "the company is hostile"


async def test_every_form_that_is_shown_holds_a_token_and_no_secret(rounds: Rounds) -> None:
    ways = [re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path)) for route in forms_of(rounds.app)]
    secrets = {rounds.estate.company(name).sandbox.client_secret for name in ("acme", "beta", "held")}
    wrong: list[str] = []
    forms = 0
    for address, page in (await rounds.shown()).items():
        elements = Elements(page)
        for form, inside in elements.forms():
            path = form["action"].partition("?")[0]
            names = {one.get("name"): one.get("value", "") for tag, one in inside if tag == "input"}
            if path != "/sign-in" and not re.fullmatch("[0-9a-f]{64}", names.get("csrf", "")):
                wrong.append(f"{address}: the form {path} holds no token")
            if path != "/sign-in" and not any(way.fullmatch(path) for way in ways):
                wrong.append(f"{address}: the form {path} leads to no route of forms")
            forms += 1
        for tag, attributes in elements.found:
            if tag == "input" and attributes.get("type") == "password" and attributes.get("value"):
                wrong.append(f"{address}: a secret stands in {attributes.get('name')}")
        wrong += [f"{address}: a secret is shown" for secret in secrets if secret in page]
    assert wrong == []
    assert forms > len(ways)


def test_every_form_of_a_template_holds_a_token_and_leaves_secrets_empty() -> None:
    wrong: list[str] = []
    for file in sorted(_TEMPLATES.rglob("*.html")):
        text = file.read_text(encoding="utf-8")
        forms = re.findall(r'<form method="post".*?</form>', text, re.DOTALL) if file.name != "sign_in.html" else []
        wrong += [f"{file.name}: {form[:80]}" for form in forms if 'name="csrf"' not in form]
        secrets = re.findall(r'<input[^>]*type="password"[^>]*>', text)
        wrong += [f"{file.name}: {field}" for field in secrets if "value=" in field]
    assert wrong == []


def _filled_once(rounds: Rounds) -> list[str]:
    """Return the address of each form, of the whole connection."""
    return [next(iter(rounds.filled(route.path))) for route in forms_of(rounds.app)]


def _kept(rounds: Rounds) -> dict[str, list[str]]:
    """Return all that is kept in the control data, but for when a credential was used."""
    file = rounds.estate.folder / "state" / "control" / "control.db"
    with sqlite3.connect(file) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept: dict[str, list[str]] = {}
        for table in tables:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] != "last_used_at"]
            kept[table] = sorted(map(repr, database.execute(f"SELECT {', '.join(columns)} FROM {table}")))  # noqa: S608 - their own names
    return kept


async def test_a_form_without_the_token_of_its_session_changes_nothing(rounds: Rounds) -> None:
    own, guests = await rounds.token("/"), await rounds.token(f"{OF_GUESTS}?link_token={rounds.link}")
    key = await rounds.estate.control.api_keys.create(name="other", permissions=frozenset(), connections=None)
    mine, rounds.cookie = rounds.cookie, await rounds.sign_in(key.text.get_secret_value())
    foreign = await rounds.token("/")
    rounds.cookie = mine
    before = _kept(rounds)
    assert any("customer" in row for rows in before.values() for row in rows)
    for address in _filled_once(rounds):
        is_guest = address.startswith(OF_GUESTS)
        for token in (None, "", foreign, own if is_guest else guests, (guests if is_guest else own)[:-1], "\u00e9"):
            fields = {"name": "changed", "provider": "sample", **({} if token is None else {"csrf": token})}
            heard = await rounds.post(address, fields)
            assert (heard.status, _STALE in heard.text) == (400, True), (address, token, heard.text)
    assert _kept(rounds) == before
    assert (await rounds.get("/")).status == 200, "nobody was signed out"


async def test_a_form_with_its_token_is_never_shown_as_the_page_of_its_own_address_when_it_was_done(
    tmp_path: Path,
) -> None:
    """So that whoever loads the page again, or goes back to it, sends nothing a second time."""
    async with whole_face(tmp_path) as face:
        rounds = await furnished(face.app, face.estate, face.acme, _ORIGIN)
        last = ("/link/remove", "/sign-out")  # which take away what the others are about
        addresses = sorted(_filled_once(rounds), key=lambda one: one.endswith(last))
        own, of_guests = await rounds.token("/"), await rounds.token(f"{OF_GUESTS}?link_token={rounds.link}")
        done: list[str] = []
        for address in addresses:
            is_guest = address.startswith(OF_GUESTS)
            heard = await rounds.post(address, {"csrf": of_guests if is_guest else own, "name": "Another name"})
            assert _STALE not in heard.text, address
            assert heard.status == 303 or heard.status >= 400 or "aria-invalid" in heard.text, (address, heard.text)
            done += [address] * (heard.status == 303)
        assert len(done) > len(addresses) // 2


async def test_who_has_not_signed_in_sees_no_page_and_sends_no_form(rounds: Rounds) -> None:
    before = _kept(rounds)
    addresses = [("GET", one) for one in rounds.addresses()] + [("POST", one) for one in _filled_once(rounds)]
    for method, address in addresses:
        if address.startswith((OF_GUESTS, "/sign-in")):
            continue
        for cookie in ("", rounds.cookie.partition("=")[0] + "=AAAA"):
            heard = await rounds.ask(method, address, {"csrf": "a" * 64} if method == "POST" else None, cookie)
            assert (heard.status, heard.header("location").partition("?")[0]) == (303, "/sign-in"), address
            assert heard.body == b""
    assert _kept(rounds) == before


async def test_the_page_of_one_connection_holds_nothing_of_another(rounds: Rounds) -> None:
    """Also for who reaches all of them."""
    ids = {state: one.id for state, one in rounds.linked.items()}
    [schedule] = rounds.fills["schedule elsewhere"]
    seen: list[str] = []
    for address, page in (await rounds.shown()).items():
        for state, own in ids.items():
            if address.startswith(f"/c/{own}/"):
                others = [one for other, one in ids.items() if other != state]
                assert not [one for one in others if one in page], address
                assert state == "held" or schedule not in page, address
                seen.append(state)
    assert set(seen) == set(ids)


async def test_who_reaches_one_connection_opens_its_pages_and_no_others(rounds: Rounds) -> None:
    whole = rounds.linked["whole"].id
    made = await rounds.estate.control.api_keys.create(name="one", permissions=EVERYTHING, connections=[whole])
    cookie = await rounds.sign_in(made.text.get_secret_value())
    for route in pages_of(rounds.app):
        if "{connection}" not in route.path:
            continue
        for address in rounds.filled(route.path):
            heard, mine = await rounds.ask("GET", address, cookie=cookie), await rounds.first(address)
            if f"/{whole}" in address:
                assert heard.status == mine.status or "{draft}" in route.path, (address, heard.text)
                assert "one.example.com" not in heard.text, "a webhook gets what all connections of a tenant do"
            else:
                assert heard.status == 404, (address, heard.text)
    before = _kept(rounds)
    token = await _token_of(rounds, cookie)
    for route in forms_of(rounds.app):
        for address in list(rounds.filled(route.path))[1:] if "{connection}" in route.path else []:
            if f"/{whole}/" not in address:
                heard = await rounds.post(address, {"csrf": token, "name": "changed"}, cookie)
                assert heard.status == 404, (address, heard.text)
    assert _kept(rounds) == before


async def test_who_may_do_everything_but_read_a_directory_sees_nobody_of_it(rounds: Rounds) -> None:
    made = await rounds.estate.control.api_keys.create(name="no reader", permissions=_ALL_BUT_READING, connections=None)
    cookie = await rounds.sign_in(made.text.get_secret_value())
    people = {
        one
        for company in ("acme", "held")
        for user in rounds.estate.company(company).sandbox.users()
        for one in (user["username"], user["email"])
        if len(one) > 5  # else it may stand in any word
    }
    mine = [html.unescape((await rounds.get(address)).text) for address in rounds.addresses()]
    assert any(one in page for page in mine for one in people), "who may read sees them"
    for address in rounds.addresses():
        said = html.unescape((await rounds.ask("GET", address, cookie=cookie)).text)
        assert not [one for one in people if one in said], address


@pytest.mark.parametrize(
    "permissions",
    [frozenset({one}) for one in sorted(EVERYTHING)] + [_ALL_BUT_READING],
    ids=lambda some: "+".join(sorted(some)),
)
async def test_nobody_is_offered_what_they_are_refused(rounds: Rounds, permissions: frozenset[Permission]) -> None:
    keys, ends = rounds.estate.control.api_keys, rounds.estate.control.clock.now() + timedelta(days=3)
    made = await keys.create(name="offered", permissions=permissions, connections=None)
    await keys.create(name="ends", permissions=frozenset(), connections=[rounds.linked["whole"].id], expires_at=ends)
    cookie = await rounds.sign_in(made.text.get_secret_value())
    offered = await _offered_to(rounds, cookie)
    assert [one for one, status in offered.items() if status == 403] == []
    assert ("directory.read" in permissions) == any(one.endswith("/people") for one in offered)
    assert ("connections.manage" in permissions) == any(one.endswith("/hook/secret") for one in offered)


async def _offered_to(rounds: Rounds, cookie: str) -> dict[str, int]:
    """Return what links and forms lead somebody to, from the first page on, and how each is answered.

    Of the pages of one route and connection, one is looked at. The forms are sent without their token, which nothing
    but the permission comes before.
    """
    ways = [(route.path, re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path))) for route in pages_of(rounds.app)]
    answers, seen, wanted = dict[str, int](), set[object](), ["/"]
    while wanted:
        address = wanted.pop()
        heard = await rounds.ask("GET", address, cookie=cookie)
        answers[address] = heard.status
        page = heard.body.decode(errors="replace")
        for form in re.findall(r'<form method="post" action="(/[^"]*)"', page):
            action = html.unescape(form)
            if action != "/sign-out" and action not in answers:
                answers[action] = (await rounds.post(action, {"csrf": ""}, cookie)).status
        for link in re.findall(r'<a [^>]*href="(/[^"#?]*)', page):
            there = html.unescape(link)
            kind = next((path for path, way in ways if way.fullmatch(there)), there), there.split("/")[2:3]
            if str(kind) not in seen and "/files/" not in there and "." not in there:
                seen.add(str(kind))
                wanted.append(there)
    return answers


async def _token_of(rounds: Rounds, cookie: str) -> str:
    page = (await rounds.ask("GET", "/", cookie=cookie)).body.decode()
    return page.partition('name="csrf" value="')[2].partition('"')[0]


async def test_every_page_says_where_it_stands_and_what_to_do(rounds: Rounds) -> None:
    """One heading of the first rank, the way past the bar, and a title of its own; nothing is kept by a browser."""
    wrong: list[str] = []
    for address in rounds.addresses():
        heard = await rounds.first(address)
        if not heard.header("content-type").startswith("text/html"):
            continue
        page = heard.body.decode()
        if len(re.findall(r"<h1[ >]", page)) != 1 or '<a class="skip" href="#main">' not in page:
            wrong.append(address)
        if heard.header("cache-control") != "no-store" or heard.header("x-frame-options") != "DENY":
            wrong.append(f"{address}: {heard.headers}")
        if "<title> ·" in page or (
            heard.status >= 400
            and not address.startswith(OF_GUESTS)  # whose only way is to ask for another link
            and 'href="/' not in page.partition("<main")[2]
        ):
            wrong.append(f"{address}: no way on")
    assert wrong == []


def test_a_page_whose_address_nobody_can_make_is_noticed(rounds: Rounds) -> None:
    with pytest.raises(AssertionError, match="invented"):
        list(rounds.filled("/c/{connection}/{invented}"))
    assert list(rounds.filled(f"/c/{NOBODY}/people")) == [f"/c/{NOBODY}/people"]
