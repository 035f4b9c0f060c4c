"""All pages of the site in all their states: the addresses that its own routes make, of a connection for each state.

Whoever adds a page finds it walked by all tests of all pages; where its path has a name that is not known here, the
walk fails and says so.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.routing import Route

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, NewSchedule
from tests.fleets import Estate
from tests.replica.happenings import Doors
from tests.web.pages.visiting import MARKUP, Hostile
from tests.web.premises import Heard, Sent, hear

NOBODY = "00000000-0000-4000-8000-000000000000"
STATES = ("whole", "held", "refused", "paused", "new")
"""A connection for each: with a whole copy, one whose removals wait for a person, one whose secret is wrong, one that
is paused, and one without a copy."""
LONG = "W" * 400
WORST = f"{MARKUP} </title></textarea></style><svg/onload=alert(1)> javascript:alert(1) {{% raw %}} ${{7*7}} {LONG}"
"""What everything is called in a hostile company."""
NOT_PAGES = {"/c/{connection}/live": "a stream, which does not end"}
OF_GUESTS = "/connect-account"
_AT_A_TIME = 10  # requests; a connection answers fifty in ten seconds
_FORM = ("Content-Type", "application/x-www-form-urlencoded")
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_NAMES = re.compile(r"\{(\w+)(?::\w+)?\}")
# What no route says: what stands behind a path, and paths that lead nowhere.
MORE = (
    "/sign-in?next=/c/none/people",
    "/c/{connection}/people?status=inactive&q=a",
    "/c/{connection}/people?q=nobody",
    "/c/{connection}/people?status=removed",
    "/c/{connection}/people?after=none",
    "/c/{connection}/groups?q=nothing",
    "/c/{connection}/changes?kind=user.removed&days=7",
    "/c/{connection}/changes?person=nobody",
    f"/c/{{connection}}/people/{NOBODY}",
    f"/c/{{connection}}/groups/{NOBODY}",
    f"/c/{NOBODY}/people",
    "/c/{connection}/settings/nothing",
    "/connect-account?link_token=plt_0",
)


def routes_of(app: Any) -> list[Route]:
    """Return every route of a face."""
    while not hasattr(app, "routes"):
        app = app._app  # noqa: SLF001 - what nobody else needs to know
    return [one for one in app.routes if isinstance(one, Route)]


def pages_of(app: Any) -> list[Route]:
    """Return the routes at which people look: those of the site, of signing in, and of guests."""
    own = ("/sign-in", OF_GUESTS)
    return [
        one
        for one in routes_of(app)
        if "GET" in (one.methods or ())
        and (one.name.startswith("page ") or one.path in own or one.path.startswith(f"{OF_GUESTS}/"))
        and one.path not in NOT_PAGES
    ]


def forms_of(app: Any) -> list[Route]:
    """Return the routes of forms."""
    return [
        one
        for one in routes_of(app)
        if "POST" in (one.methods or ()) and (one.name.startswith("form ") or one.path.startswith(OF_GUESTS))
    ]


@dataclass(kw_only=True)
class Rounds:
    """The face, who goes through its pages by a `cookie`, and what there is to fill paths with.

    `linked` are the connections by their states, `link` the token of a guest; `drafts` what is half linked, by the
    path that it belongs to.
    """

    app: Any
    estate: Estate
    origin: str
    cookie: str = field(repr=False)
    linked: dict[str, LinkedConnection]
    link: str = field(repr=False)
    fills: dict[str, tuple[str, ...]]
    drafts: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    others: list[str] = field(default_factory=list[str])
    """Pages that no route says how to come to."""
    _asked: int = 0
    _first: dict[str, Heard] = field(default_factory=dict[str, Heard])
    _shown: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])

    def rest(self) -> None:
        """Let time go on now and then, so that no limit is met; not for each request: what is half linked is kept for
        half an hour.
        """
        self._asked += 1
        if self._asked % _AT_A_TIME == 0:
            self.estate.time.passed += 11

    async def get(self, target: str) -> Heard:
        return await self.ask("GET", target)

    async def first(self, target: str) -> Heard:
        """Return what came when this was got first."""
        if target not in self._first:
            self._first[target] = await self.get(target)
        return self._first[target]

    async def post(self, target: str, fields: Mapping[str, str], cookie: str | None = None) -> Heard:
        return await self.ask("POST", target, fields, cookie)

    async def ask(
        self, method: str, target: str, fields: Mapping[str, str] | None = None, cookie: str | None = None
    ) -> Heard:
        """Send a request as a browser does."""
        self.rest()
        body = b"" if fields is None else urlencode(fields).encode()
        headers = [("Host", urlsplit(self.origin).netloc), ("Cookie", self.cookie if cookie is None else cookie)]
        if fields is not None:
            headers += [("Origin", self.origin), _FORM]
        return await hear(self.app, Sent(method, target, tuple(headers), body))

    def addresses(self) -> list[str]:
        """Return where all pages are, by the routes; and some that only a query makes, or that lead nowhere."""
        found = [address for route in pages_of(self.app) for address in self.filled(route.path)]
        return list(dict.fromkeys([*found, *(address for path in MORE for address in self.filled(path)), *self.others]))

    def filled(self, path: str) -> Iterator[str]:
        """Give a path with all that its names may stand for; in other states than the first, with one of each."""
        names = [name for name in _NAMES.findall(path) if name != "connection"]
        states = STATES if "{connection}" in path else STATES[:1]
        for state in states:
            values = [self._values(name, path) for name in names]
            for chosen in itertools.product(*(some if state == STATES[0] else some[:1] for some in values)):
                stands = dict(zip(names, chosen, strict=True)) | {"connection": self.linked[state].id}
                address = path
                for name, value in stands.items():
                    address = address.replace(f"{{{name}}}", quote(value, safe=""))
                if path.startswith(OF_GUESTS) and "?" not in path:
                    address += f"?link_token={self.link}"
                yield address

    def _values(self, name: str, path: str) -> tuple[str, ...]:
        if name == "draft":
            return next((ids for root, ids in self.drafts.items() if path.startswith(root)), (NOBODY,))
        assert name in self.fills, f"what {{{name}}} of {path} stands for is to be said in `furnished` of {__name__}"
        return self.fills.get(path, self.fills[name])

    async def shown(self, *, further: int = 1) -> dict[str, str]:
        """Return all pages as they came at first, by address: those of the routes, and where links of theirs lead to.

        Of addresses of one route, connection, and names in the query, `further` are followed. Files are no pages.
        """
        if further not in self._shown:
            self._shown[further] = await self._go_through(further)
        return self._shown[further]

    async def _go_through(self, further: int) -> dict[str, str]:
        ways = [(route, re.compile(_NAMES.sub("[^/]+", route.path))) for route in pages_of(self.app)]
        found: dict[str, str] = {}
        wanted, followed = self.addresses(), dict[object, int]()
        while wanted:
            address = wanted.pop(0)
            heard = await self.first(address)
            assert heard.status < 500, (address, heard.text)
            if not heard.header("content-type").startswith("text/html"):
                continue
            page = found[address] = heard.body.decode()
            for link in sorted({html.unescape(one) for one in re.findall(r'href="(/[^"#]*)"', page)}):
                path, _, query = link.partition("?")
                route = next((route for route, way in ways if way.fullmatch(path)), None)
                connection = path.split("/")[2] if path.startswith("/c/") else ""
                kind = (
                    None if route is None else route.path,
                    connection,
                    tuple(sorted(name for name, _ in parse_qsl(query))),
                )
                if route is None or link in found or link in wanted or followed.get(kind, 0) >= further:
                    continue
                followed[kind] = followed.get(kind, 0) + 1
                wanted.append(link)
        return found

    async def sign_in(self, key: str) -> str:
        """Return the cookie of a new session of who holds a key."""
        signed = await self.post("/sign-in", {"key": key}, cookie="")
        return signed.header("set-cookie").partition(";")[0]

    async def token(self, path: str = "/") -> str:
        """Return what the forms of a page hold: of a guest's, or of who has signed in."""
        page = (await self.get(path)).body.decode()
        found = _CSRF.search(page)
        assert found is not None, page
        return found[1]


