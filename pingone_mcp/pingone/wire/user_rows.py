"""Users of PingOne as rows of the local copy."""

from __future__ import annotations

import re
from typing import Any

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import as_json_text, attributes_as_text
from pingone_mcp.pingone.wire.lenient import as_time
from pingone_mcp.pingone.wire.structs import PingOneUser, ReadUser
from pingone_mcp.pingone.wire.users import NO_ACCOUNT, NO_ADDRESS, NO_LIFECYCLE, NO_NAME, full_name, stated

# Times as rows have them, and as PingOne writes them; the 29th of February is looked at more closely.
_TIMESTAMP = re.compile(
    r"(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)


def row(read: ReadUser, environment: str, *, remote_data: JsonObject | None = None) -> UserRow:
    """Return the row of a user that an environment shows: the same as `row_of` makes of the unified user.

    Raises ValueError or OverflowError where a time is none.
    """
    known = read.known
    account, name, address = known.account or NO_ACCOUNT, known.name or NO_NAME, known.address or NO_ADDRESS
    lifecycle = (known.lifecycle or NO_LIFECYCLE).status
    _, status, reasons = stated(known.enabled, account.status, lifecycle)
    attributes, all_attributes = attributes_as_text(read.custom)
    # As a tuple in the order of the row: as arguments, and named ones still more, they take a third of all the time.
    values = (
        known.id,
        environment,
        known.population.id if known.population is not None else None,
        known.username,
        known.external_id,
        full_name(name),
        name.given,
        name.family,
        known.email,
        known.primary_phone,
        known.mobile_phone,
        known.title,
        read.department,
        read.manager,
        known.type,
        status,
        ",".join(reasons),
        known.enabled,
        account.status,
        lifecycle,
        known.email_verified,
        known.mfa_enabled,
        known.locale,
        known.timezone,
        known.preferred_language,
        address.street_address,
        address.locality,
        address.region,
        address.postal_code,
        address.country_code,
        known.photo.href if known.photo is not None else None,
        _time(known.last_sign_on.at) if known.last_sign_on is not None else None,
        _time(account.locked_at),
        _time(known.created_at),
        _time(known.updated_at),
        ",".join(read.unreadable) or None,
        attributes,
        _more(known, environment),
        all_attributes,
        as_json_text(remote_data) if remote_data is not None else None,
    )
    return UserRow._make(values)


def _time(value: str | None) -> str | None:
    return value if value is None or _TIMESTAMP.fullmatch(value) else timestamp(as_time(value))


def _more(known: PingOneUser, environment: str) -> str | None:
    """Return what the other values of a row do not say: the id of an account, and an environment other than asked."""
    more: dict[str, Any] = {}
    if known.account_id is not None:
        more["identifiers"] = {"account_id": known.account_id}
    place = known.environment.id if known.environment is not None else None
    if place != environment:
        more["organizations"] = [place] if place is not None else []
    return as_json_text(more) if more else None
