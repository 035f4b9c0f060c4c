"""Two tenants with two connections each: whatever one asks, with whatever credential, it hears nothing of another.

Requests are drawn as symbols (the cursor of b1, the id of a user of a2, ...) and go through the whole face. Of what a
credential does not reach nothing may stand in the answer, nothing may be asked of its provider; and the answer is the
one to the same request about what does not exist.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from pingone_mcp.service.callers import Caller
from pingone_mcp.service.fleet.fleet import Fleet
from pingone_mcp.web.authentication.access_tokens import AccessTokens
from tests.depth import SOAK, long, soaked, tries
from tests.web.mcp.serving import call, stateless
from tests.web.premises import BASE, MARKS, SIDES, UUID, Heard, Premises, Sent, mark, mcp, premises

GHOST = "gh"
"""A side that does not exist, with things like everybody's."""
KINDS = (
    "connection",
    "tenant",
    "name",
    "user",
    "group",
    "workspace",
    "environment",
    "webhook",
    "run",
    "schedule",
    "roster",
    "cursor",
    "session",
    "uri",
    "path",
)
NAMED = (
    "connection",
    "user",
    "group",
    "workspace",
    "environment",
    "webhook",
    "run",
    "roster",
    "schedule",
    "path",
    "cursor",
    "uri",
)
"""Kinds of which each is tried in the place of each name that a path has."""
METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REACH: dict[str, frozenset[str]] = {
    "a1": frozenset({"a1"}),
    "b2": frozenset({"b2"}),
    "both": frozenset({"a1", "a2"}),
    "tenant": frozenset({"a1", "a2"}),
    "all": frozenset(SIDES),
    "account token": frozenset({"a1"}),
    "session": frozenset(SIDES),
    "session of a1": frozenset({"a1"}),
    "access token": frozenset({"a1"}),
    "access token of the API": frozenset(),
    "expired access token": frozenset(),
    "token of a worker": frozenset(),
    "link token": frozenset(),
    "revoked": frozenset(),
    "wrong": frozenset(),
    "none": frozenset(),
}
"""The kinds of credentials, and the connections that each reaches."""
FORMER = {"expired access token": frozenset({"a1"})}
"""What a credential was for: who sends it may hear that it is over."""
WRITES = (lambda text: text, quote, lambda text: quote(quote(text, safe="")), lambda text: quote(text, safe=""))
"""Ways to encode a value in a URL."""
KEYS = ("{}", "{}[]", "{}[0]", "{}[eq]", "{}[in]", "{}[id]", "{} ", "%7B{}%7D")
TRICKS = (
    "Host",
    "X-Forwarded-Host",
    "X-Forwarded-For",
    "X-Forwarded-Prefix",
    "X-Original-URL",
    "X-Connection",
    "X-Integrated-Account-Id",
    "Integrated-Account-Id",
    "X-Tenant-Id",
    "Mcp-Session-Id",
    "Last-Event-ID",
    "Cookie",
    "Origin",
    "Idempotency-Key",
    "Mcp-Name",
)
FIELDS = ("name", "environment_id", "client_id", "draft", "environments", "populations", "next", "tenant")
"""Fields that forms of pages have, or might take by mistake."""
RUINOUS = ("/link/remove", "/link/pause", "/link/rename")
"""Ends of the paths of forms that take away what others here still need."""
OTHERS = ("integrated_account_id", "next_cursor", "tenant_id", "id", "connection", "limit")
"""Parameters and members that some route has, and others may take by mistake."""
CALLS = (
    "tools/call",
    "tools/call",
    "resources/read",
    "resources/subscribe",
    "subscriptions/listen",
    "prompts/get",
    "completion/complete",
)
LISTS = ("tools/list", "resources/list", "resources/templates/list", "prompts/list", "ping", "initialize")
_OF_ANSWERS = re.compile(
    r"(?:x-request-id: |correlation_id\W+)[0-9a-f-]+|mcp-session-id: [0-9a-f]{32}|content-length: \d+"
    r'|nonce-[\w-]+|nonce="[^"]+"|as <code>[0-9a-f]{16}</code>'
    r'|(?:seconds|age_s)\W+\d+|"raw_response":\{[^}]*\}|"(?:created|updated|started|expires)_at":"[^"]+"'
    r"""|nonce[-=]["']?[\w-]{22}|has this as <code>[0-9a-f]+|(?:add|reconnect)/[\w-]{24}"""  # of pages
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}")


@dataclass(frozen=True)
class Ref:
    """Something that a side has: a symbol, so that examples can be read and drawn again."""

    side: str
    kind: str
    index: int = 0