async def furnished(
    app: Any, estate: Estate, acme: LinkedConnection, origin: str, *, is_hostile: bool = False
) -> Rounds:
    """Link a connection for each state beside one that is there already, and let there be something on every page."""
    control, label = estate.control, WORST[:190] if is_hostile else ""
    key = await control.api_keys.create(
        name="walks", permissions=frozenset(_all_permissions()), connections=None, tenant=None
    )
    linked = {"whole": acme}
    for state in STATES[1:]:
        if is_hostile:
            make_hostile(estate.company(state).sandbox)
        linked[state] = await estate.link(state, tenant="customer")
    if is_hostile:
        if not isinstance(estate.company("acme").sandbox.app, _Worst):
            make_hostile(estate.company("acme").sandbox)
        for state, one in linked.items():
            await control.connections.update(one.id, name=f"{state} {label}"[:190])
    fills = await _let_happen(estate, linked, label)
    link = (await control.tokens.create_link(tenant=label or "customer")).get_secret_value()
    rounds = Rounds(app=app, estate=estate, origin=origin, cookie="", linked=linked, link=link, fills=fills)
    rounds.cookie = await rounds.sign_in(key.text.get_secret_value())
    await control.connections.set_status(linked["refused"].id, "needs_reauth", f"The secret is wrong. {label}")
    await control.connections.update(linked["paused"].id, is_paused=True)
    made = (await rounds.get(f"/c/{acme.id}/reviews/access.csv")).header("location")
    rounds.fills["/c/{connection}/reviews/files/{name}"] = (made.rpartition("/")[2],)
    await _draft(rounds)
    return rounds


