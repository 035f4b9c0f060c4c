"""`pingone-mcp serve`: settings become a process that serves all connections over HTTP."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import get_args
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.control.control import ControlData, open_control
from pingone_mcp.errors import Problem, Unconfigured
from pingone_mcp.http.outward.targets import Targets
from pingone_mcp.http.routes import trusted_certificates
from pingone_mcp.http.traffic import sent
from pingone_mcp.pingone.feed.events import about, is_foreign
from pingone_mcp.private_files import this_user
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.connections import Connections
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.deliveries import Deliveries, Outcome
from pingone_mcp.service.events.hooks.counts import HookCounts
from pingone_mcp.service.events.hooks.refusals import HookRefusals
from pingone_mcp.service.events.hooks.taking import HookTaking
from pingone_mcp.service.events.hooks.work import HookWork
from pingone_mcp.service.fleet.accounts import CallerAccounts
from pingone_mcp.service.fleet.attention.desk import keeping_desk
from pingone_mcp.service.fleet.departures import Departures
from pingone_mcp.service.fleet.drafting.desk import LinkingDesk
from pingone_mcp.service.fleet.event_targets import EventTargets
from pingone_mcp.service.fleet.fleet import Fleet
from pingone_mcp.service.fleet.hook_form import HookPlace
from pingone_mcp.service.fleet.linking import Linking
from pingone_mcp.service.fleet.rechecks import Rechecks, Refusals
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.service.rosters.desk import RosterDesk
from pingone_mcp.service.schedules.kinds import ScheduleKind, kinds_of
from pingone_mcp.service.schedules.schedules import CallerSchedules
from pingone_mcp.service.schedules.worker import Schedules
from pingone_mcp.settings import ServeSettings
from pingone_mcp.settings.addresses import base_url, is_loopback
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.settings.serving import Serving
from pingone_mcp.settings.targets import TargetRules
from pingone_mcp.tasks import background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.app import Entrance, build_app
from pingone_mcp.web.authentication.access_tokens import TokenRules
from pingone_mcp.web.authentication.id_tokens import OidcRules
from pingone_mcp.web.authentication.login import login_link, login_routes
from pingone_mcp.web.authentication.oidc import OidcSignIn, open_sign_in
from pingone_mcp.web.authentication.opening import open_authenticator
from pingone_mcp.web.authentication.resource_metadata import metadata_routes
from pingone_mcp.web.authentication.sessions import Sessions
from pingone_mcp.web.hooks.door import HookDoor
from pingone_mcp.web.hooks.receiver import hook_routes
from pingone_mcp.web.mcp.face import McpFace
from pingone_mcp.web.operations.health import Note, Probe
from pingone_mcp.web.operations.health import routes as health_routes
from pingone_mcp.web.operations.metrics import FleetFigures, Metrics
from pingone_mcp.web.operations.requests import access_line
from pingone_mcp.web.pages.pages import PageParts, Pages
from pingone_mcp.web.pages.signing_in import CALLBACK
from pingone_mcp.web.process import Listening, open_socket, serve_app, url_of
from pingone_mcp.web.rest.api import ApiParts, api_routes
from pingone_mcp.wiring.alone import alone
from pingone_mcp.wiring.fleet import (
    LinkedBackends,
    LinkedFiles,
    applications_of,
    control_place,
    hook_place,
    keep_default,
    linking_of,
    rosters_of,
)

_WAITS_LONG = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How the process is started. `behind_proxy`: a reverse proxy ends TLS before it. `with_pages`: for people."""

    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str | None = None
    behind_proxy: bool = False
    with_pages: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """The process answers at `url`; `link` signs one browser in, where that is how people sign in."""

    url: str
    link: str | None


