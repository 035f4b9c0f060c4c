"""The pages of groups: found by words of the name, with who is in them and how."""

from __future__ import annotations

from tests.web.pages.visiting import Visitor, doors, links, names, sync, texts


async def test_groups_are_found_by_words_of_their_names(visitor: Visitor) -> None:
    path = f"/c/{visitor.face.acme.id}/groups"
    everything = names(await visitor.open(path))
    assert everything == sorted(everything, key=str.lower)
    found = names(await visitor.open(f"{path}?q=staff+all"))
    assert found == [one for one in everything if "all" in one.lower() and "staff" in one.lower()] != []
    assert "No group in the copy has that in its name" in texts(await visitor.open(f"{path}?q=nothingofthekind"))


async def test_a_group_says_of_each_member_how_they_are_in_it(visitor: Visitor) -> None:
    sandbox = visitor.face.estate.company("acme").sandbox
    users = [user["id"] for user in sandbox.users()]
    async with doors(visitor.face) as admin:
        for name in ("Outer", "Inner"):
            assert await admin.send("POST", "/groups", {"name": name}) == 201
        made = {group.record["name"]: one for one, group in sandbox.state().groups.items()}
        outer, inner = made["Outer"], made["Inner"]
        assert await admin.send("POST", f"/groups/{inner}/memberOfGroups", {"id": outer}) in (200, 201)
        assert await admin.send("POST", f"/users/{users[0]}/memberOfGroups", {"id": inner}) in (200, 201)
        assert await admin.send("POST", f"/users/{users[1]}/memberOfGroups", {"id": outer}) in (200, 201)
    await sync(visitor.face, "full")
    path = f"/c/{visitor.face.acme.id}/groups/{outer}"
    heard = await visitor.open(path)
    said = texts(heard)
    assert "2 members" in said
    assert "Groups nested in it Inner" in said
    assert said.index("directly") < said.index("nested, through Inner")
    assert "Is nested in Outer" in texts(await visitor.open(f"/c/{visitor.face.acme.id}/groups/{inner}"))
    person = texts(await visitor.people(f"/{users[0]}"))
    assert "Inner directly" in person
    assert "Outer nested, through Inner" in person
    assert links(await visitor.open(path), rf"/people/{users[1]}$")


async def test_who_is_in_a_group_by_its_filter_is_said_to_be(visitor: Visitor) -> None:
    sandbox = visitor.face.estate.company("acme").sandbox
    dynamic = [one for one, group in sandbox.state().groups.items() if "userFilter" in group.record]
    found = [texts(await visitor.open(f"/c/{visitor.face.acme.id}/groups/{one}")) for one in dynamic]
    assert any("by the group's filter" in said for said in found)
    assert all("Members are made by" in said for said in found)


async def test_members_are_found_by_name_and_come_page_after_page(visitor: Visitor) -> None:
    groups = await visitor.open(f"/c/{visitor.face.acme.id}/groups?q=all+staff")
    (path,) = links(groups, r"/groups/[0-9a-f-]{36}$")
    someone = names(await visitor.open(path))[0]
    query = someone.split()[-1]
    assert someone in names(await visitor.open(f"{path}?q={query}"))
    assert "No member in the copy is called so" in texts(await visitor.open(f"{path}?q=zzzz"))


async def test_a_group_that_there_is_not_is_not_found(visitor: Visitor) -> None:
    path = f"/c/{visitor.face.acme.id}/groups/00000000-0000-4000-8000-000000000000"
    assert (await visitor.open(path)).status == 404
