"""Rules for roles that a connection has of its own: the last right ones, as a whole."""

from __future__ import annotations

import stat

import pytest

from pingone_mcp.errors import NoSuchConnection, NotFound, Refused
from pingone_mcp.service.files.role_rules import RuleFiles
from pingone_mcp.service.reviews.rules import read_rules
from tests.service.rosters.conftest import Office

RULES = b'[[rule]]\nrole = "reader"\ngroup = "Finance*"\n\n[[exclusive]]\nroles = ["reader", "approver"]\n'
WHOLE = RULES + b'\n[[rule]]\nrole = "approver"\ngroup = "Approvers"\n'


async def test_right_rules_take_the_place_of_those_before(office: Office) -> None:
    with pytest.raises(NotFound, match=r"PUT /role-rules, or `pingone-mcp rosters rules FILE`"):
        await office.desk.rules.show(office.linked.id)
    kept = await office.desk.rules.put(office.linked.id, WHOLE)
    assert (kept.text, kept.rules, kept.exclusive) == (WHOLE.decode(), 2, 1)
    file = office.files.own(office.linked.id).path / "roles.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(Refused, match="line 6: no rule gives the role `approver`"):
        await office.desk.rules.put(office.linked.id, RULES)
    for wrong, said in (
        (b"\xff", "line 1 holds a byte"),
        (b"# x\n" * 300_000, "longer than 1 MiB"),
        (b"", r"no \[\[rule"),
    ):
        with pytest.raises(Refused, match=said):
            await office.desk.rules.put(office.linked.id, wrong)
    assert await office.desk.rules.show(office.linked.id) == kept
    await office.desk.rules.remove(office.linked.id)
    with pytest.raises(NotFound):
        await office.desk.rules.remove(office.linked.id)


async def test_a_mark_of_an_editor_is_no_part_of_them(office: Office) -> None:
    assert (await office.desk.rules.put(office.linked.id, b"\xef\xbb\xbf" + WHOLE)).text == WHOLE.decode()


async def test_whoever_asks_for_rules_finds_them(office: Office) -> None:
    own = office.files.own(office.linked.id)
    with pytest.raises(Refused, match="No rules for roles are configured"):
        await read_rules(RuleFiles(named=None, own=own))
    await office.desk.rules.put(office.linked.id, WHOLE)
    assert len((await read_rules(RuleFiles(named=None, own=own))).rules) == 2


async def test_two_sets_of_rules_are_none(office: Office) -> None:
    own = office.files.own(office.linked.id)
    named = office.files.root / "named.toml"
    named.write_bytes(WHOLE)
    assert len((await read_rules(RuleFiles(named=named, own=own))).rules) == 2
    await office.desk.rules.put(office.linked.id, WHOLE)
    with pytest.raises(Refused, match="two sets of rules"):
        await read_rules(RuleFiles(named=named, own=own))


async def test_rules_that_were_changed_by_hand_are_shown_and_not_counted(office: Office) -> None:
    await office.desk.rules.put(office.linked.id, WHOLE)
    (office.files.own(office.linked.id).path / "roles.toml").write_bytes(RULES)
    kept = await office.desk.rules.show(office.linked.id)
    assert (kept.text, kept.rules, kept.exclusive) == (RULES.decode(), None, None)


async def test_nothing_is_kept_for_a_connection_that_was_removed(office: Office) -> None:
    await office.control.connections.remove(office.linked.id)
    await office.files.forget(office.linked.id)
    with pytest.raises(NoSuchConnection):
        await office.desk.rules.put(office.linked.id, WHOLE)
    assert not office.folder.parent.exists()
