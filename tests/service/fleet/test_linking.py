"""Connections are linked once they work, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

import pingone_mcp.service.fleet.linking as module
from pingone_mcp.control.control import ControlPlace
from pingone_mcp.control.linked import ChangedMeanwhile, LinkedConnection, NameTaken
from pingone_mcp.errors import NoSuchConnection, NotAuthenticated, Refused, Unconfigured
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.service.checks import Heard, Step
from pingone_mcp.service.fleet.administration import KeyRequest
from pingone_mcp.service.fleet.departures import Departures
from pingone_mcp.service.fleet.linking import Add, CannotLink, LinkRequest, Prepared
from pingone_mcp.service.fleet.outcomes import note_outcome
from pingone_mcp.wiring.fleet import LinkedFiles, linking_of, open_administration
from tests.fleets import Estate, caller

UNKNOWN = "5d2f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"


async def test_a_connection_that_works_is_linked(serving: Estate) -> None:
    acme = await serving.link("acme", tenant="customer-17", region="EU", sync_minutes=5)
    assert (acme.name, acme.tenant, acme.status) == ("acme", "customer-17", "active")
    assert acme.settings["sync_minutes"] == 5
    assert "client_secret" not in acme.settings
    assert [step.step for step in serving.steps][:2] == ["region", "token"]
    assert all(step.ok for step in serving.steps)


@pytest.mark.parametrize(
    ("fault", "finding"),
    [({"client_secret": "another"}, "token: "), ({"environments": "all"}, None)],
    ids=["a wrong secret", "all environments"],
)
async def test_nothing_is_kept_of_one_that_does_not_work(
    serving: Estate, fault: dict[str, str], finding: str | None
) -> None:
    if finding is None:
        serving.company("acme").sandbox.faults.add(Fault("forbidden", path="/environments"))
    with pytest.raises(CannotLink) as raised:
        await serving.link("acme", **fault)
    assert raised.value.findings
    assert finding is None or raised.value.findings[0].startswith(finding)
    assert serving.company("acme").sandbox.client_secret not in str(raised.value)
    assert await serving.administration.connections() == []


async def test_values_that_make_no_connection_are_named_and_not_shown(serving: Estate) -> None:
    request = LinkRequest(values={"environment_id": "acme", "client_secret": "s3cret"})
    with pytest.raises(Unconfigured) as raised:
        await serving.administration.linking.connect(request, serving.steps.append)
    assert "must be an id (a UUID)" in str(raised.value)
    assert "PINGONE_CLIENT_ID: missing" in str(raised.value)
    assert "s3cret" not in f"{raised.value}{request}"


@pytest.mark.parametrize("name", ["cache_dir", "audit_file", "rosters", "roles_file", "nonsense"])
async def test_a_connection_has_no_files_but_its_own(serving: Estate, name: str) -> None:
    with pytest.raises(Refused, match=name):
        await serving.link("acme", **{name: "elsewhere"})


async def test_two_of_one_tenant_have_two_names(serving: Estate) -> None:
    await serving.link("acme", tenant="a")
    with pytest.raises(NameTaken):
        await serving.link("acme", tenant="a")
    assert (await serving.link("acme", tenant="b")).name == "acme"


async def test_a_check_notes_what_came_of_it(serving: Estate) -> None:
    acme = await serving.link("acme")
    linking = serving.administration.linking
    with serving.another_secret("acme"):
        checked = await linking.check(acme.id, serving.steps.append)
    assert checked.status == "needs_reauth"
    assert (checked.reason or "").startswith("token: ")
    assert (await linking.check(acme.id, serving.steps.append)).status == "active"


async def test_credentials_that_lack_a_right_are_told_from_those_that_are_not_accepted(serving: Estate) -> None:
    acme = await serving.link("acme")
    linking = serving.administration.linking
    faults = serving.company("acme").sandbox.faults
    faults.add("forbidden", path="/users", times=None)
    checked = await linking.check(acme.id, serving.steps.append)
    assert checked.status == "validation_error"
    assert "users of" in (checked.reason or "")
    faults.clear()
    faults.add("server_error", path="/users", times=None)
    assert (await linking.check(acme.id, serving.steps.append)).status == "validation_error", "no answer says nothing"
    faults.clear()
    assert (await linking.check(acme.id, serving.steps.append)).status == "active"


async def test_what_came_of_old_credentials_says_nothing_of_those_that_are_there_now(
    serving: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await serving.link("acme")
    linking, asked = serving.administration.linking, module.check_up

    async def slowly(prepared: Prepared, heard: Heard) -> list[Step]:
        lacking = await asked(prepared, heard)
        monkeypatch.setattr(module, "check_up", asked)
        await linking.reconnect(acme.id, {"request_seconds": 20}, heard)
        return lacking

    monkeypatch.setattr(module, "check_up", slowly)
    serving.company("acme").sandbox.faults.add("forbidden", path="/users", times=1)
    checked = await linking.check(acme.id, serving.steps.append)
    assert (checked.status, checked.settings["request_seconds"]) == ("active", 20)
    refused = NotAuthenticated("The client secret is wrong.", "Connect again.")
    await note_outcome(serving.control.connections, acme, refused, serving.time.clock().now())
    found = await serving.control.connections.get(acme.id)
    assert (found and found.status) == "active"
    await note_outcome(serving.control.connections, checked, refused, serving.time.clock().now())
    found = await serving.control.connections.get(acme.id)
    assert (found and found.status) == "needs_reauth"


async def test_what_does_not_work_does_not_take_the_place_of_what_does(serving: Estate) -> None:
    acme = await serving.link("acme")
    with pytest.raises(CannotLink):
        await serving.administration.linking.reconnect(acme.id, {"client_secret": "another"}, serving.steps.append)
    credentials = await serving.control.connections.credentials(acme.id)
    assert credentials["client_secret"].get_secret_value() == serving.company("acme").sandbox.client_secret


async def test_of_two_who_reconnect_at_once_the_second_hears_that_the_first_was_there(serving: Estate) -> None:
    acme = await serving.link("acme")
    linking, narrow = (
        serving.administration.linking,
        [next(iter(serving.company("acme").sandbox.users()))["population"]["id"]],
    )

    async def meanwhile(replace: Add) -> LinkedConnection:
        await linking.reconnect(acme.id, {"populations": narrow}, serving.steps.append)
        return await replace()

    with pytest.raises(ChangedMeanwhile):
        await linking.reconnect(acme.id, {"sync_minutes": 5}, serving.steps.append, meanwhile)
    found = await serving.control.connections.get(acme.id)
    assert found is not None
    assert (found.settings["populations"], found.settings.get("sync_minutes")) == (narrow, None)
    again = await linking.reconnect(acme.id, {"sync_minutes": 5}, serving.steps.append)
    assert (again.settings["populations"], again.settings["sync_minutes"]) == (narrow, 5)


async def test_removal_leaves_nothing_and_says_what_there_was(serving: Estate) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    for linked in (acme, globex):
        backend = await (await serving.fleet.served(caller(linked.id), linked.id)).backend()
        await backend.replica.sync("full", report=lambda *_: None)
    secret = serving.company("acme").sandbox.client_secret
    removed = await serving.administration.linking.remove(acme.id)
    assert removed == ("its credentials", "its local copy", "its access tokens")
    kept = [path for path in files(serving.folder) if acme.id in str(path) or secret.encode() in path.read_bytes()]
    assert kept == []
    assert any(globex.id in str(path) for path in files(serving.folder))
    with pytest.raises(NoSuchConnection):
        await serving.fleet.served(caller(acme.id), acme.id)
    with pytest.raises(NoSuchConnection):
        await serving.administration.linking.remove(acme.id)


async def test_a_removal_that_came_to_a_sudden_end_is_gone_on_with(serving: Estate) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    place = LinkedFiles(serving.folder / "state")
    for linked in (acme, globex):
        await (await serving.fleet.served(caller(linked.id), linked.id)).backend()
    await place.condemn(globex.id)

    async def end(_: str) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await linking_of(serving.control, place, end, serving.opened).remove(acme.id)
    await serving.fleet.forget(acme.id)
    assert place.folder(acme.id).exists()
    async with open_administration(ControlPlace(folder=place.root)):
        pass
    assert not place.folder(acme.id).exists()
    assert place.folder(globex.id).exists(), "it is marked, and there"


async def test_what_another_process_removes_or_pauses_is_closed_and_leaves_no_file(serving: Estate) -> None:
    acme, globex, initech = [await serving.link(name) for name in ("acme", "globex", "initech")]
    place = LinkedFiles(serving.folder / "state")
    backends = [await (await serving.fleet.served(caller(one.id), one.id)).backend() for one in (acme, globex, initech)]
    departures = Departures(serving.fleet, serving.control.connections, place.forget, serving.time.clock())
    async with open_administration(ControlPlace(folder=place.root)) as other:
        await other.linking.remove(acme.id)
        await other.linking.pause(globex.id)
    await backends[0].replica.sync("full", report=lambda *_: None)  # it goes on, and writes
    assert place.folder(acme.id).exists()
    await departures.look()
    assert serving.fleet.opened() == (initech.id,)
    assert not place.folder(acme.id).exists()
    assert place.folder(globex.id).exists()


@pytest.mark.parametrize("act", ["check", "remove", "pause", "resume"])
async def test_nothing_is_done_to_one_that_there_is_not(serving: Estate, act: str) -> None:
    linking = serving.administration.linking
    with pytest.raises(NoSuchConnection):
        await (linking.check(UNKNOWN, serving.steps.append) if act == "check" else getattr(linking, act)(UNKNOWN))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("text", ["", " \t", "n" * 201, "a\0b", "a\udcffb"])
async def test_what_is_no_name_is_refused_before_anything_is_tried(serving: Estate, text: str) -> None:
    acme = await serving.link("acme")
    serving.steps.clear()
    linking, values = serving.administration.linking, serving.values("acme")
    for request in (LinkRequest(values=values, name=text or " "), LinkRequest(values=values, name="x", tenant=text)):
        with pytest.raises(Refused, match="1 to 200 characters"):
            await linking.connect(request, serving.steps.append)
    for act in (
        linking.rename(acme.id, text),
        serving.administration.create_key(KeyRequest(name=text)),
        serving.administration.create_key(KeyRequest(name="x", tenant=text)),
    ):
        with pytest.raises(Refused, match="1 to 200 characters"):
            await act
    assert serving.steps == []
