"""All control data together: opened in a private folder, again after anything, and with nothing secret in them."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.control.idempotency import KeptAnswer, KeyedRequest
from pingone_mcp.control.inbox import IncomingEvent
from pingone_mcp.control.key_ring import KeyFile
from pingone_mcp.control.sealing import of_connection, of_webhook
from pingone_mcp.control.tables import DATA_KEYS, LINK_TOKENS, METADATA, OUTBOX
from pingone_mcp.errors import Unconfigured
from tests.control.conftest import Hands
from tests.process.programs import PATIENCE


def in_clear(folder: Path, secrets: Mapping[str, str]) -> list[str]:
    """Name the secrets that stand in any file but the key file, whole or in part."""
    whole = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "keys")
    return [name for name, secret in secrets.items() if secret.encode() in whole or secret[8:40].encode() in whole]


async def used(control: ControlData, folder: Path) -> dict[str, str]:
    """Use everything; return every secret that came along, and see that none is in the files while they are open."""
    secrets = {"client secret": "s3cr3t-of-the-client-0123456789-abcdefghij"}
    credentials = {"client_secret": SecretStr(secrets["client secret"])}
    linked = await control.connections.add(name="one", tenant="acme", settings={"a": 1}, credentials=credentials)
    gone = await control.connections.add(name="two", tenant="acme", settings={"a": 1}, credentials=credentials)
    key = await control.api_keys.create(name="k", permissions=["directory.read"], connections=[linked.id])
    secrets["api key"] = key.text.get_secret_value().rpartition("_")[2]
    secrets["link token"] = (await control.tokens.create_link(tenant="acme")).get_secret_value()
    account, _ = await control.tokens.create_account(linked.id, ["directory.read"])
    secrets["account token"] = account.get_secret_value()
    await control.api_keys.verify(key.text.get_secret_value())
    await control.tokens.use_link(secrets["link token"])
    secrets["new secret"] = "an0ther-s3cr3t-of-the-client-9876543210-zyx"
    renewed = {"client_secret": SecretStr(secrets["new secret"])}
    await control.connections.replace_credentials(linked.id, renewed)
    webhook, signing = await control.webhooks.create(target_url="https://example.com/hook")
    secrets["signing secret"] = signing.get_secret_value()
    await control.webhooks.secret(webhook.id)
    person = "Ada-Lovelace-of-the-directory-ada@example.com"
    secrets["a person, incoming"] = f"in-{person}"
    await control.inbox.add(linked.id, [IncomingEvent(event_id="e", body=f"in-{person}".encode())])
    await control.inbox.pending(linked.id)
    secrets["a person, outgoing"] = f"out-{person}"
    await control.outbox.add("record:created", {"x": f"out-{person}"}, connection_id=linked.id, tenant="acme")
    await control.outbox.heads()
    request = KeyedRequest(principal="p", connection_id=linked.id, path="POST /x", key="idempotency-key", body=b"{}")
    await control.idempotency.begin(request)
    secrets["a person, answered"] = f"answered-{person}"
    kept = KeptAnswer(status=200, media_type="application/json", body=f"answered-{person}".encode())
    await control.idempotency.finish(request, kept)
    assert await control.idempotency.begin(request) == kept
    await control.rotate_keys(forget_old=True)
    await control.connections.remove(gone.id)
    assert in_clear(folder, secrets) == []
    return secrets


async def test_nothing_secret_is_in_the_files(tmp_path: Path, hands: Hands) -> None:
    place = ControlPlace(folder=tmp_path)
    async with open_control(place, hands.clock) as control:
        secrets = await used(control, tmp_path)
        assert (tmp_path / "control" / "control.db-wal").exists()
        ring = KeyFile(place.key_path).read()
        assert ring is not None
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path != place.key_path]
        whole = b"".join(path.read_bytes() for path in files)
        keys = [*ring.keys.values(), control.derive("cursors"), (await control.seals.key_of("root")).key]
        assert [key for key in keys if key in whole or base64.urlsafe_b64encode(key) in whole] == []
        async with control.transaction():
            await control.connections.add(name=secrets["api key"], settings={}, credentials={})
        assert in_clear(tmp_path, secrets) == ["api key"], "what is in the clear is found"
    assert in_clear(tmp_path, secrets) == ["api key"]


async def test_of_a_connection_that_was_removed_not_even_the_wrapped_key_is_left(tmp_path: Path) -> None:
    """A key that is only unlinked could be found in the file, or in its log, by who has the ring."""
    files = [tmp_path / "control" / name for name in ("control.db", "control.db-wal")]
    async with open_control(ControlPlace(folder=tmp_path)) as control:
        added = await control.connections.add(name="one", settings={}, credentials={"x": SecretStr("y")})
        async with control.database.read() as connection:
            of = select(DATA_KEYS.c.wrapped).where(DATA_KEYS.c.owner == of_connection(added.id))
            wrapped = (await connection.scalars(of)).one()
        assert any(wrapped in file.read_bytes() for file in files)
        await control.connections.remove(added.id)
        assert not any(wrapped in file.read_bytes() for file in files)


async def test_nothing_secret_is_in_the_rows(control: ControlData, tmp_path: Path) -> None:
    secrets = await used(control, tmp_path)
    async with control.database.read() as connection:
        rows = [row for table in METADATA.sorted_tables for row in await connection.execute(select(table))]
    text = repr(rows)
    assert [name for name, secret in secrets.items() if secret in text] == []


async def test_a_place_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unconfigured, match=r"cannot be used for control data: .* PINGONE_STATE_DIR"):
        async with open_control(ControlPlace(folder=tmp_path / "file" / "below")):
            pass
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "control").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unconfigured, match=r"control is a link\. Remove that"):
        async with open_control(ControlPlace(folder=tmp_path)):
            pass


async def test_the_next_opening_finds_what_this_one_left(
    database_url: SecretStr | None, tmp_path: Path, hands: Hands
) -> None:
    place = ControlPlace(folder=tmp_path, database_url=database_url, key_file=tmp_path / "named keys")
    async with open_control(place, hands.clock) as control:
        made = await control.connections.add(name="one", settings={}, credentials={"x": SecretStr("y")})
        derived = control.derive("cursors")
    async with open_control(place) as control:
        assert await control.connections.with_credentials(made.id) == (made, {"x": SecretStr("y")})
        assert control.derive("cursors") == derived
    assert (tmp_path / "named keys").stat().st_mode & 0o777 == 0o600
    (tmp_path / "named keys").unlink()
    with pytest.raises(Unconfigured, match=r"The key file .*named keys is missing"):
        async with open_control(place):
            pass


def test_a_place_does_not_show_the_address() -> None:
    place = ControlPlace(folder=Path("/x"), database_url=SecretStr("postgresql://u:s3cr3t@h/d"))
    assert "s3cr3t" not in repr(place)


WORKS = """
import anyio, itertools, sys
from pathlib import Path
from pydantic import SecretStr
from pingone_mcp.control.control import ControlPlace, open_control

