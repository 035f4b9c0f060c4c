"""Four companies of two tenants behind the whole HTTP face, every string of each marked, and all kinds of keys."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import anyio
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.sandbox.company.roles import BY_NAME
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.fleet.linking import LinkRequest
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.settings.serving import Serving
from pingone_mcp.tasks import background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.process import Listening, open_socket, url_of
from pingone_mcp.wiring.serving import OpenFace, ServedFleet, open_face
from tests.fleets import Estate, estate
from tests.web.authorization_server import EC_KEY, JWKS, AuthorizationServer, claims, signed
from tests.web.mcp.serving import call, listening, stateless

SIDES = {"a1": "ta", "a2": "ta", "b1": "tb", "b2": "tb"}
"""The connections, and whose each is."""
TENANTS = {"ta": "tenant", "tb": "other tenant"}
"""The keys of tenants."""
BASE = "http://directory.test"
USERS = "/unified/user-directory/users"
ALL: frozenset[str] = frozenset(get_args(Permission))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MARKS = re.compile(r"zq(?:[ab][12]|t[ab])q")
# What a company's own strings are not: ids, times, links, enum values, and the names of roles that all companies have.
_SHARED = re.compile(rf"{UUID.pattern}|\d{{4}}-\d\d-\d\dT[\d:.]+Z|https?://\S+|[A-Z][A-Z_.]*[A-Z]")
_CURSOR = re.compile(r'"(?:next_cursor|nextCursor|later_cursor)": ?"([^"]+)"')
_EXPORT = re.compile(r"pingone://exports/[\w.-]+")


def mark(side: str) -> str:
    """Return what stands in every string of a connection or a tenant, and nowhere else."""
    return f"zq{side}q"


class Marking:
    """What stands before a company: it marks every string that leaves it, and unmarks what is asked."""

    def __init__(self, app: ASGIApp, side: str) -> None:
        self._app, self._mark = app, mark(side)
        self.asked = 0
        self.ids: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        query = scope["query_string"].replace(self._mark.encode(), b"")
        path = scope["path"].replace(self._mark, "")
        parts: list[bytes] = []
        start: Message = {}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message.get("more_body"):
                parts.append(message["body"])
            else:
                body = self._marked(b"".join([*parts, message.get("body", b"")]), path)
                headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
                await send({"type": "http.response.body", "body": body})

        await self._app({**scope, "query_string": query, "path": path}, receive, sending)

    def _marked(self, body: bytes, path: str) -> bytes:
        self.ids.update(UUID.findall(body.decode("utf-8", "replace")))
        if path.endswith("/as/token") or not body.startswith(b"{"):
            return body
        return json.dumps(self._value(json.loads(body))).encode()

    def _value(self, value: Any) -> Any:
        match value:
            case str() if value and not _SHARED.fullmatch(value) and value not in BY_NAME:
                return f"{self._mark}{value}"
            case list():
                return [self._value(one) for one in value]
            case dict():
                return {name: self._value(one) for name, one in value.items()}
        return value


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it goes over the wire: `target` is its path and query, encoded."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def text(self) -> str:
        """All of it, headers too, as one text."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.headers), self.body.decode("utf-8", "replace")])

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")


async def hear(app: ASGIApp, sent: Sent, leaves_after: float = 20.0) -> Heard:
    """Send a request to an application as uvicorn would; the client leaves after so many seconds."""
    path, _, query = sent.target.partition("?")
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in sent.headers]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": ("192.0.2.7", 50_000),
        "scheme": "http",
        "method": sent.method,
        "root_path": "",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "state": {},
    }
    start: dict[str, Any] = {}
    parts: list[bytes] = []
    has_body = [True]
    ended = anyio.Event()

    async def receive() -> Message:
        if has_body:
            has_body.clear()
            return {"type": "http.request", "body": sent.body, "more_body": False}
        with anyio.move_on_after(leaves_after):
            await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                ended.set()

    with anyio.fail_after(leaves_after + 20):
        await app(scope, receive, send)
    answered = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    return Heard(start["status"], answered, b"".join(parts))


