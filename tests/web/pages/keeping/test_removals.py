"""The page that says who could not be found, and the word by which they are released: those who were shown."""

from __future__ import annotations

import html
import re

from tests.web.pages.keeping.keepers import Keeper


def edition(keeper: Keeper) -> str:
    found = re.search(r'name="edition" value="([0-9a-f]+)"', keeper.page)
    assert found is not None, keeper.page
    return found[1]


async def held(keeper: Keeper, count: int = 30) -> list[str]:
    """Let a sync be held; return who is missing."""
    await keeper.sync()
    hidden = keeper.hide(count)
    assert (await keeper.sync()).held
    return hidden


async def test_who_is_missing_is_named_and_released_when_a_person_says_so(keeper: Keeper) -> None:
    hidden = await held(keeper)
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get("/")
    assert "30 of 40 users" in keeper.page
    assert f'href="{keeper.root}/removals"' in keeper.page
    await keeper.get(f"{keeper.root}/people")
    assert "1 thing needs you" in keeper.page
    await keeper.get(f"{keeper.root}/removals")
    assert "30 users that the copy has" in keeper.page
    assert all(html.escape(name) in keeper.page for name in hidden if name.isascii() and '"' not in name)
    assert "remove 30 from the copy" in keeper.page
    assert await keeper.users() == 40, "to look changes nothing"
    shown = edition(keeper)
    await keeper.post(f"{keeper.root}/removals", edition=shown)
    assert "taken over by a sync that has begun" in keeper.page
    await keeper.until_synced()
    assert await keeper.users() == 10
    await keeper.get(f"{keeper.root}/removals")
    assert "Nobody waits for your word" in keeper.page
    await keeper.get(f"{keeper.root}/attention")
    assert "as it should be" in keeper.page
    await keeper.get(f"{keeper.root}/people")
    assert "needs you" not in keeper.page


async def test_a_form_that_comes_too_late_releases_nothing_and_says_so(keeper: Keeper) -> None:
    await held(keeper, 25)
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/removals")
    shown = edition(keeper)
    keeper.hide(35)
    await keeper.sync()
    await keeper.post(f"{keeper.root}/removals", edition=shown)
    assert "nothing was released" in keeper.page
    assert "35 users that the copy has" in keeper.page
    await keeper.post(f"{keeper.root}/removals", edition="")
    assert "nothing was released" in keeper.page
    await keeper.until_synced()
    assert await keeper.users() == 40


async def test_who_is_sent_twice_is_released_once(keeper: Keeper) -> None:
    await held(keeper)
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/removals")
    shown = edition(keeper)
    await keeper.post(f"{keeper.root}/removals", edition=shown)
    await keeper.until_synced()
    await keeper.get(f"{keeper.root}/settings")
    await keeper.post(f"{keeper.root}/removals", edition=shown)
    assert "nothing was released" in keeper.page
    assert await keeper.users() == 10


async def test_keeping_them_looks_again_and_releases_nobody(keeper: Keeper) -> None:
    await held(keeper)
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/removals")
    await keeper.post(f"{keeper.root}/settings/sync", back="attention")
    assert "is being synced" in keeper.page
    await keeper.until_synced()
    assert await keeper.users() == 40
    sandbox = keeper.face.estate.company("acme").sandbox
    sandbox.narrow(sandbox.environment_id)
    await keeper.post(f"{keeper.root}/settings/sync", back="attention")
    await keeper.until_synced()
    await keeper.get(f"{keeper.root}/attention")
    assert "as it should be" in keeper.page
    assert await keeper.users() == 40


async def test_nothing_is_released_without_the_token_of_the_form(keeper: Keeper) -> None:
    await held(keeper)
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/removals")
    shown = edition(keeper)
    for wrong in ("", "0" * 64):
        refused = await keeper.post(f"{keeper.root}/removals", csrf=wrong, edition=shown)
        assert (refused.status, "Nothing was changed" in keeper.page) == (400, True)
    assert (await keeper.post(f"{keeper.root}/removals", origin="https://evil.example", edition=shown)).status == 403
    await keeper.until_synced()
    assert await keeper.users() == 40


async def test_who_may_only_read_sees_that_somebody_must_say_so_and_releases_nothing(keeper: Keeper) -> None:
    await held(keeper)
    await keeper.sign_in("directory.read")
    await keeper.get(f"{keeper.root}/attention")
    assert "Somebody settles it who has the permission <code>directory.sync</code>" in keeper.page
    assert keeper.actions() == []
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/removals")
    shown = edition(keeper)
    await keeper.sign_in("directory.read")
    assert (await keeper.get(f"{keeper.root}/removals")).status == 403
    assert (await keeper.post(f"{keeper.root}/removals", edition=shown)).status == 403
    await keeper.until_synced()
    assert await keeper.users() == 40


async def test_who_may_not_read_the_directory_hears_no_name_whatever_else_they_may(keeper: Keeper) -> None:
    hidden = await held(keeper)
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/removals")
    shown = edition(keeper)
    await keeper.sign_in("directory.sync", "directory.write", "connections.manage", "events.manage")
    await keeper.get("/")
    before = len(keeper.heard)
    refused = await keeper.get(f"{keeper.root}/removals")
    assert (refused.status, "directory.read, directory.sync" in keeper.page) == (403, True)
    await keeper.get("/")
    assert (await keeper.post(f"{keeper.root}/removals", edition=shown)).status == 403
    said = html.unescape("\n".join(one.body.decode() for one in keeper.heard[before:]))
    assert not any(name in said for name in hidden)
    await keeper.until_synced()
    assert await keeper.users() == 40


async def test_another_tenant_hears_of_nobody(keeper: Keeper) -> None:
    hidden = await held(keeper)
    other = await keeper.face.estate.link("globex", tenant="other")
    await keeper.sign_in("directory.read", "directory.sync", "connections.manage", connections=[other.id])
    before = len(keeper.heard)
    for path in ("/", f"{keeper.root}/removals", f"{keeper.root}/attention", f"{keeper.root}/settings"):
        heard = await keeper.get(path)
        assert heard.status == (200 if path == "/" else 404)
    said = "\n".join(one.text for one in keeper.heard[before:])
    assert keeper.face.acme.id not in said.replace(keeper.root, "")
    assert not any(name in said for name in hidden)
    assert "could not be found" not in said
    assert "Cannot be found" not in said
