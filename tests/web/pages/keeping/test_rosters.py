"""Rosters on the settings page: uploaded as CSV, pulled again, and said why they could not be."""

from __future__ import annotations

from pydantic import SecretStr

from tests.service.rosters.conftest import Answered, user
from tests.web.pages.keeping.keepers import Keeper

LIST = "https://crm.example.com/scim/v2/Users"
CSV = b"email,active\nann@example.com,true\nbo@example.com,false\n"


async def test_a_list_is_uploaded_and_replaced(keeper: Keeper) -> None:
    path = f"{keeper.root}/settings/rosters"
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/settings")
    assert "No list yet" in keeper.page
    await keeper.upload(path, "list", CSV, name="crm")
    assert "The roster crm is kept, with 2 accounts." in keeper.page
    await keeper.upload(path, "list", CSV + b"cy@example.com,true\n", name="crm")
    assert "with 3 accounts" in keeper.page
    wrong = await keeper.upload(path, "list", b"\x00\xff", name="crm")
    assert wrong.status == 400
    await keeper.get(f"{keeper.root}/settings")
    empty = await keeper.upload(path, "list", b"", name="crm")
    assert (empty.status, "No file was chosen" in keeper.page) == (400, True)
    await keeper.get(f"{keeper.root}/settings")
    named = await keeper.upload(path, "list", CSV, name="../etc")
    assert named.status == 400
    [kept] = await keeper.face.estate.rosters.keeping.listed(keeper.face.acme.id)
    assert (kept.name, kept.accounts) == ("crm", 3)


async def test_a_pull_that_failed_is_a_matter_until_a_person_pulls_it_again(keeper: Keeper) -> None:
    estate, acme = keeper.face.estate, keeper.face.acme

    async def read(_: str, __: SecretStr | None) -> Answered:
        return Answered(users=(user("ann"),))

    await keeper.sync()
    await estate.rosters.pulls.set_source(acme.id, "crm", LIST, SecretStr("t0ken"))
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/settings")
    await keeper.post(f"{keeper.root}/settings/rosters/crm/pull")
    assert "The roster was not pulled, so nothing of it was replaced. No application answers there." in keeper.page
    await keeper.get(f"{keeper.root}/attention")
    assert "could not be read from its application" in keeper.page
    estate.applications[LIST] = read
    await keeper.post(back="attention")
    assert "The roster crm was read: 1 accounts." in keeper.page
    assert "as it should be" in keeper.page
    assert "t0ken" not in keeper.everything()


async def test_nothing_is_uploaded_without_the_permission_or_the_token_of_the_form(keeper: Keeper) -> None:
    path = f"{keeper.root}/settings/rosters"
    await keeper.sign_in("directory.read")
    await keeper.get(f"{keeper.root}/settings")
    assert "Upload a list" not in keeper.page
    assert (await keeper.upload(path, "list", CSV, name="crm")).status == 403
    await keeper.sign_in("directory.read", "directory.sync")
    keeper.page = ""
    assert (await keeper.upload(path, "list", CSV, name="crm")).status == 400
    other = await keeper.face.estate.link("globex", tenant="other")
    await keeper.sign_in("directory.read", "directory.sync", connections=[other.id])
    await keeper.get("/")
    assert (await keeper.upload(path, "list", CSV, name="crm")).status == 404
    assert await keeper.face.estate.rosters.keeping.listed(keeper.face.acme.id) == []
