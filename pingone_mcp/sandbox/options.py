"""What nobody has confirmed about PingOne, each doubt as one named switch with a stated default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """Choose between the possible PingOnes. Everything documented or recorded is always on and has no switch."""

    max_page: int = 200
    """Largest page of `/users`, `/groups` and `/populations`. The OpenAPI file says 1000, the documentation warns of
    200: a larger `limit` is not refused but answered with a page of this size."""

    max_activities_page: int = 1_000
    """Largest page of `/activities`. Shipped clients ask for 500; no maximum is documented."""

    mfa_enabled_by_default: bool = False
    """`mfaEnabled` of a user created without it. Documented false; newer tenants are said to answer true."""

    token_failure_status: int = 401
    """Status of a token request with wrong credentials: 401 by RFC 6749; 400 is possible."""

    token_scope: str | None = None
    """A `scope` member of the token answer. None: it is absent."""

    token_lifetime: int = 3_600
    """Seconds a token lives. One hour is documented and recorded; shorter values are for tests."""

    cursor_lifetime: float | None = None
    """Seconds until a cursor is refused with 400. None: never; no expiry is documented."""

    cursor_bound_to_filter: bool = True
    """A cursor sent with another filter than the one it was made for is refused with 400."""

    cursor_carries_filter: bool = False
    """The `next` link of a filtered list keeps the filter inside the cursor. False: it repeats the `filter` parameter.
    Only the link of an unfiltered walk was observed."""

    deleted_anchor_refuses_cursor: bool = False
    """A cursor whose user has been deleted is refused with 400. False: the walk goes on behind the place it held."""

    moved_users_change_place: Literal["never", "skipped", "repeated"] = "never"
    """What becomes of a user who is moved to another population while `/users` is walked. A recorded cursor names the
    population of its place, so a walk begun before the move may pass by that user from then on ("skipped"), or meet
    the user again at its end ("repeated"). "never": the place stays, and who moves comes once."""

    order_refused: bool = True
    """`order` on `/users` is refused with 400. False: it is ignored, as unknown parameters are."""

    quoted_boolean: bool = True
    """`enabled eq "true"` works like `enabled eq true`. A shipped client sends the quoted form."""

    extra_filters: tuple[tuple[str, str], ...] = ()
    """Further (attribute, operator) pairs that filters of `/users` accept; none is documented. For example
    `("createdAt", "ge")`, `("lastSignOn.at", "le")`, `("account.status", "eq")`, `("title", "co")`, `("title", "pr")`.
    """

    refused_filters: tuple[str, ...] = ()
    """Documented attributes of `/users` that this environment does not filter by after all, for example `updatedAt`."""

    accents_folded: bool = False
    """Filters of `/users` compare as if there were no accents. Nothing says that they do."""

    filter_not: bool = False
    """`not (…)` in filters. Older documentation says it is not supported."""

    writes_bump_updated_at: bool = True
    """Locking, unlocking and enabling or disabling move `updatedAt`."""

    membership_bumps_group: bool = True
    """Adding or removing a member or a nested group moves the group's `updatedAt` (seen once in a recording)."""

    inaccurate_updated_at_count: bool = False
    """`count` of a filter bounded by `updatedAt` on both sides is wrong (here: one tenth too high).
    The documentation warns of it for large environments."""

    event_lag: float = 0.0
    """Seconds until an event can be read from `/activities`."""

    unreachable_user_status: Literal[403, 404] = 403
    """Status for a user of a population the application's role does not reach. 403 ACCESS_FAILED, as everywhere where a
    role is missing; 404: as if there were no such user, which tells a stranger less."""

    unreachable_population_status: Literal[403, 404] = 403
    """Status for a population the role does not reach, read alone."""

    unreachable_populations_listed: bool = False
    """`/populations` also lists the populations the role does not reach, and gives each alone."""

    unreachable_groups_listed: bool = False
    """`/groups` also lists the groups of the environment and of populations the role does not reach, and gives each
    alone."""

    member_counts_narrowed: bool = False
    """`directMemberCounts` and `totalMemberCounts` count only the users the application sees. False: all there are."""

    user_counts_narrowed: bool = False
    """`userCount` of a population counts only the users the application sees. False: all there are."""

    places_without_users: bool = False
    """A role over the configuration reads populations and groups too, where no role reaches the users. Which built-in
    roles may read them is not documented in one place."""

    unrecorded_actions: tuple[str, ...] = ()
    """Actions that leave no event, for example `USER.DELETED` or `MEMBER_OF_GROUP.DELETED`. That the audit log has a
    line for each is documented of the actions, not promised of every way in which they come about."""

    modified_attributes: bool = True
    """Events of updated users name the attributes that changed (`_embedded.modifiedAttributes`), as in recordings of
    2024; those of 2022 do not."""

    membership_resource_id: Literal["membership", "group"] = "membership"
    """What `resources[0].id` of an event of a membership is: the recordings are masked. Both ids are in `href`."""

    moved_users_event: Literal["USER.UPDATED", "USER.MOVED"] = "USER.UPDATED"
    """The event of a user who is put into another population. Both names are in lists; neither was recorded for it."""

    failed_sign_ons_event: Literal["USER.LOCKED", "PASSWORD.CHECK_FAILED"] | None = "PASSWORD.CHECK_FAILED"
    """The event of a lock by failed sign-ons. None: there is none."""

    subscription_readers: tuple[str, ...] = ("Organization Admin", "Environment Admin", "Configuration Read Only")
    """The roles that read `/subscriptions`. Which do is not documented where it could be seen."""

    subscription_managers: tuple[str, ...] = ("Organization Admin", "Environment Admin")
    """The roles that create, change and delete subscriptions; as unconfirmed as who reads them."""

    subscription_format_required: bool = True
    """A subscription without `format` is refused. The text says that it is required, the OpenAPI file does not."""

    subscription_headers_shown: bool = True
    """Reading a subscription shows the values of its headers, the secret among them, as a shipped client expects.
    False: they are blanked."""

    subscriptions_to_elsewhere: bool = False
    """A subscription may lead to any https address, as at PingOne. Nothing is sent there: the sandbox calls nobody but
    this machine."""

    populations_match_memberships: bool = False
    """`includedPopulations` lets events of memberships through, by the user's population. The events name none."""

    webhook_events: Literal["short", "whole"] = "short"
    """"short": events are sent as in the one recorded delivery: without `_links`, `createdAt`, `correlationId`,
    `internalCorrelation`, `tags` and the description of the action, and with `_embedded`, empty or not. "whole": as
    `/activities` shows them. Either way `source` only has what the subscription exposes."""

    webhook_success: Literal["200", "2xx"] = "200"
    """Which answers end a delivery. The documentation says 200 in one place and 2xx in another."""

    webhook_timeout: float = 5.0
    """Seconds until an answer is not waited for any more, and the batch is sent again. Nothing is documented."""

    webhook_backoff: float = 1.0
    """Seconds until a refused batch is sent again the first time; each time twice as many. Nothing is documented."""

    webhook_longest_backoff: float = 60.0
    """Seconds between two attempts at most."""

    webhook_lag: float = 0.0
    """Seconds until an event is sent for the first time. "Near-real-time" is all that is said."""

    webhook_content_type: str | None = "application/json"
    """`Content-Type` of a delivery. None: there is none. Nothing is documented."""

    webhook_user_agent: str | None = None
    """`User-Agent` of a delivery. None: there is none. Nothing is documented."""

    splunk_member: str | None = "event"
    """The member in which an event lies in format SPLUNK, as for PingOne for Enterprise. None: as in ACTIVITY."""

    newrelic_member: str | None = None
    """The member in which an event lies in format NEWRELIC; its shape is not known. None: as in format ACTIVITY."""

    unknown_environment_status: int = 403
    """Status for an environment that does not exist: 403 ACCESS_FAILED, as documented; 404 NOT_FOUND is possible."""

    embedded_password: bool = False
    """Users in lists carry `_embedded.password.status`, as some tenants have done since 2026."""

    duplicate_membership_refused: bool = True
    """Adding a user to a group twice is refused with UNIQUENESS_VIOLATION. False: it is answered like the first
    time."""

    max_header_bytes: int | None = 6_144
    """Size of request line and headers above which a request is refused with 431. The limit of 6 KB is documented,
    the status is not. None: no limit."""

    requests_per_second: float | None = None
    """Requests above this rate (averaged over one second) get 429 with `Retry-After`. None: no limit; the numbers are
    not public."""

    garbled: tuple[tuple[str, str], ...] = ()
    """(id, attribute) pairs that are answered as no value of their type, wherever the thing with this id is shown:
    `(user, "lastSignOn.at")`. Of `(user, "id")` the id is left out."""

    latency: float = 0.0
    """Seconds every answer takes."""

    pretty: bool = False
    """Indent bodies as the recordings do. False: compact; the shape is the same and a large walk costs half."""