@dataclass(frozen=True)
class Wanted:
    """A request in symbols. `asked` is the connection in its path, where that names one; `method` None the route's."""

    credential: str
    route: int
    asked: Ref
    method: str | None = None
    fills: tuple[Ref, ...] = ()
    query: tuple[tuple[int, str, Ref], ...] = ()
    headers: tuple[tuple[str, Ref], ...] = ()
    message: str = "tools/call"
    tool: int = 0
    arguments: tuple[tuple[int, Ref], ...] = ()
    write: int = 0
    is_bare: bool = False

    @property
    def refs(self) -> tuple[Ref, ...]:
        asked = (ref for _, _, ref in self.query)
        return (self.asked, *self.fills, *asked, *(ref for _, ref in (*self.headers, *self.arguments)))


STEP = 1 if SOAK else 5
"""Of what is asked in turn, `make test` asks every so many-th."""
REFS = st.builds(Ref, st.sampled_from([*SIDES, "b1"]), st.sampled_from(KINDS), st.integers(0, 3))
PLACES = st.builds(Ref, st.sampled_from([*SIDES, "a1", "b1"]), st.just("connection"))
CREDENTIALS = st.sampled_from([*REACH, *(name for name, reach in REACH.items() if reach)])
ROUTES = st.sampled_from(range(1_000))
KEY = st.sampled_from(KEYS[:1] * 6 + KEYS)
SIMPLE = st.builds(
    Wanted,
    credential=CREDENTIALS,
    route=ROUTES,
    asked=PLACES,
    message=st.sampled_from(["tools/call", "resources/read"]),
    tool=st.integers(0, 50),
    is_bare=st.just(True),
)
"""What a client would send: nothing but the connection that it means."""
ODD = st.builds(
    Wanted,
    credential=CREDENTIALS,
    route=ROUTES,
    asked=PLACES,
    method=st.sampled_from([*[None] * 12, *METHODS]),
    fills=st.lists(REFS, min_size=1, max_size=1).map(tuple),
    query=st.lists(st.tuples(st.integers(0, 99), KEY, REFS), max_size=3).map(tuple),
    headers=st.lists(st.tuples(st.sampled_from(TRICKS), REFS), max_size=2).map(tuple),
    message=st.sampled_from([*CALLS, *LISTS]),
    tool=st.integers(0, 50),
    arguments=st.lists(st.tuples(st.integers(0, 12), REFS), max_size=3).map(tuple),
    write=st.integers(0, len(WRITES) - 1),
    is_bare=st.booleans(),
)
WANTED = st.one_of(SIMPLE, ODD)


