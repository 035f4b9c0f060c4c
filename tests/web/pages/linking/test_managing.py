"""People who have signed in look after connections: each button does what it says, for those who may."""

from __future__ import annotations

import pytest

from tests.web.pages.linking.visitors import Visitor


async def test_who_manages_sees_what_there_is_to_do_and_who_reads_does_not(visitor: Visitor) -> None:
    await visitor.sign_in("directory.read")
    await visitor.get("/")
    assert "acme" in visitor.page
    assert visitor.actions() == []
    assert "Add a connection" not in visitor.page
    await visitor.sign_in("directory.read", "connections.manage")
    await visitor.get("/")
    assert [one.rpartition("/")[2] for one in visitor.actions()] == ["check", "pause"]
    for label in ("Reconnect acme", "Rename acme", "Remove acme", "Add a connection"):
        assert label in visitor.page


async def test_how_many_people_there_are_is_as_the_last_sync_counted_them(visitor: Visitor) -> None:
    acme, runs = visitor.face.acme, visitor.face.estate.control.sync_runs
    await visitor.sign_in("directory.read")
    await visitor.get("/")
    assert " people" not in visitor.page, "nobody has counted"
    run = await runs.request(acme.id, "request")
    await runs.start(run.id)
    await runs.end(run.id, "completed", counts={"users": 12_345})
    await visitor.get("/")
    assert "12,345 people" in visitor.page


async def test_pausing_and_resuming(visitor: Visitor) -> None:
    await visitor.sign_in("connections.manage")
    await visitor.get("/")
    await visitor.post(f"/c/{visitor.face.acme.id}/link/pause")
    assert "acme is paused" in visitor.page
    assert await _is_paused(visitor)
    await visitor.post(f"/c/{visitor.face.acme.id}/link/resume")
    assert not await _is_paused(visitor)


async def _is_paused(visitor: Visitor) -> bool:
    found = await visitor.face.estate.control.connections.get(visitor.face.acme.id)
    assert found is not None
    return found.is_paused


async def test_checking_says_what_came_of_it(visitor: Visitor) -> None:
    await visitor.sign_in("connections.manage")
    await visitor.get("/")
    await visitor.post(f"/c/{visitor.face.acme.id}/link/check")
    assert "acme works." in visitor.page
    with visitor.face.estate.another_secret("acme"):
        await visitor.post(f"/c/{visitor.face.acme.id}/link/check")
    assert "acme: This connection does not work. token: PingOne does not accept" in visitor.page
    assert "needs reauth" in visitor.page


async def test_renaming(visitor: Visitor) -> None:
    await visitor.face.estate.link("taken", tenant="customer")
    await visitor.sign_in("connections.manage")
    path = f"/c/{visitor.face.acme.id}/link/rename"
    await visitor.get(path)
    for name, said in (("taken", "Another connection has this name."), (" ", "is a text of 1 to 200")):
        await visitor.post(path, name=name)
        assert said in visitor.page
    await visitor.post(path, name="<b>acme</b>")
    assert "acme is called &lt;b&gt;acme&lt;/b&gt; now." in visitor.page


async def test_removing_asks_first_and_leaves_nothing(visitor: Visitor) -> None:
    await visitor.sign_in("connections.manage")
    path = f"/c/{visitor.face.acme.id}/link/remove"
    await visitor.get(path)
    assert "its local copy" in visitor.page
    assert await visitor.face.estate.control.connections.get(visitor.face.acme.id) is not None
    await visitor.post(path)
    assert await visitor.face.estate.control.connections.get(visitor.face.acme.id) is None
    assert "acme is removed" in visitor.page
    assert "Nothing is connected yet." in visitor.page


async def test_adding_one_by_hand(visitor: Visitor) -> None:
    await visitor.sign_in("connections.manage")
    await visitor.get("/connections/add")
    await visitor.post("/connections/add", **visitor.values("beta"))
    assert "It works" in visitor.page
    await visitor.post(name="beta")
    assert "beta is connected." in visitor.page
    assert "Rename beta" in visitor.page
    linked = await visitor.face.estate.control.connections.by_name("beta")
    assert [one.tenant for one in linked] == [None]