@dataclass(kw_only=True)
class Premises:
    """The face of everybody. `things` are what each side has, by side and kind: ids, names, cursors, URIs, sessions."""

    estate: Estate
    face: OpenFace
    issuer: str
    syncs: FleetSyncs
    marking: dict[str, Marking]
    linked: dict[str, LinkedConnection] = field(default_factory=dict[str, LinkedConnection])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    things: dict[str, dict[str, list[str]]] = field(default_factory=dict[str, dict[str, list[str]]])
    tools: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    document: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def app(self) -> ASGIApp:
        return self.face.app

    @property
    def routes(self) -> list[Route]:
        """Every route that there is."""
        found: Any = self.app
        while not hasattr(found, "routes"):
            found = found._app  # noqa: SLF001 - what nobody else needs to know
        return [one for one in found.routes if isinstance(one, Route)]

    def owner_of(self, identity: str) -> str | None:
        """Return whose an id is: a side's or a tenant's; None for what is nobody's, or all have."""
        return self._owners.get(identity)

    def bearer(self, key: str) -> tuple[str, str]:
        return ("Authorization", f"Bearer {self.keys[key]}")

    async def quiet(self) -> None:
        """Wait until no sync goes on: what asks a provider from now on is the request at hand."""
        with anyio.fail_after(60):
            while self.syncs._under_way:  # noqa: ASYNC110, SLF001 - nobody else waits for it
                await anyio.sleep(0.002)

    async def ask(self, target: str, key: str) -> Heard:
        """Ask by GET with a key."""
        return await self.hear(Sent("GET", target, (self.bearer(key),)))

    async def hear(self, sent: Sent, leaves_after: float = 20.0) -> Heard:
        """Send a request after so long a silence that no limit counts what was before."""
        self.estate.time.passed += 11
        given = {name.lower() for name, _ in sent.headers}
        host = () if "host" in given else (("Host", BASE.partition("://")[2]),)
        return await hear(self.app, dataclasses.replace(sent, headers=(*host, *sent.headers)), leaves_after)

    async def speak(self, side: str, message: dict[str, Any], key: str | None = None) -> Heard:
        """Send a message of MCP to a connection, without a session."""
        body, headers = stateless(message)
        path = f"/c/{self.linked[side].id}/mcp"
        return await self.hear(mcp(path, (self.bearer(key or side), *headers.items()), body))

    def token(self, audience: str, **more: Any) -> str:
        """Return an access token of the authorization server."""
        now = self.estate.time.now()
        whole = {
            "iss": self.issuer,
            "aud": audience,
            "exp": now + 300,
            "iat": now,
            "scope": " ".join(sorted(ALL)),
            **more,
        }
        return signed(claims(**whole), alg="ES256", kid="two", key=EC_KEY)

    async def account_token(self, side: str) -> str:
        text, _ = await self.estate.control.tokens.create_account(self.linked[side].id, ALL)
        return text.get_secret_value()

    async def cookie(self, reach: frozenset[str] | None = None) -> tuple[str, str]:
        """Sign a browser in, as the person at this machine or as somebody who reaches some sides, and return its cookie
        with what its forms hold.
        """
        permissions: Any = ALL
        connections = None if reach is None else frozenset(self.linked[side].id for side in reach)
        person = Caller(
            kind="session",
            client_id="browser",
            issuer="local",
            subject="me",
            permissions=permissions,
            connections=connections,
        )
        answer = await self.hear(Sent("GET", f"/login?code={self.face.sessions.new_code(person)}"))
        cookie = answer.header("set-cookie").partition(";")[0]
        session = self.face.sessions.of(Headers({"cookie": cookie}))
        assert session is not None
        return cookie, session.csrf_token

    async def furnish(self) -> None:
        """Link everybody, give out keys, sync, and note what each side has that another could name."""
        control = self.estate.control
        for side, tenant in SIDES.items():
            request_name = f"{mark(side)}company"
            self.linked[side] = linked = await self._link(side, request_name, mark(tenant))
            await self._key(side, connections=[linked.id])
        await self._key("both", connections=[self.linked["a1"].id, self.linked["a2"].id])
        await self._key("tenant", tenant=mark("ta"))
        await self._key("other tenant", tenant=mark("tb"))
        await self._key("all")
        await self._key("revoked")
        [revoked] = [one for one in await control.api_keys.listed() if one.name == "revoked"]
        await control.api_keys.revoke(revoked.id)
        for side in SIDES:
            self.things[side] = await self._things(side)
        self.document = json.loads((await self.ask("/openapi.json", "a1")).body)
        heard = await self.speak("a1", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        self.tools = json.loads(_data(heard))["result"]["tools"]
        owners: defaultdict[str, set[str]] = defaultdict(set)
        for side, marking in self.marking.items():
            for identity in {*marking.ids, *(self.things[side][kind][0] for kind in ("connection", "run", "schedule"))}:
                owners[identity].add(side)
        self._owners = {identity: next(iter(own)) for identity, own in owners.items() if len(own) == 1}
        self._owners |= {self.things[side]["webhook"][0]: tenant for side, tenant in SIDES.items()}

    async def _link(self, side: str, name: str, tenant: str) -> LinkedConnection:
        request = LinkRequest(values=self.estate.values(side), name=name, tenant=tenant)
        return await self.estate.administration.linking.connect(request, self.estate.steps.append)

    async def _key(self, name: str, connections: list[str] | None = None, tenant: str | None = None) -> None:
        create = self.estate.control.api_keys.create
        made = await create(name=name, permissions=ALL, connections=connections, tenant=tenant)
        self.keys[name] = made.text.get_secret_value()

    async def _things(self, side: str) -> dict[str, list[str]]:
        """Use a connection as its owner does, and keep what comes of it."""
        sandbox, linked = self.estate.company(side).sandbox, self.linked[side]
        user = next(iter(sandbox.users()))
        texts = [(await self.ask(f"{USERS}?limit=2", side)).text]
        texts.append((await self.ask("/unified/user-directory/groups?limit=1", side)).text)
        texts.append((await self.ask("/unified/user-directory/organizations?limit=1", side)).text)
        texts.append((await self.speak(side, call("sync_directory"))).text)
        texts.append((await self.ask(f"{USERS}?limit=2&truto_super_query=true", side)).text)
        for tool, arguments in (
            ("list_users", {"limit": 2}),
            ("list_changes", {"limit": 1}),
            ("access_review", {"format": "csv"}),
            ("access_review", {"format": "jsonl"}),
        ):
            texts.append((await self.speak(side, call(tool, **arguments))).text.replace('\\"', '"'))
        whole = "\n".join(texts)
        group, workspace = [
            json.loads((await self.ask(f"/unified/user-directory/{path}?limit=1", side)).body)["result"][0]["id"]
            for path in ("groups", "workspaces")
        ]
        environment = sandbox.environment_id
        things = {
            "connection": [linked.id],
            "tenant": [mark(SIDES[side])],
            "name": [linked.name, f"{mark(side)}{user['username']}", f"{mark(side)}{user['email']}"],
            "user": [user["id"]],
            "group": [group],
            "workspace": [workspace],
            "environment": [environment],
            "webhook": [
                await self._made(
                    "/webhook", TENANTS[SIDES[side]], target_url=f"https://{mark(SIDES[side])}.example.com"
                )
            ],
            "run": [await self._made("/sync-job-run", side, integrated_account_id=linked.id)],
            "schedule": [
                await self._made(
                    "/schedule", side, integrated_account_id=linked.id, kind="full_sync", cron="0 3 * * *", zone="UTC"
                )
            ],
            "roster": [await self._roster(side)],
            "cursor": sorted(set(_CURSOR.findall(whole))),
            "session": [await self._session(side)],
            "uri": [
                *sorted(set(_EXPORT.findall(whole))),
                f"pingone://environments/{environment}/users/{user['id']}",
                f"pingone://environments/{environment}/groups/{group}",
                f"{BASE}/c/{linked.id}/mcp",
            ],
            "path": [f"environments/{environment}/users/{user['id']}", f"/environments/{environment}/groups"],
        }
        assert all(things.values()), things
        assert any("exports" in one for one in things["uri"]), whole
        assert len(things["cursor"]) >= 3, whole
        return things

    async def _roster(self, side: str) -> str:
        """Push a roster and rules for roles, in which everything is marked, and return its name."""
        name, of = f"{mark(side)}roster", f"?integrated_account_id={self.linked[side].id}"
        for path, kind, text in (
            (f"/roster/{name}", "text/csv", f"email,name\n{mark(side)}@example.com,{mark(side)}\n"),
            ("/role-rules", "application/toml", f'[[rule]]\nrole = "{mark(side)}"\ngroup = "{mark(side)}"\n'),
        ):
            headers = (self.bearer(side), ("Content-Type", kind))
            heard = await self.hear(Sent("PUT", path + of, headers, text.encode()))
            assert heard.status == 200, heard.text
        return name

    async def _made(self, path: str, key: str, **body: str) -> str:
        """Make something by POST, and return its id."""
        headers = (self.bearer(key), ("Content-Type", "application/json"))
        made: dict[str, str] = json.loads(
            (await self.hear(Sent("POST", path, headers, json.dumps(body).encode()))).body
        )
        return made["id"]

    async def _session(self, side: str) -> str:
        opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "s", "version": "1"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": opening}
        heard = await self.hear(mcp(f"/c/{self.linked[side].id}/mcp", (self.bearer(side),), message))
        return heard.header("mcp-session-id")


def mcp(path: str, headers: Iterable[tuple[str, str]], message: Any) -> Sent:
    """Return a message of MCP as it is sent."""
    own = (("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json"))
    return Sent("POST", path, (*own, *headers), json.dumps(message).encode())


def _data(heard: Heard) -> str:
    lines = heard.body.decode().splitlines()
    return next((line.removeprefix("data: ") for line in reversed(lines) if line.startswith("data: ")), lines[0])


@contextlib.asynccontextmanager
async def premises(folder: Path) -> AsyncIterator[Premises]:
    """Open the whole face as `serve` does, furnished."""
    server = AuthorizationServer()
    where = Listening(host="127.0.0.1", port=0)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(open_socket(where))
        url = url_of(where, listener)
        server.issuer, server.jwks_uri = f"{url}/acme/as", f"{url}{JWKS}"
        await stack.enter_async_context(listening(server, where, listener, lambda: None))
        opened = await stack.enter_async_context(estate(folder))
        marking = {side: _marked(opened, side) for side in SIDES}
        # Who looks at something again and again does that by the real time.
        clock = dataclasses.replace(opened.time.clock(), sleep=anyio.sleep)
        tasks = await stack.enter_async_context(background())
        syncs = FleetSyncs(opened.control, opened.fleet, tasks, clock)
        served = ServedFleet(opened.fleet, syncs, opened.administration.linking, opened.rosters)
        settings = Serving(oauth_issuer=server.issuer)
        opening = open_face(opened.control, served, settings, PublicAddress(BASE), log=lambda _: None, clock=clock)
        face = await stack.enter_async_context(opening)
        made = Premises(estate=opened, face=face, issuer=server.issuer, syncs=syncs, marking=marking)
        await made.furnish()
        yield made


def _marked(opened: Estate, side: str) -> Marking:
    sandbox = opened.company(side).sandbox
    marking = Marking(sandbox.app, side)
    sandbox.app = marking
    return marking