class Asking:
    """Draws become requests, and their answers are looked through."""

    def __init__(self, made: Premises) -> None:
        self.made = made
        self._tokens: dict[str, str] = {}  # of the forms of sessions, by their cookies

    async def check(self, wanted: Wanted) -> None:
        """Send a request, and fail where its answer holds what its sender does not reach."""
        reach = REACH[wanted.credential]
        credential = await self._credential(wanted.credential)
        sent = self._request(wanted, credential, {})
        if self._harms_itself(sent, reach):
            return
        may_ask = self._allowed(wanted, sent, reach)
        await self.made.quiet()
        others = {side: self.made.marking[side].asked for side in SIDES if side not in reach}
        heard = await self._hear(sent)
        assert heard.status < 500, (sent, heard)
        self._look(wanted, sent, heard, may_ask)
        asked = {side: self.made.marking[side].asked for side in others}
        assert asked == others, (sent, "somebody else's provider was asked")
        foreign = {ref.side for ref in wanted.refs} - reach - FORMER.get(wanted.credential, frozenset())
        if foreign and not self._is_alone(wanted, sent, heard):
            await self._compare(wanted, sent, heard, credential, foreign)

    def _is_alone(self, wanted: Wanted, sent: Sent, heard: Heard) -> bool:
        """Say whether there is no other answer like this one: something was made, or is known by what no ghost has."""
        has_made = heard.status < 300 and sent.method not in ("GET", "HEAD") and "/mcp" not in sent.path
        texts = [(ref.kind, self._value(ref)) for ref in wanted.refs]
        return has_made or any(kind in ("cursor", "session") or "export" in text for kind, text in texts)

    async def _hear(self, sent: Sent) -> Heard:
        await self.made.quiet()
        names = {name.lower(): value for name, value in sent.headers}
        is_live = sent.path.rstrip("/").endswith("/live")
        is_stream = (sent.method == "GET" and ("/mcp" in sent.path or is_live)) or names.get(
            "mcp-method"
        ) == "subscriptions/listen"
        return await self.made.hear(sent, 0.02 if is_stream else 20.0)

    async def _compare(
        self, wanted: Wanted, sent: Sent, heard: Heard, credential: Sequence[tuple[str, str]], foreign: set[str]
    ) -> None:
        """Fail where the answer about what is another's differs from that about what does not exist."""
        swapped = {side: self._ghosts(side) for side in foreign}
        ghostly = self._request(wanted, credential, swapped)
        if ghostly == sent:
            return
        hidden = [pair for pairs in swapped.values() for pair in pairs.items()]
        answer = _plain(await self._hear(ghostly), hidden)
        if answer != _plain(heard, hidden):  # what is asked for the first time may say more than what was read before
            assert answer == _plain(await self._hear(sent), hidden), (sent, ghostly)

    def _ghosts(self, side: str) -> dict[str, str]:
        """Return what there is not, of the same form, for each word that is a side's own."""
        texts = " ".join(text for kind in self.made.things[side].values() for text in kind)
        ids = {one: one[::-1].replace("-", "")[:8] + one[8:] for one in UUID.findall(texts)}
        return {**ids, mark(side): f"zq{GHOST[0]}9q", mark(SIDES[side]): "zqt9q"}

    def _look(self, wanted: Wanted, sent: Sent, heard: Heard, allowed: frozenset[str]) -> None:
        said = " ".join([sent.target, *(self._value(ref) for ref in wanted.refs)]).lower()
        tenants = {SIDES[side] for side in allowed}
        for text in _layers(heard.text):
            for found in MARKS.findall(text):
                owner = found[2:-1]
                assert owner in allowed or owner in tenants or found in said, (sent, found, heard.text)
            for identity in UUID.findall(text):
                owner = self.made.owner_of(identity)
                assert owner is None or owner in allowed or owner in tenants or identity in said, (
                    sent,
                    identity,
                    owner,
                    heard.text,
                )

    def _allowed(self, wanted: Wanted, sent: Sent, reach: frozenset[str]) -> frozenset[str]:
        """Return whose things an answer may hold: of several that are reached, those that the request names.

        The page of one connection has nothing of another that the same person reaches.
        """
        if not sent.path.startswith(("/unified", "/proxy", "/c/")) or len(reach) == 1:
            return reach
        said = " ".join([sent.target, *(self._value(ref) for ref in wanted.refs)])
        return frozenset(side for side in reach if self.made.linked[side].id in said)

    def _harms_itself(self, sent: Sent, reach: frozenset[str]) -> bool:
        """Say whether a request would, by right, change what its sender has, and others here still need."""
        things = [self.made.things[side] for side in reach]
        own = any(
            one[kind][0] in sent.target for one in things for kind in ("connection", "webhook", "roster", "schedule")
        )
        if sent.path.endswith("/bulk-delete"):
            return any(one["connection"][0].encode() in sent.body for one in things)
        if own and sent.method == "POST" and sent.path.endswith(RUINOUS):
            return True
        return (
            own
            and sent.method in ("PATCH", "DELETE")
            and sent.path.startswith(("/integrated-account", "/webhook", "/roster", "/role-rules", "/schedule"))
        )

    def _request(
        self, wanted: Wanted, credential: Sequence[tuple[str, str]], swapped: dict[str, dict[str, str]]
    ) -> Sent:
        routes = self.made.routes
        route = routes[wanted.route % len(routes)]
        takes = sorted(route.methods or {"POST"})
        method = wanted.method or takes[wanted.tool % len(takes)]
        value = partial(self._value, swapped=swapped)
        write = WRITES[wanted.write]
        path = re.sub(r"\{connection\}", lambda _: write(value(wanted.asked)), route.path)
        fill = value(wanted.fills[0]) if wanted.fills else value(Ref(wanted.asked.side, "user"))
        path = re.sub(r"\{\w+(:\w+)?\}", lambda _: write(fill), path)
        path = re.sub(r"[^!-~]|[?#]", "x", path)
        headers = [*credential, *((name, value(ref)) for name, ref in wanted.headers)]
        if "/mcp" in route.path and method not in ("PUT", "DELETE", "OPTIONS", "HEAD"):
            if method == "GET" and not wanted.is_bare:
                return Sent("GET", path, (("Accept", "text/event-stream"), *headers))
            message, more = stateless(self._message(wanted, value))
            return mcp(path, (*headers, *((name, text) for name, text in more.items() if text.isascii())), message)
        if route.name.startswith("form ") and method == "POST":
            cookie = next((text for name, text in headers if name == "Cookie"), "")
            fields = {FIELDS[index % len(FIELDS)]: value(ref) for index, _, ref in wanted.query}
            form = urlencode({"csrf": self._tokens.get(cookie, ""), "provider": "sample", **fields})
            own_page = (("Origin", BASE), ("Content-Type", "application/x-www-form-urlencoded"))
            return Sent(method, path, (*headers, *own_page), form.encode())
        described = self._described(route.path, method)
        own = [one["name"] for one in described.get("parameters", ()) if one["in"] == "query"]
        names = [*own, *OTHERS]
        body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        query = [(names[index % len(names)], key, value(ref)) for index, key, ref in wanted.query]
        if wanted.is_bare and "integrated_account_id" in own:
            query.append(("integrated_account_id", "{}", value(wanted.asked)))
        if body is not None and not wanted.write:
            query = []
        target = f"{path}?{'&'.join(f'{key.format(name)}={write(text)}' for name, key, text in query)}"
        target = re.sub(r"[^!-~]", "+", target).rstrip("?")
        if method in ("GET", "HEAD"):
            return Sent(method, target, tuple(headers))
        headers.append(("Content-Type", "application/json"))
        return Sent(method, target, tuple(headers), json.dumps(self._body(wanted, body or {}, value)).encode())

    def _described(self, path: str, method: str) -> dict[str, Any]:
        """Return what the document says of a route; nothing where it is none of the API's."""
        found: dict[str, Any] = self.made.document["paths"].get(re.sub(r":\w+\}", "}", path), {})
        described: dict[str, Any] = found.get(method.lower(), {})
        return described

    def _body(self, wanted: Wanted, schema: dict[str, Any], value: Callable[[Ref], str]) -> dict[str, str]:
        """Return members that a body may have, and those that it must."""
        members = [*schema.get("properties", OTHERS)]
        found = {members[index % len(members)]: value(ref) for index, _, ref in wanted.query}
        if "integrated_account_id" in members:
            found.setdefault("integrated_account_id", value(wanted.asked))
        rest = {name: value(wanted.fills[0] if wanted.fills else wanted.asked) for name in schema.get("required", ())}
        return rest | found

    def _message(self, wanted: Wanted, value: Callable[[Ref], str]) -> dict[str, Any]:
        refs = [ref for _, ref in wanted.arguments] or [Ref(wanted.asked.side, "uri")]
        base = {"jsonrpc": "2.0", "id": 7, "method": wanted.message}
        match wanted.message:
            case "tools/call":
                tool = self.made.tools[wanted.tool % len(self.made.tools)]
                return call(tool["name"], **_arguments(tool["inputSchema"], wanted.arguments, value))
            case "resources/read" | "resources/subscribe":
                return {**base, "params": {"uri": value(refs[0])}}
            case "subscriptions/listen":
                return {**base, "params": {"notifications": {"resourceSubscriptions": [value(ref) for ref in refs]}}}
            case "prompts/get":
                return {**base, "params": {"name": "find_people", "arguments": {"who": value(refs[0])}}}
            case "completion/complete":
                uri = "pingone://environments/{environment}/users/{user}"
                argument = {"name": "user", "value": value(refs[0])}
                return {**base, "params": {"ref": {"type": "ref/resource", "uri": uri}, "argument": argument}}
        return {**base, "params": {}}

    def _value(self, ref: Ref, swapped: dict[str, dict[str, str]] | None = None) -> str:
        found = self.made.things[ref.side][ref.kind]
        text = found[ref.index % len(found)]
        for real, ghost in (swapped or {}).get(ref.side, {}).items():
            text = text.replace(real, ghost)
        return text

    async def _credential(self, name: str) -> list[tuple[str, str]]:
        made, own = self.made, f"{BASE}/c/{self.made.linked['a1'].id}/mcp"
        match name:
            case "none":
                return []
            case "session" | "session of a1":
                cookie, token = await made.cookie(None if name == "session" else REACH[name])
                self._tokens = {cookie: token}
                return [("Cookie", cookie)]
            case "wrong":
                token = made.keys["b1"][:-4] + "0000"
            case "token of a worker":
                token = made.token("https://api.pingone.com")
            case "link token":
                token = (await made.estate.control.tokens.create_link(tenant=mark("ta"))).get_secret_value()
            case "account token":
                token = await made.account_token("a1")
            case "access token":
                token = made.token(own)
            case "access token of the API":
                token = made.token(BASE)
            case "expired access token":
                token = made.token(own, exp=1)
            case _:
                token = made.keys[name]
        return [("Authorization", f"Bearer {token}")]