def make_hostile(sandbox: Sandbox) -> None:
    """Let every string of a company be the worst that it can be."""
    sandbox.app = _Worst(sandbox.app)


class _Worst(Hostile):
    """Titles are nothing but a URL that runs, all others hold what may run, hides, or is long."""

    def _value(self, value: Any) -> Any:
        made = super()._value(value)
        if isinstance(value, str) and made != value:
            return f"{made} {WORST}"
        if isinstance(made, dict) and "title" in made:
            made["title"] = "javascript:alert(document.domain)"
        return made


async def sync(estate: Estate, linked: LinkedConnection, mode: Any = "full") -> None:
    served = await estate.fleet.current(linked)
    backend = await served.backend()

    async def silent(_: object) -> None:
        """Take no note of progress."""

    await served.syncing(backend).wait(mode, 60.0, silent)


def _all_permissions() -> tuple[Any, ...]:
    from tests.web.faces import EVERYTHING

    return tuple(EVERYTHING)


async def _let_happen(estate: Estate, linked: Mapping[str, LinkedConnection], label: str) -> dict[str, tuple[str, ...]]:
    """Sync, let something happen, sync again; and lay out what stands beside a directory. Return what there is."""
    control, acme = estate.control, linked["whole"]
    for state in ("whole", "held", "refused", "paused"):
        await sync(estate, linked[state])
    sandbox = estate.company("acme").sandbox
    users = [user["id"] for user in sandbox.users()]
    place = sandbox.company.main.populations[0].id
    async with Doors(sandbox) as admin:
        assert await admin.send("PUT", f"/users/{users[3]}/enabled", {"enabled": False}) == 200
        assert await admin.send("DELETE", f"/users/{users[4]}") == 204
        assert await admin.send("PATCH", f"/users/{users[5]}", {"title": "Chief of all"}) == 200
        for number in range(25):  # more than a page
            person = {"username": f"new{number:02}", "email": f"new{number}@example.net", "population": {"id": place}}
            assert await admin.send("POST", "/users", person) == 201
    await sync(estate, acme, "auto")
    held = estate.company("held").sandbox
    held.narrow(held.environment_id, Narrowing(hidden=frozenset(user["id"] for user in list(held.users())[:30])))
    await sync(estate, linked["held"])
    webhooks = [
        (
            await control.webhooks.create(
                target_url=f"https://{name}.example.com/hooks", event_types=(), tenant="customer"
            )
        )[0]
        for name in ("one", "two")
    ]
    await control.outbox.add("record:updated", {"a": 1}, connection_id=acme.id, tenant="customer")
    await control.outbox.give_up(webhooks[0].id, f"Events could not be delivered for 24 hours. {label}")
    schedules = ConnectionSchedules(control, kinds_of())
    drift = await schedules.add(acme.id, NewSchedule(kind="drift", cron="0 7 * * 1", arguments={"roster": "crm"}))
    await schedules.add(acme.id, NewSchedule(kind="full_sync", cron="0 3 * * *"))
    elsewhere = await schedules.add(linked["held"].id, NewSchedule(kind="full_sync", cron="0 4 * * *"))
    due = await control.schedules.get(drift.id)
    assert due is not None
    await control.schedules.settle(due, outcome="new", summary=f"2 are new. {label}", next_at=drift.next_at, found=None)
    known = next(iter(sandbox.users()))["email"]
    quoted = label.replace('"', '""')
    lines = ("email,name", f"{known},Known", f'ivan@example.net,"Ivan {quoted}"')
    await estate.rosters.keeping.push(acme.id, "crm", "csv", "\n".join(lines).encode())
    await estate.rosters.rules.put(acme.id, b'[[rule]]\nrole = "payer"\ngroup = "Finance Approvers"\n')
    groups = list(sandbox.state().groups)
    key = await control.api_keys.create(name="program", permissions=frozenset(), connections=[acme.id])
    return {
        "person": (users[0], users[3], users[4], users[5]),
        "group": tuple(groups[:1] + groups[-1:]),
        "webhook": tuple(one.id for one in webhooks),
        "schedule": (drift.id,),
        "schedule elsewhere": (elsewhere.id,),
        "roster": ("crm",),
        "key": (key.key.id,),
        "name": ("crm",),
    }


