"""Which addresses events may be sent to: public ones, those that were named, and this machine where that is asked."""

from __future__ import annotations

import pytest

from pingone_mcp.settings.targets import TargetRules

NAMED = TargetRules(frozenset({"hooks.corp", "10.1.2.3", "fd00::5"}))
HERE = TargetRules(with_loopback=True)


@pytest.mark.parametrize(
    ("rules", "url", "allowed"),
    [
        (TargetRules(), "https://hooks.example.com/x?y=1", True),
        (TargetRules(), "http://hooks.example.com/x", False),
        (TargetRules(), "https://hooks.corp/x", False),
        (TargetRules(), "http://127.0.0.1:9000/x", False),
        (TargetRules(), "https://[64:ff9b::7f00:1]/x", False),
        (TargetRules(), "https://168.63.129.16/x", False),
        (TargetRules(), "https://192.0.0.192/x", False),
        (TargetRules(), "https://1.1.1.1/x", True),
        (NAMED, "https://hooks.corp:8443/x", True),
        (NAMED, "https://HOOKS.corp/x", True),
        (NAMED, "http://hooks.corp/x", False),
        (NAMED, "https://a.hooks.corp/x", False),
        (NAMED, "https://10.1.2.3/x", True),
        (NAMED, "https://[fd00::5]/x", True),
        (NAMED, "https://10.1.2.4/x", False),
        (NAMED, "https://me@hooks.corp/x", False),
        (NAMED, "https://hooks.corp/x#y", False),
        (NAMED, "https://hooks.corp/" + "x" * 2_000, False),
        (HERE, "http://127.0.0.1:9000/x", True),
        (HERE, "http://localhost:9000/x", True),
        (HERE, "http://[::1]:9000/x", True),
        (HERE, "https://localhost/x", True),
        (HERE, "http://localhost@example.com/x", False),
        (HERE, "http://192.168.1.1/x", False),
        (HERE, "ftp://localhost/x", False),
    ],
)
def test_urls_that_may_be_given(rules: TargetRules, url: str, allowed: bool) -> None:
    assert rules.allow_url(url) is allowed


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254"),
        *("224.0.0.1", "255.255.255.255", "168.63.129.16", "192.0.0.192", "198.18.0.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "2001:db8::1", "2001::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "2002:7f00:1::"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "64:ff9b::a83f:8110"),
    ],
)
def test_no_name_leads_to_a_private_address(address: str) -> None:
    for rules in (TargetRules(), NAMED, HERE):
        assert not rules.allow_address("hooks.example.com", address)
    assert NAMED.allow_address("hooks.corp", address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"])
def test_names_lead_to_public_addresses(address: str) -> None:
    assert TargetRules().allow_address("hooks.example.com", address)


@pytest.mark.parametrize(("address", "allowed"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False)])
def test_this_machine_is_nowhere_else(address: str, allowed: bool) -> None:
    assert HERE.allow_address("localhost", address) is allowed
