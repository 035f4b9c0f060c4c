"""Where events may be sent: public addresses by https, and what the person who runs the process has named."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pingone_mcp.settings.addresses import host_name, is_loopback, is_public

LONGEST_URL = 2_000
"""Characters of a URL that events are sent to."""
_URL = re.compile(r"https?://[!-~]+")
# Addresses that stand for others of IPv4 (RFC 6052 §2.1): what a network without IPv4 makes of its names.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not for everybody, whatever their numbers look like: the host of each virtual machine in one cloud ("What is IP
# 168.63.129.16?"), and what is kept for protocols (RFC 6890 §2.2.2), where another one answers with credentials.
_NEVER = (ipaddress.IPv4Network("168.63.129.16/32"), ipaddress.IPv4Network("192.0.0.0/24"))


@dataclass(frozen=True, slots=True)
class TargetRules:
    """Which targets are allowed, when they are given and when they are connected to.

    `hosts` are names and addresses that may be private. `with_loopback` this machine is allowed too, by plain http:
    only where nobody else can name targets.
    """

    hosts: frozenset[str] = frozenset()
    with_loopback: bool = False

    def allow_url(self, text: str) -> bool:
        """Say whether a text is the URL of an allowed target, without user name and fragment.

        Path and query may be anything that is written in ASCII, as in a URL they are. What a name leads to is not
        looked up here.
        """
        if not _URL.fullmatch(text) or len(text) > LONGEST_URL:
            return False
        try:
            parts = urlsplit(text)
        except ValueError:
            return False
        host = host_name(parts.netloc)
        if host is None or parts.fragment:
            return False
        if self.with_loopback and is_loopback(host):
            return True
        if parts.scheme != "https" or not (host in self.hosts or is_public(host)):
            return False
        return not is_address(host) or self.allow_address(host, host)

    def allow_address(self, host: str, address: str) -> bool:
        """Say whether an address that a host leads to (or is) may be connected to."""
        if host in self.hosts:
            return True
        found = ipaddress.ip_address(address)
        if self.with_loopback and is_loopback(host):
            return found.is_loopback
        meant = _meant(found)
        return is_public(str(meant)) and not any(meant in network for network in _NEVER)


def is_address(host: str) -> bool:
    """Say whether a host is named by its address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _meant(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of IPv4 that one of IPv6 stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address
