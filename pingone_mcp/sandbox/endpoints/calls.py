"""One authenticated request on its way to an endpoint, and what every endpoint asks of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from starlette.requests import Request

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.activities import Actor
from pingone_mcp.sandbox.company.roles import BY_NAME, WHOLE_ENVIRONMENT, Narrowing, Permission
from pingone_mcp.sandbox.company.sample import Company, SampleEnvironment
from pingone_mcp.sandbox.company.state import EnvironmentState, both
from pingone_mcp.sandbox.cursors import Cursor, Cursors, InvalidCursor
from pingone_mcp.sandbox.endpoints.tokens import Application
from pingone_mcp.sandbox.errors import Json, invalid, malformed, not_found, not_permitted, wrong_media_type
from pingone_mcp.sandbox.hal import Reply, envelope, href, query
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.times import SECOND, MovableClock
from pingone_mcp.sandbox.webhooks.feeds import Feeds

ELSEWHERE = "https://elsewhere.example.net"


@dataclass
class PageFaults:
    """What is to go wrong with the page that answers a request, and who was on it."""

    rows: int | None = None
    ends: int | None = None
    """After so many rows the list is said to end, and its count ends there too."""
    miscount: int = 0
    next: str = ""
    served: list[int] = field(default_factory=list)
    environment_id: str = ""


@dataclass
class World:
    """All there is behind the API: the company as it is now, the worker application, options and time."""

    company: Company
    options: Options
    clock: MovableClock
    application: Application
    states: dict[str, EnvironmentState]
    cursors: Cursors
    feeds: Feeds
    narrowed: dict[str, Narrowing] = field(default_factory=dict[str, Narrowing])
    """By environment: what was taken from the roles of the application."""

    def environments(self) -> list[SampleEnvironment]:
        """List the environments the application has any role in."""
        return [one for one in self.company.environments if self.reach(one, None) is not False]

    def reach(self, environment: SampleEnvironment, permission: Permission | None) -> frozenset[str] | bool:
        """Say how far a permission (None: any) reaches in an environment: all, nothing, or some populations."""
        narrowing = self.narrowed.get(environment.id, Narrowing())
        granted = self._granted(environment, permission)
        if not narrowing.environment:
            return False
        if permission in WHOLE_ENVIRONMENT:
            return granted if narrowing.configuration else False
        if permission is None or narrowing.populations is None or granted is False:
            return granted
        return (narrowing.populations if granted is True else narrowing.populations & granted) or False

    def _granted(self, environment: SampleEnvironment, permission: Permission | None) -> frozenset[str] | bool:
        populations: set[str] = set()
        here = self.states[environment.id].populations
        for grant in self.application.grants:
            if permission is not None and not self._allows(grant.role, permission):
                continue
            if grant.scope_id in {self.company.organization_id, environment.id}:
                return True
            if grant.scope == "POPULATION" and grant.scope_id in here:
                populations.add(grant.scope_id)
        return frozenset(populations) or False

    def _allows(self, role: str, permission: Permission) -> bool:
        match permission:
            case "read subscriptions":
                return role in self.options.subscription_readers
            case "manage subscriptions":
                return role in self.options.subscription_managers
        return permission in BY_NAME[role].permissions


@dataclass
class Call:
    """One request: who asks, for what, and (once it is checked) in which environment."""

    world: World
    request: Request
    raw: bytes
    actor: Actor
    correlation_id: str
    page: PageFaults
    populations: frozenset[str] | None = None
    """The populations the application may see; None: all."""

    @property
    def options(self) -> Options:
        """The choices where PingOne's behaviour is unconfirmed."""
        return self.world.options

    @property
    def address(self) -> str:
        """Where the API is, as this client reached it."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}/v1"

    @property
    def here(self) -> str:
        """The address of what was asked for, without the query."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}{self.request.url.path}"

    @cached_property
    def home(self) -> str:
        """The address of the environment."""
        return f"{self.address}/environments/{self.state.id}"

    def named(self, part: str) -> str:
        """Give a part of the path by its name in the route."""
        return str(self.request.path_params[part])

    def asked(self, parameter: str) -> str | None:
        """Give a query parameter; an empty one is absent."""
        return self.request.query_params.get(parameter) or None

    @cached_property
    def state(self) -> EnvironmentState:
        """The environment named in the path."""
        return self.world.states[self.named("environment")]

    def enter(self, permission: Permission | None) -> None:
        """Check the environment in the path and the role of the application; raises 403 (or 404, by option)."""
        environment_id = self.request.path_params.get("environment")
        if environment_id is None:
            return
        state = self.world.states.get(environment_id)
        if state is None or not self.narrowing(environment_id).environment:
            raise not_found() if self.options.unknown_environment_status == 404 else not_permitted()
        reach = self.world.reach(state.sample, permission)
        if reach is False and permission == "read places" and self.options.places_without_users:
            reach = self.world.reach(state.sample, "read configuration") is True
        if reach is False or (permission in WHOLE_ENVIRONMENT and reach is not True):
            raise not_permitted()
        self.populations = reach if isinstance(reach, frozenset) else None

    def narrowing(self, environment_id: str) -> Narrowing:
        """Say what was taken from the application's roles in an environment."""
        return self.world.narrowed.get(environment_id, Narrowing())

    def reaches(self, population_id: object) -> bool:
        """Say whether the application's role reaches a population."""
        return self.populations is None or population_id in self.populations

    def matching(self, node: scim.Node | None) -> bytes:
        """Flag, for every position, whether there is a user the application sees and for whom the filter holds."""
        if self.populations is not None:
            reached = scim.Disjunction(
                tuple(scim.AttributeCondition("population.id", "eq", one) for one in sorted(self.populations))
            )
            node = reached if node is None else scim.Conjunction((reached, node))
        flags = self.state.matching(node)
        hidden = self.narrowing(self.state.id).hidden
        return both(flags, self.state.all_but(hidden)) if hidden else flags

    # ------------------------------------------------------------------------------------------------------ body

    @property
    def media_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()

    def body(self, *accepted: str) -> Json:
        """Read the body as an object; raises 415 for another media type and 400 for what is not JSON."""
        accepted = accepted or ("application/json",)
        if self.media_type not in accepted:
            raise wrong_media_type(list(accepted))
        try:
            body = json.loads(self.raw or b"{}")
        except ValueError as problem:
            raise malformed("The body is not JSON.") from problem
        if not isinstance(body, dict):
            raise malformed("The body is not an object.")
        return body

    def reference(self) -> str:
        """Read a body of the form `{"id": "…"}`."""
        id_ = self.body().get("id")
        if not isinstance(id_, str) or not id_:
            raise invalid("REQUIRED_VALUE", "must not be empty", "id")
        return id_

    def record(
        self,
        action: str,
        result: str,
        resource: tuple[str, str, str],
        population_id: str | None = None,
        *,
        modified: tuple[str, ...] = (),
        whole_result: bool = False,
    ) -> None:
        """Write to the audit log what this request did, as `EnvironmentState.record` takes it."""
        headers = self.request.headers
        correlation = {
            name: headers[header]
            for name, header in (
                ("sessionId", "x-ping-external-session-id"),
                ("transactionId", "x-ping-external-transaction-id"),
            )
            if header in headers
        }
        telemetry = {"internalCorrelation": correlation} if correlation else {}
        address = self.request.client.host if self.request.client else ""
        telemetry["source"] = {"ipAddress": address, "userAgent": headers.get("user-agent", "")}
        self.state.record(
            actor=self.actor,
            correlation_id=self.correlation_id,
            action=action,
            result=result,
            resource=resource,
            population_id=population_id,
            telemetry=telemetry,
            modified=modified,
            whole_result=whole_result,
        )

    # ----------------------------------------------------------------------------------------------------- lists

    def limit(self, cap: int) -> int:
        """Read `limit`: at least 1, served up to `cap`."""
        text = self.asked("limit")
        if text is None:
            return cap
        if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
            raise invalid("INVALID_PARAMETER", "must be a number from 1", "limit", rangeMinimumValue=1)
        return min(int(text[:9]), cap)

    def filter(self, spoken: scim.Language, text: str | None) -> scim.Node | None:
        """Read a filter; InvalidFilter becomes a 400 where errors are written."""
        return scim.parse(text, spoken) if text else None

    def place(self) -> tuple[int | None, str]:
        """Read the cursor: the anchor to go on behind (None: from the start) and the filter that holds."""
        filter_, text = self.asked("filter") or "", self.asked("cursor")
        if text is None:
            return None, filter_
        options = self.options
        try:
            cursor = self.world.cursors.read(text, self.request.url.path, filter_, bound=options.cursor_bound_to_filter)
        except InvalidCursor as problem:
            raise invalid("INVALID_PARAMETER", "the cursor is not valid", "cursor") from problem
        lifetime = options.cursor_lifetime
        if lifetime is not None and self.world.clock.now() > cursor.issued + lifetime * SECOND:
            raise invalid("INVALID_PARAMETER", "the cursor has expired", "cursor")
        return cursor.anchor, cursor.filter

    def next_link(self, anchor: int, filter_: str, *, limit_first: bool = True) -> Json:
        """Write the link behind `anchor`, as the links of a page hold it; a fault may bend it, or lose it."""
        if self.page.next == "lost_next":
            return {}
        return {"next": href(self._next_href(anchor, filter_, limit_first=limit_first))}

    def _next_href(self, anchor: int, filter_: str, *, limit_first: bool) -> str:
        inside = self.options.cursor_carries_filter and bool(filter_)
        cursor = Cursor(self.request.url.path, anchor, self.world.clock.now(), filter_, inside)
        parameters = [("limit", self.asked("limit")), ("filter", None if inside else filter_ or None)]
        if not limit_first:
            parameters.reverse()
        parameters.append(("cursor", self.world.cursors.write(cursor)))
        link = self.here + query(*parameters)
        match self.page.next:
            case "foreign_next":
                return ELSEWHERE + link.removeprefix(f"{self.request.url.scheme}://{self.request.url.netloc}")
            case "foreign_path_next":
                other = next(one.id for one in self.world.company.environments if one.id not in self.here)
                return link.replace(f"/environments/{self.named('environment')}", f"/environments/{other}", 1)
            case "repeated_next":
                return str(self.request.url)
        return link

    def listed(
        self,
        noun: str,
        rows: list[tuple[int, Json]],
        *,
        spoken: scim.Language | None = None,
        limit_in_self: bool = True,
        limit_first: bool = False,
        count: bool = True,
        cap: int | None = None,
        member_of: Callable[[int, str], scim.Membership | None] = lambda _row, _group: None,
        value_of: Callable[[Json, str], object],
    ) -> Reply:
        """Answer with a page of a short list: `rows` are (place, object) in order; filters are asked row by row."""
        anchor, filter_ = self.place()
        node = self.filter(spoken, filter_) if spoken else None
        if node is not None:

            def answers(place: int, row: Json, node: scim.Node = node) -> bool:
                return scim.holds(node, lambda path: value_of(row, path), lambda group_id: member_of(place, group_id))

            rows = [(place, row) for place, row in rows if answers(place, row)]
        size = min(self.limit(cap or self.options.max_page), self.page.rows or 2**31)
        left = [(place, row) for place, row in rows if anchor is None or place > anchor]
        if self.page.ends is not None:
            rows = rows[: len(rows) - len(left) + self.page.ends]
            left = left[: self.page.ends]
        shown = left[:size]
        asked = [("limit", self.asked("limit") if limit_in_self else None), ("filter", filter_ or None)]
        if not limit_first:
            asked.reverse()
        links: Json = {"self": href(self.here + query(*asked))}
        if len(left) > size:
            links = self.next_link(shown[-1][0], filter_, limit_first=limit_first) | links
        body = envelope(
            noun,
            [row for _, row in shown],
            links,
            count=len(rows) + self.page.miscount if count else None,
            size=len(shown),
        )
        return Reply(200, body)


@dataclass(frozen=True)
class Endpoint:
    """One method of one path: the permission it takes, and the function that answers."""

    method: str
    path: str
    permission: Permission | None
    answer: Callable[[Call], Reply]
