"""The flat values of one user: what a sync reads, compares and keeps. `user_row` makes them of a user, and back."""

from __future__ import annotations

from typing import NamedTuple


class UserRow(NamedTuple):
    """One user; None means that the provider does not say.

    `email`, `phone` and `mobile_phone` are the first of their kind, `manager` is the reference as the provider has it.
    `status_reasons` and `unreadable` are joined by commas. `custom_attributes` is what queries read of them;
    `all_attributes` has them where that is not all. `more` is a JSON object of the fields of `User` that the other
    values do not say. `remote_data` is the provider's own object.
    """

    id: str
    environment_id: str
    population_id: str | None
    username: str | None
    external_id: str | None
    name: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    mobile_phone: str | None
    title: str | None
    department: str | None
    manager: str | None
    type: str | None
    status: str
    status_reasons: str
    enabled: bool | None
    account_status: str | None
    lifecycle_status: str | None
    is_email_verified: bool | None
    is_2fa_enabled: bool | None
    locale: str | None
    timezone: str | None
    preferred_language: str | None
    street: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str | None
    avatar_url: str | None
    last_login_at: str | None
    locked_at: str | None
    created_at: str | None
    updated_at: str | None
    unreadable: str | None
    custom_attributes: str
    more: str | None
    all_attributes: str | None
    remote_data: str | None
