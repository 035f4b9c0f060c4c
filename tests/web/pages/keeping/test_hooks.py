"""The hook on the settings page: what to enter at PingOne, and a secret that is shown once and changed on purpose."""

from __future__ import annotations

import re

from tests.web.pages.keeping.keepers import Keeper

SECRET = re.compile(r"phk_[\w-]{43}")


async def test_the_secret_is_shown_once_and_opens_the_hook(keeper: Keeper) -> None:
    secrets, acme = keeper.face.estate.control.hook_secrets, keeper.face.acme
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    assert "Not set up" in keeper.page
    assert f"http://directory.test/hooks/pingone/{acme.id}" in keeper.page
    assert "USER.CREATED" in keeper.page
    assert "<code>Authorization</code>" in keeper.page
    await keeper.get(f"{keeper.root}/settings/hook/secret")
    assert await secrets.known(acme.id) is None, "to look makes none"
    await keeper.post(edition="")
    [text] = SECRET.findall(keeper.page)
    assert f"Bearer {text}" in keeper.page
    before, shown_at = len(keeper.heard), keeper.at
    assert await secrets.opens(acme.id, text)
    for path in (
        shown_at,
        f"{keeper.root}/settings",
        f"{keeper.root}/settings/hook/secret",
        "/",
        f"{keeper.root}/attention",
    ):
        await keeper.get(path)
    assert text not in "\n".join(one.text for one in keeper.heard[before:])
    assert "phk_" not in "\n".join(one.text for one in keeper.heard[before:])


async def test_who_may_not_read_the_directory_is_shown_the_secret_that_they_make(keeper: Keeper) -> None:
    await keeper.sign_in("connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    await keeper.get(f"{keeper.root}/settings/hook/secret")
    await keeper.post(edition="")
    [text] = SECRET.findall(keeper.page)
    assert await keeper.face.estate.control.hook_secrets.opens(keeper.face.acme.id, text)


async def test_another_secret_is_made_once_by_one_form_and_the_one_before_holds_for_a_day(keeper: Keeper) -> None:
    secrets, acme = keeper.face.estate.control.hook_secrets, keeper.face.acme
    first = (await secrets.get(acme.id)).get_secret_value()
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings/hook/secret")
    assert first not in keeper.page
    found = re.search(r'name="edition" value="(\w+)"', keeper.page)
    assert found is not None
    await keeper.post(edition=found[1])
    [second] = SECRET.findall(keeper.page)
    assert second != first
    assert await secrets.opens(acme.id, first), "until PingOne has the new one"
    await keeper.get(f"{keeper.root}/settings")
    refused = await keeper.post(f"{keeper.root}/settings/hook/secret", edition=found[1])
    assert refused.status == 400
    assert "it was left as it is now" in keeper.page
    assert await secrets.opens(acme.id, first), "another one would have ended it"
    assert await secrets.opens(acme.id, second)


async def test_nothing_is_shown_or_made_without_the_permission_or_the_token_of_the_form(keeper: Keeper) -> None:
    secrets, acme = keeper.face.estate.control.hook_secrets, keeper.face.acme
    path = f"{keeper.root}/settings/hook/secret"
    await keeper.sign_in("directory.read", "directory.sync", "events.manage")
    await keeper.get(f"{keeper.root}/settings")
    assert "/hooks/pingone/" not in keeper.page
    assert (await keeper.get(path)).status == 403
    await keeper.get(f"{keeper.root}/settings")
    assert (await keeper.post(path, edition="")).status == 403
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(path)
    assert (await keeper.post(path, csrf="", edition="")).status == 400
    other = await keeper.face.estate.link("globex", tenant="other")
    await keeper.sign_in("directory.read", "connections.manage", connections=[other.id])
    await keeper.get("/")
    assert (await keeper.get(path)).status == 404
    await keeper.get("/")
    assert (await keeper.post(path, edition="")).status == 404
    assert await secrets.known(acme.id) is None