async def serve(
    settings: ServeSettings,
    options: ServeOptions,
    *,
    began: Callable[[Began], None],
    log: Callable[[str], None],
    environment: ConnectionSettings | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises Unconfigured where it must not, or cannot, start.

    `environment` is the connection that the variables describe, if they describe one. `began` is called once, when
    requests are answered; `log` gets a line of JSON for each of them.
    """
    clock = clock or Clock()
    where, public_url = _listening(settings, options), _public_url(settings, options)
    folder = settings.state_folder()
    async with AsyncExitStack() as stack:
        stack.enter_context(alone(folder))
        listening = stack.enter_context(open_socket(where))
        control = await stack.enter_async_context(open_control(control_place(settings), clock))
        if environment is not None:
            await keep_default(control, environment)
        await _check_exposure(settings, options, control, public_url)
        own = url_of(where, listening)
        address = PublicAddress(public_url or own, urlsplit(own).port if is_loopback(where.host) else None)
        targets = target_rules(settings, options, address)
        silence = timedelta(minutes=settings.hook_silence_minutes)
        serving = _serving(control, LinkedFiles(folder), clock, environment, targets, silence=silence)
        served = await stack.enter_async_context(serving)
        opening = open_face(control, served, settings, address, log=log, clock=clock, with_pages=options.with_pages)
        face = await stack.enter_async_context(opening)
        link = login_link(address, face.sessions, _person()) if has_link(settings, options, address) else None
        tell = partial(began, Began(url=address.base, link=link))
        await serve_app(face.app, where, listening, began=tell, ends=face.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFace:
    """The HTTP face while it is open: the application, who has signed in, and what ends its streams."""

    app: ASGIApp
    sessions: Sessions
    stop: Callable[[], None]


@asynccontextmanager
async def open_face(
    control: ControlData,
    served: ServedFleet,
    settings: Serving,
    address: PublicAddress,
    *,
    log: Callable[[str], None],
    clock: Clock,
    with_pages: bool = True,
) -> AsyncIterator[OpenFace]:
    """Open the HTTP face of what is served at a public address; `log` gets a line of JSON for each request."""
    sessions = Sessions(address, clock)
    async with (
        open_authenticator(control, address, _token_rules(settings), clock) as authenticator,
        _opened_sign_in(settings, address, clock) as oidc,
        background() as tasks,
    ):
        mcp = McpFace(served.fleet, authenticator, clock=clock)
        taking = served.taking or HookTaking(control, is_foreign)
        metrics = Metrics(partial(_figures, control, clock, served.outcomes, taking.counts), sent)
        probes: dict[str, Probe] = {
            "control": partial(_control_answers, control),
            "keys": control.seals.check,
            "syncs": served.check_syncs,
        }
        notes: dict[str, Note] = {
            "webhooks": partial(_webhooks_given_up, control),
            "schedules": partial(_schedules_failing, control),
            "hooks": partial(_hooks_aside, control),
            "inbox": partial(_inbox_waits, control, clock),
        }
        routes: list[BaseRoute] = [
            *health_routes(probes, metrics, notes),
            *metadata_routes(address, settings.oauth_issuer),
            *mcp.routes(),
            *hook_routes(taking),
            *api_routes(
                ApiParts(
                    control=control,
                    fleet=served.fleet,
                    linking=served.linking,
                    syncs=served.syncs,
                    rosters=served.rosters,
                    server=address.base,
                    targets=served.targets,
                    kinds=served.kinds,
                )
            ),
        ]
        pages = None
        if with_pages:
            accounts = CallerAccounts(control, served.fleet, served.linking)
            desk = LinkingDesk(control, accounts, served.linking, tasks, clock, offers_sample=served.offers_sample)
            pages = Pages(
                PageParts(
                    address=address,
                    authenticator=authenticator,
                    sessions=sessions,
                    fleet=served.fleet,
                    accounts=accounts,
                    desk=desk,
                    form_key=control.derive("forms of link tokens"),
                    clock=clock,
                    targets=EventTargets(control, served.targets.allow_url),
                    schedules=CallerSchedules(control, served.fleet, served.kinds),
                    keeping=keeping_desk(
                        control,
                        served.fleet,
                        served.linking,
                        served.syncs,
                        rosters=served.rosters,
                        hooks=_hook_place(address),
                    ),
                    rosters=served.rosters.keeping,
                    oidc=oidc,
                )
            )
            routes = [*pages.routes, *routes]
        routes += login_routes(address, sessions, None if pages is None else pages.first)

        def stop() -> None:
            mcp.stop()
            if pages is not None:
                pages.stop()

        entrance = Entrance(
            refused_page=None if pages is None else pages.refused,
            address=address,
            authenticator=authenticator,
            sessions=sessions,
            meant=served.fleet.meant,
            knock=HookDoor(control.hook_secrets.opens),
            clock=clock,
            allowed_origins=frozenset(settings.allowed_origins),
        )
        app = build_app(entrance, routes, [metrics.count, lambda request: log(access_line(request))])
        async with mcp.serving():
            yield OpenFace(app=app, sessions=sessions, stop=stop)


@dataclass(slots=True)
class ServedFleet:
    """The connections while they are served, what links more of them, their syncs and their rosters.

    `targets` says where events may be sent, and `outcomes` counts what came of sending them. `taking` takes the events
    of providers, and `kinds` are those of schedules. `offers_sample`: the sample company can be linked too.
    """

    fleet: Fleet
    syncs: FleetSyncs
    linking: Linking
    rosters: RosterDesk
    targets: TargetRules = field(default_factory=TargetRules)
    outcomes: Callable[[], Mapping[Outcome, int]] = dict
    taking: HookTaking | None = None
    kinds: Mapping[str, ScheduleKind] = field(default_factory=kinds_of)
    offers_sample: bool = False
    are_synced: bool = True

    async def check_syncs(self) -> None:
        if not self.are_synced:
            raise Problem("Nothing is synced any more.", code="SYNCS_ENDED")

    async def sync(self) -> None:
        try:
            await self.syncs.run()
        finally:
            self.are_synced = False


@asynccontextmanager
async def _serving(
    control: ControlData,
    files: LinkedFiles,
    clock: Clock,
    environment: ConnectionSettings | None,
    targets: TargetRules,
    *,
    silence: timedelta,
) -> AsyncIterator[ServedFleet]:
    """Serve all connections, sync them, do what is due, and send events, for as long as the block lasts."""
    connections, refusals = Connections(), Refusals()
    await files.forget_condemned(control.connections)
    async with (
        aclosing(Targets(targets, trusted_certificates(), clock)) as sending,
        aclosing(Queries()) as queries,
        connections.serving(),
        background() as tasks,
    ):
        backends = LinkedBackends(
            control=control, files=files, queries=queries, environment=environment, refused=refusals.note
        )
        fleet = Fleet(control.connections, connections, backends)
        linking = linking_of(control, files, fleet.forget, environment=environment)
        changes_out = ChangesOut(control, fleet, clock)
        syncs = FleetSyncs(control, fleet, tasks, clock, changes_out.changed)
        deliveries = Deliveries(control, sending.post, tasks, clock)
        taking = HookTaking(control, is_foreign)
        hook_work = HookWork(
            control, fleet, changes_out.changed, tasks, clock, about=about, counts=taking.counts, silence=silence
        )
        rosters = rosters_of(control, files, applications_of(sending, targets, tasks, clock))
        kinds = kinds_of(rosters.pulls)
        served = ServedFleet(fleet, syncs, linking, rosters, targets, deliveries.outcomes, taking, kinds)
        served.offers_sample = environment is not None and environment.sandbox
        tasks.start_soon(served.sync)
        tasks.start_soon(changes_out.run)
        tasks.start_soon(deliveries.run)
        tasks.start_soon(hook_work.run, taking)
        tasks.start_soon(hook_work.watch)
        tasks.start_soon(Schedules(control, fleet, served.kinds, tasks, clock).run)
        tasks.start_soon(HookRefusals(control.hook_secrets, clock).run)
        tasks.start_soon(Departures(fleet, control.connections, files.forget, clock).run)
        tasks.start_soon(Rechecks(refusals, control.connections, linking.check, clock).run)
        yield served


def _listening(settings: ServeSettings, options: ServeOptions) -> Listening:
    return Listening(host=options.host, port=options.port, certificate=settings.tls_cert, key=settings.tls_key)


def _public_url(settings: ServeSettings, options: ServeOptions) -> str | None:
    """Return the URL by which callers reach it, where one is named. Raises Unconfigured."""
    if options.public_url is None:
        return settings.public_url
    try:
        return base_url(options.public_url)
    except PydanticCustomError as wrong:
        raise Unconfigured(f"The URL given with --public-url {wrong.message()}.") from None


async def _check_exposure(
    settings: ServeSettings, options: ServeOptions, control: ControlData, public_url: str | None
) -> None:
    """Refuse to listen for other machines without what keeps strangers out. Raises Unconfigured."""
    if is_loopback(options.host):
        return
    lacking: list[str] = []
    if public_url is None:
        lacking.append(f"the URL by which callers reach it ({setting('public_url')})")
    if settings.tls_cert is None and not options.behind_proxy:
        lacking.append(f"TLS ({setting('tls_cert')} and {setting('tls_key')}, or --behind-proxy where a proxy ends it)")
    if settings.oauth_issuer is None and not await _has_keys(control):
        lacking.append(f"somebody who may call (`pingone-mcp keys create NAME`, or {setting('oauth_issuer')})")
    if lacking:
        raise Unconfigured(
            f"Other machines can reach {options.host}, and this is not set: {'; '.join(lacking)}.",
            "Set that, or listen on this machine only (--host 127.0.0.1).",
            code="EXPOSED",
        )


async def _has_keys(control: ControlData) -> bool:
    now = control.clock.now()
    return any(key.is_good(now) for key in await control.api_keys.listed())


@asynccontextmanager
async def _opened_sign_in(settings: Serving, address: PublicAddress, clock: Clock) -> AsyncIterator[OidcSignIn | None]:
    """Give what signs people in at the authorization server; None where no client is set for that."""
    if settings.oauth_issuer is None or settings.oidc_client_id is None:
        yield None
        return
    rules = OidcRules(
        issuer=settings.oauth_issuer,
        client_id=settings.oidc_client_id,
        admins=frozenset(settings.admins),
        connections_claim=settings.oauth_connections_claim,
    )
    async with open_sign_in(rules, settings.oidc_client_secret, f"{address.base}{CALLBACK}", clock) as opened:
        yield opened


def _token_rules(settings: Serving) -> TokenRules | None:
    if settings.oauth_issuer is None:
        return None
    return TokenRules(
        issuer=settings.oauth_issuer,
        audience=settings.oauth_audience,
        connections_claim=settings.oauth_connections_claim,
    )


def _hook_place(address: PublicAddress) -> HookPlace:
    """Return where providers send events to; to this machine itself none can."""
    if is_loopback(urlsplit(address.base).hostname or ""):
        return dataclasses.replace(hook_place(None), base=address.base)
    return hook_place(address.base)


def _person() -> Caller:
    """Return the person at this machine, who may do all that there is."""
    may: frozenset[Permission] = frozenset(get_args(Permission))
    return Caller(kind="session", client_id="browser", issuer="local", subject=this_user(), permissions=may)


async def _control_answers(control: ControlData) -> None:
    await control.connections.listed(limit=1)


def target_rules(settings: Serving, options: ServeOptions, address: PublicAddress) -> TargetRules:
    """Return where events may be sent: to this machine only where nobody else can reach it."""
    return TargetRules(frozenset(settings.webhook_hosts), with_loopback=_is_local(options, address))


def has_link(settings: Serving, options: ServeOptions, address: PublicAddress) -> bool:
    """Say whether a one-time link signs people in: where nobody else can reach the pages, and no other way is set."""
    return options.with_pages and _is_local(options, address) and not _has_oidc(settings)


def _is_local(options: ServeOptions, address: PublicAddress) -> bool:
    """Say whether only this machine reaches it.

    Behind a proxy, or under another name, others do too, however local the socket is.
    """
    here = is_loopback(options.host) and is_loopback(urlsplit(address.base).hostname or "")
    return here and not options.behind_proxy


def _has_oidc(settings: Serving) -> bool:
    return settings.oauth_issuer is not None and settings.oidc_client_id is not None


async def _webhooks_given_up(control: ControlData) -> str | None:
    given_up = (await _webhook_states(control))["given_up"]
    return None if not given_up else f"{given_up} switched off: their events could not be delivered for 24 hours."


async def _schedules_failing(control: ControlData) -> str | None:
    failing = (await control.schedules.outcomes()).get("failed")
    return f"{failing} failed the last time: GET /schedule says why." if failing else None


async def _hooks_aside(control: ControlData) -> str | None:
    states = (await control.inbox.states()).values()
    unreadable, set_aside = sum(one.unreadable for one in states), sum(one.set_aside for one in states)
    said = [
        f"{unreadable} could not be read" if unreadable else "",
        f"{set_aside} could not be worked on" if set_aside else "",
    ]
    parts = " and ".join(filter(None, said))
    return f"Of what came to hooks in the last 14 days, {parts}." if parts else None


async def _inbox_waits(control: ControlData, clock: Clock) -> str | None:
    """Note connections whose events wait for long, but for those that a person has paused."""
    states, before = await control.inbox.states(), clock.now() - _WAITS_LONG
    late = {name for name, one in states.items() if one.waiting_since is not None and one.waiting_since <= before}
    if not late:
        return None
    served = [one.id for one in await control.connections.listed(ids=late) if not one.is_paused]
    return f"Events have waited for more than an hour, of so many connections: {len(served)}." if served else None


async def _webhook_states(control: ControlData) -> Counter[str]:
    return Counter(
        "active" if one.is_active else "given_up" if one.reason else "off" for one in await control.webhooks.listed()
    )


async def _figures(
    control: ControlData,
    clock: Clock,
    outcomes: Callable[[], Mapping[Outcome, int]],
    hooks: HookCounts,
) -> FleetFigures:
    now, linked = clock.now(), await control.connections.listed()
    return FleetFigures(
        connections=Counter("paused" if one.is_paused else one.status for one in linked),
        sync_ages={one.id: (now - one.last_sync_at).total_seconds() for one in linked if one.last_sync_at},
        inbox=sum((await control.inbox.depth()).values()),
        unreadable=dict(hooks.unreadable),
        set_aside=dict(hooks.set_aside),
        wrong_secrets=control.hook_secrets.refused(),
        outbox=await control.outbox.depth(),
        deliveries=dict[str, int](outcomes().items()),
        webhooks=await _webhook_states(control),
        schedules=await control.schedules.outcomes(),
    )