async def test_reconnecting_keeps_the_id(visitor: Visitor) -> None:
    acme = visitor.face.acme
    await visitor.sign_in("connections.manage")
    await visitor.get(f"/c/{acme.id}/link/reconnect")
    with visitor.face.estate.another_secret("acme"):
        await visitor.post(f"/c/{acme.id}/link/reconnect", **visitor.values("acme", client_secret="another"))
        await visitor.post()
    assert "acme is connected." in visitor.page
    secret = (await visitor.face.estate.control.connections.credentials(acme.id))["client_secret"]
    assert secret.get_secret_value() == "another"


async def test_reconnecting_is_done_once_however_often_it_is_sent(visitor: Visitor) -> None:
    acme, sandbox = visitor.face.acme, visitor.face.estate.company("acme").sandbox
    await visitor.sign_in("connections.manage")
    await visitor.get(f"/c/{acme.id}/link/reconnect")
    await visitor.post(f"/c/{acme.id}/link/reconnect", **visitor.values("acme"))
    page, there = visitor.page, visitor.at
    await visitor.post()
    asked = sandbox.token_requests
    visitor.page = page
    await visitor.post(there)
    assert sandbox.token_requests == asked


@pytest.mark.parametrize("path", ["reconnect", "rename", "remove"])
@pytest.mark.parametrize("method", ["get", "post"])
async def test_who_may_not_manage_is_refused(visitor: Visitor, path: str, method: str) -> None:
    await visitor.sign_in("directory.read")
    await visitor.get("/")
    answer = await getattr(visitor, method)(f"/c/{visitor.face.acme.id}/link/{path}")
    assert answer.status == 403
    assert "connections.manage" in visitor.page


async def test_a_connection_of_somebody_else_is_none(visitor: Visitor) -> None:
    other = await visitor.face.estate.link("other", tenant="another")
    await visitor.sign_in("connections.manage", connections=[visitor.face.acme.id])
    await visitor.get(f"/c/{visitor.face.acme.id}/link/rename")
    page = visitor.page
    pages = set()
    for identity in (other.id, "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"):
        for path in ("reconnect", "rename", "remove", "reconnect/draft"):
            pages.add((await visitor.get(f"/c/{identity}/link/{path}")).status)
        for path in ("check", "pause", "resume", "rename", "remove", "reconnect", "reconnect/draft"):
            visitor.page = page
            pages.add((await visitor.post(f"/c/{identity}/link/{path}", name="mine", **visitor.values("beta"))).status)
    assert pages == {404}
    assert await visitor.face.estate.control.connections.get(other.id) == other


async def test_a_key_of_one_connection_adds_none(visitor: Visitor) -> None:
    await visitor.sign_in("connections.manage", connections=[visitor.face.acme.id])
    await visitor.get("/")
    assert "Add a connection" not in visitor.page
    assert (await visitor.get("/connections/add")).status == 403


@pytest.mark.parametrize("act", ["pause", "check", "remove", "rename"])
async def test_a_form_without_the_token_of_the_session_does_nothing(visitor: Visitor, act: str) -> None:
    await visitor.sign_in("connections.manage")
    await visitor.get("/")
    answer = await visitor.post(f"/c/{visitor.face.acme.id}/link/{act}", csrf="0" * 64, name="x")
    assert answer.status == 400
    found = await visitor.face.estate.control.connections.get(visitor.face.acme.id)
    assert found is not None
    assert (found.is_paused, found.name) == (False, "acme")


async def test_that_of_the_variables_is_changed_there(visitor: Visitor) -> None:
    await visitor.face.estate.control.connections.keep_default({})
    await visitor.sign_in("connections.manage")
    await visitor.get("/")
    assert "Pause default" in visitor.page
    assert "Reconnect default" not in visitor.page
    answer = await visitor.get("/c/default/link/reconnect")
    assert answer.status == 400
    assert "made by the variables" in visitor.page


async def test_what_one_person_enters_nobody_else_finds(visitor: Visitor) -> None:
    await visitor.sign_in("connections.manage")
    await visitor.get("/connections/add")
    await visitor.post("/connections/add", **visitor.values("beta"))
    draft = visitor.at
    other = Visitor(face=visitor.face)
    await other.sign_in("connections.manage")
    await other.get(draft)
    assert other.at == "/connections/add"
    assert "is not kept any more" in other.page