async def main(folder, url):
    place = ControlPlace(folder=Path(folder), database_url=SecretStr(url) if url else None)
    async with open_control(place) as control:
        print("at work", flush=True)
        await control.webhooks.create(target_url="https://example.com")
        for number in itertools.count():
            text = (await control.tokens.create_link(tenant="acme")).get_secret_value()
            async with control.transaction():
                await control.tokens.use_link(text)
                added = await control.connections.add(
                    name=text, tenant="acme", settings={}, credentials={"client_secret": SecretStr("old")}
                )
                await control.sync_runs.request(added.id, "connected")
                await control.outbox.add("record:created", {}, connection_id=added.id, tenant="acme")
            await control.connections.replace_credentials(added.id, {"client_secret": SecretStr("new")})
            if number % 3 == 0:
                await control.rotate_keys(forget_old=True)
            if number % 2:
                await control.connections.remove(added.id)

anyio.run(main, *sys.argv[1:])
"""


def test_a_process_may_be_killed_at_any_moment_and_nothing_is_half_made(
    database_url: SecretStr | None, tmp_path: Path
) -> None:
    place = ControlPlace(folder=tmp_path, database_url=database_url)

    async def check() -> int:
        async with open_control(place) as control, control.database.read() as connection:
            linked = await control.connections.listed()
            for one in linked:
                secret = (await control.connections.credentials(one.id))["client_secret"].get_secret_value()
                assert (secret, one.epoch) in (("old", 1), ("new", 2))
            ids = {one.id for one in linked}
            webhooks = {one.id for one in await control.webhooks.listed()}
            assert {run.connection_id for run in await control.sync_runs.listed()} == ids
            said = (await connection.execute(select(OUTBOX.c.connection_id, OUTBOX.c.event))).all()
            removed = {one.connection_id for one in said if one.event == "integrated_account:deleted"}
            assert {one.connection_id for one in said} == ids | removed
            assert not ids & removed
            written = {one.connection_id for one in said if one.event == "record:created"}
            made = {one.connection_id for one in said if one.event == "integrated_account:created"}
            assert written == made == ids
            owners = set(await connection.scalars(select(DATA_KEYS.c.owner)))
            assert owners == {"root", *map(of_connection, ids), *map(of_webhook, webhooks)}
            used = await connection.scalars(select(LINK_TOKENS.c.used_at))
            assert len([at for at in used if at is not None]) >= len(ids)
            return len(linked)

    command = [sys.executable, "-c", WORKS, str(tmp_path), database_url.get_secret_value() if database_url else ""]
    found = []
    for milliseconds in (5, 70, 190, 310, 420):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(milliseconds / 1000)
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
        found.append(anyio.run(check))
    assert found == sorted(found)
    assert found[-1] > 0
