"""Keys on the settings page: made and shown once, listed without their texts, and revoked once somebody has agreed."""

from __future__ import annotations

import re

from pingone_mcp.control.api_keys import ApiKey
from tests.web.pages.keeping.keepers import Keeper

KEY = re.compile(r"pmk_[0-9a-f]{16}_[0-9a-f]{48}")


async def named(keeper: Keeper, name: str) -> ApiKey | None:
    found = [one for one in await keeper.face.estate.control.api_keys.listed() if one.name == name]
    return found[0] if found else None


async def test_a_key_is_shown_once_and_never_again(keeper: Keeper) -> None:
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    await keeper.post(f"{keeper.root}/settings/keys", name="nightly", scope="directory.read", days="90")
    [text] = KEY.findall(keeper.page)
    shown_at, before = keeper.at, len(keeper.heard)
    assert "the only time" in keeper.page
    assert (await keeper.face.ask("GET", "/unified/user-directory/users?limit=1", key=text)).status == 200
    await keeper.get(shown_at)
    assert "It was shown already" in keeper.page
    for path in ("/", f"{keeper.root}/settings", f"{keeper.root}/attention", f"{keeper.root}/people", shown_at):
        await keeper.get(path)
    made = await named(keeper, "nightly")
    assert made is not None
    await keeper.get(f"{keeper.root}/settings/keys/{made.id}/revoke")
    assert text not in "\n".join(one.text for one in keeper.heard[before:])
    assert (made.connections, made.permissions) == (frozenset({keeper.face.acme.id}), frozenset({"directory.read"}))
    assert made.expires_at is not None


async def test_who_may_not_read_the_directory_is_shown_the_key_that_they_make(keeper: Keeper) -> None:
    await keeper.sign_in("connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    await keeper.post(f"{keeper.root}/settings/keys", name="hands over", scope="connections.manage", days="90")
    [text] = KEY.findall(keeper.page)
    assert await keeper.face.estate.control.api_keys.verify(text) is not None


async def test_what_one_session_was_to_be_shown_no_other_session_sees(keeper: Keeper) -> None:
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    made = await keeper.send(f"{keeper.root}/settings/keys", name="x", scope="directory.read", days="")
    there = made.header("location")
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(there)
    assert "It was shown already" in keeper.page
    assert KEY.search(keeper.page) is None


async def test_a_key_is_revoked_once_somebody_has_agreed(keeper: Keeper) -> None:
    control = keeper.face.estate.control
    made = await control.api_keys.create(
        name="nightly", permissions=["directory.read"], connections=[keeper.face.acme.id]
    )
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    path = f"{keeper.root}/settings/keys/{made.key.id}/revoke"
    assert path in keeper.page
    await keeper.get(path)
    assert "Revoke the key nightly?" in keeper.page
    assert await control.api_keys.verify(made.text.get_secret_value()) is not None
    await keeper.post()
    assert "valid no more" in keeper.page
    assert await control.api_keys.verify(made.text.get_secret_value()) is None
    assert (await keeper.get(path)).status == 404


async def test_nobody_makes_a_key_that_may_more_than_they_may(keeper: Keeper) -> None:
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    assert 'value="directory.write"' not in keeper.page
    for scope in (["directory.write"], ["directory.read", "events.manage"], ["everything"], []):
        heard = await keeper.post(f"{keeper.root}/settings/keys", name="extra", scope=scope, days="")
        assert heard.status in (400, 403)
        await keeper.get(f"{keeper.root}/settings")
    assert (await keeper.post(f"{keeper.root}/settings/keys", name=" ", scope="directory.read", days="")).status == 400
    await keeper.get(f"{keeper.root}/settings")
    odd = await keeper.post(f"{keeper.root}/settings/keys", name="extra", scope="directory.read", days="99999")
    assert odd.status == 400
    assert await named(keeper, "extra") is None


async def test_keys_that_reach_further_are_neither_shown_nor_revoked(keeper: Keeper) -> None:
    estate = keeper.face.estate
    other = await estate.link("globex", tenant="other")
    keys = estate.control.api_keys
    both = await keys.create(name="both", permissions=["directory.read"], connections=[keeper.face.acme.id, other.id])
    whole = await keys.create(name="of the tenant", permissions=["directory.read"], tenant="customer")
    theirs = await keys.create(name="theirs", permissions=["directory.read"], connections=[other.id])
    await keeper.sign_in("directory.read", "connections.manage", connections=[keeper.face.acme.id])
    await keeper.get(f"{keeper.root}/settings")
    for name in ("both", "of the tenant", "theirs", "everything"):
        assert f'<th scope="row">{name}' not in keeper.page
    assert "Keys that reach more than you do are not listed" in keeper.page
    for key in (both, whole, theirs):
        path = f"{keeper.root}/settings/keys/{key.key.id}/revoke"
        assert (await keeper.get(path)).status == 404
        await keeper.get(f"{keeper.root}/settings")
        assert (await keeper.post(path)).status == 404
        assert await keys.verify(key.text.get_secret_value()) is not None
        await keeper.get(f"{keeper.root}/settings")


async def test_without_the_permission_or_the_token_of_the_form_nothing_is_made_or_revoked(keeper: Keeper) -> None:
    keys = keeper.face.estate.control.api_keys
    made = await keys.create(name="nightly", permissions=["directory.read"], connections=[keeper.face.acme.id])
    revoke = f"{keeper.root}/settings/keys/{made.key.id}/revoke"
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/settings")
    assert "Keys of programs" not in keeper.page
    assert (await keeper.get(revoke)).status == 403
    await keeper.get(f"{keeper.root}/settings")
    assert (await keeper.post(revoke)).status == 403
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    for path, fields in (
        (revoke, {}),
        (f"{keeper.root}/settings/keys", {"name": "no", "scope": "directory.read", "days": ""}),
    ):
        assert (await keeper.post(path, csrf="", **fields)).status == 400
        await keeper.get(f"{keeper.root}/settings")
    assert await keys.verify(made.text.get_secret_value()) is not None
    assert await named(keeper, "no") is None