def _arguments(schema: dict[str, Any], given: Sequence[tuple[int, Ref]], value: Callable[[Ref], str]) -> dict[str, Any]:
    """Return arguments of a tool: texts are drawn, and of everything else there is one."""
    properties: dict[str, Any] = schema["properties"]
    names = list(properties)
    found: dict[str, Any] = {}
    for index, ref in given:
        name = names[index % len(names)]
        one = properties[name]
        plain = {"integer": 2, "boolean": True, "array": [value(ref)], "object": {"id": value(ref)}}
        found[name] = plain.get(one.get("type"), one["enum"][0] if "enum" in one else value(ref))
    for name in schema.get("required", ()):
        found.setdefault(
            name, "SELECT * FROM users" if name == "sql" else value(given[0][1]) if given else "environments"
        )
    return found


def _layers(text: str) -> Iterator[str]:
    """Give a text in small letters, and what is written in base64 in it."""
    yield text.lower()
    for found in _BASE64.findall(text):
        decoded = base64.b64decode(found[: len(found) // 4 * 4].replace("-", "+").replace("_", "/"))
        yield decoded.decode("latin-1").lower()


def _plain(heard: Heard, hidden: Sequence[tuple[str, str]]) -> str:
    """Return an answer without what differs between any two: ids of answers, and the words that were asked for."""
    text = _OF_ANSWERS.sub("", heard.text)
    for real, ghost in hidden:
        text = text.replace(real, "*").replace(ghost, "*")
    return f"{heard.status} {text}"


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def asking(portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder: Path = tmp_path_factory.mktemp("premises")
    with portal.wrap_async_context_manager(premises(folder)) as made:
        yield Asking(made)


@soaked
def test_nothing_of_another_is_in_any_answer(portal: BlockingPortal, asking: Asking) -> None:
    @tries(400)
    @given(WANTED)
    def holds(wanted: Wanted) -> None:
        portal.call(asking.check, wanted)

    holds()


@soaked
def test_every_route_with_every_credential(portal: BlockingPortal, asking: Asking) -> None:
    ask_every_route(portal, asking)


def ask_every_route(portal: BlockingPortal, asking: Asking) -> None:
    """Ask each route for one's own and for another's, without anything odd: what chance may leave out.

    At a first look each credential has a part of the routes, and the next one the next part.
    """
    for start, (credential, side) in enumerate(itertools.product(REACH, ("a1", "b1"))):
        for route in range(start % STEP, len(asking.made.routes), STEP):
            wanted = Wanted(credential, route, Ref(side, "connection"), is_bare=True, message="resources/read")
            portal.call(asking.check, wanted)


@soaked
def test_every_name_in_a_path_with_everything_of_another(portal: BlockingPortal, asking: Asking) -> None:
    """Name in each path whatever another has: what one asks for alone, changes, or deletes."""
    named = [
        index
        for index, one in enumerate(asking.made.routes)
        if one.methods and re.search(r"\{(?!connection)", one.path)
    ]
    for start, (credential, kind) in enumerate(itertools.product(("a1", "tenant", "session of a1"), NAMED)):
        fills, own = (Ref("b1", kind),), Ref("a1", "connection")
        for route in named[start % STEP :: STEP]:
            portal.call(asking.check, Wanted(credential, route, own, fills=fills, write=3, is_bare=True))


def is_seen(portal: BlockingPortal, asking: Asking) -> None:
    """Fail unless the property fails."""

    @settings(
        max_examples=1_500,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],
    )
    @given(SIMPLE)
    def holds(wanted: Wanted) -> None:
        portal.call(asking.check, wanted)

    def ask() -> None:
        ask_every_route(portal, asking)
        holds()

    with pytest.raises((AssertionError, FlakyFailure)):  # what was asked once may be answered from memory
        ask()


@long
def test_a_missing_check_of_the_audience_would_be_seen(
    portal: BlockingPortal, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_any = [f"{BASE}/c/{linked.id}/mcp" for linked in asking.made.linked.values()]
    monkeypatch.setattr(AccessTokens, "_audiences", lambda _self, _place: [*of_any, BASE])
    is_seen(portal, asking)


def test_a_missing_check_of_what_a_key_names_would_be_seen(
    portal: BlockingPortal, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Caller.reaches

    def of_tenants_only(self: Caller, connection: str, tenant: str | None) -> bool:
        return self.connections is not None or whole(self, connection, tenant)

    monkeypatch.setattr(Caller, "reaches", of_tenants_only)
    is_seen(portal, asking)


def test_a_missing_check_of_the_connection_would_be_seen(
    portal: BlockingPortal, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(self: Fleet, caller: Caller, connection: str | None) -> Any:
        return await self._linked.get(connection or "") or await self._only(caller)

    monkeypatch.setattr(Fleet, "find", find)
    is_seen(portal, asking)
