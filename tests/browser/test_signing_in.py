"""Signing in and out in a real browser."""

from __future__ import annotations

from tests.browser.walking import Walk


async def test_who_has_not_signed_in_is_asked_to_and_led_back(walk: Walk) -> None:
    await walk.open("/?after=")
    assert "/sign-in?next=" in walk.page.url
    made = await walk.site.estate.control.api_keys.create(
        name="looks", permissions=frozenset({"directory.read"}), connections=None
    )
    await walk.page.get_by_label("API key").fill(made.text.get_secret_value())
    await walk.page.get_by_role("button", name="Sign in").click()
    await walk.page.get_by_role("heading", name="Connections").wait_for()
    assert walk.page.url == f"{walk.site.base}/?after="


async def test_a_key_that_is_not_good_signs_nobody_in(walk: Walk) -> None:
    await walk.open("/")
    await walk.page.get_by_label("API key").fill("pmk_0123456789abcdef_0123456789abcdef")
    await walk.page.get_by_role("button", name="Sign in").click()
    assert "not known" in await walk.page.get_by_role("alert").inner_text()
    assert await walk.context.cookies() == []
    walk.complaints.clear()  # the browser notes a status of 403


async def test_a_key_that_is_revoked_ends_what_it_has_opened(walk: Walk) -> None:
    keys = walk.site.estate.control.api_keys
    made = await keys.create(name="looks", permissions=frozenset({"directory.read"}), connections=None)
    await walk.open("/")
    await walk.page.get_by_label("API key").fill(made.text.get_secret_value())
    await walk.page.get_by_role("button", name="Sign in").click()
    await walk.page.get_by_role("heading", name="Connections").wait_for()
    await keys.revoke(made.key.id)
    await walk.open("/")
    assert "/sign-in" in walk.page.url


async def test_signing_out_ends_the_session_for_good(walk: Walk) -> None:
    await walk.sign_in()
    cookies = await walk.context.cookies()
    await walk.page.get_by_role("button", name="Sign out").click()
    assert "/sign-in" in walk.page.url
    await walk.context.add_cookies(
        [{"name": one["name"], "value": one["value"], "url": walk.site.base} for one in cookies]
    )
    await walk.open("/")
    assert "/sign-in" in walk.page.url, "the old cookie opens nothing"