async def _draft(rounds: Rounds) -> None:
    """Begin to link by each way that there is: what works, and for a guest what does not, too."""
    acme = rounds.linked["whole"]
    values = rounds.estate.values("beta")
    entered = {name: values[name] for name in ("environment_id", "client_id", "client_secret")}
    entered |= {"provider": "pingone", "region": "NA"}
    guest = f"{OF_GUESTS}?link_token={rounds.link}"
    own = rounds.estate.values("acme")
    again = entered | {name: own[name] for name in ("environment_id", "client_id", "client_secret")}
    other = (await rounds.estate.control.tokens.create_link(tenant="customer")).get_secret_value()
    for root, path, fields in (
        (f"{OF_GUESTS}/", guest, entered),
        (f"{OF_GUESTS}/", guest, {**entered, "client_secret": "wrong"}),
        ("/connections/add/", "/connections/add", entered),
        ("/c/{connection}/link/reconnect/", f"/c/{acme.id}/link/reconnect", again),
        ("", f"{OF_GUESTS}?link_token={other}", entered),
    ):
        token = await rounds.token(path)
        begun = await rounds.post(path, {**fields, "csrf": token})
        assert begun.status == 303, begun.text
        there = begun.header("location")
        await rounds.get(there)  # whose check-up is over then
        if root:
            rounds.drafts[root] = (*rounds.drafts.get(root, ()), urlsplit(there).path.rpartition("/")[2])
        else:
            done = await rounds.post(there, {"name": "Linked", "csrf": token})
            assert done.status == 303, done.text
            rounds.others.append(done.header("location"))
