"""When two texts name the same person: keys under which spellings of an address, login or name fall together."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

from pingone_mcp.directory.text.harmless import harmless

IdentityKind = Literal["email", "username", "external_id"]

_LONGEST_LABEL = 63  # RFC 1035 §2.3.4


def folded(text: str) -> str:
    """Return a text for comparison: case, width, composition, hidden characters and spare spaces make no difference.

    Compatibility caseless matching, Unicode Standard §3.13, D146.
    """
    if text.isascii() and text.isprintable():  # nearly all that there is
        return (" ".join(text.split()) if " " in text else text).lower()
    shown = " ".join(harmless(text).split())
    if shown.isascii():
        return shown.lower()
    wide = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", shown).casefold())
    narrow = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", wide.casefold()))
    return " ".join(harmless(narrow).split())


def address_key(email: str, *, fold_plus: bool = False) -> str:
    """Return an address for comparison; domains compare as people read them, whether in Unicode or punycode.

    `fold_plus` makes ann+news@example.com the same as ann@example.com: true of some mail systems only.
    """
    if email.isascii() and email.isprintable():  # nearly all that there is
        mailbox, at, domain = email.replace(" ", "").lower().rpartition("@")
    else:
        # Composed first: some signs are a space and an accent in another form.
        local, at, domain = "".join(unicodedata.normalize("NFKC", harmless(email)).split()).rpartition("@")
        mailbox = folded(local)
    if not at:
        return folded(email)
    if fold_plus:
        mailbox = mailbox.partition("+")[0] or mailbox
    return f"{mailbox}@{domain_key(domain)}"


@lru_cache(maxsize=4_096)  # a directory has many addresses in few domains
def domain_key(domain: str) -> str:
    """Return a domain for comparison, in Unicode; not folded, for ß and ss are two there (RFC 5894 §7.2)."""
    text = domain.lower() if domain.isascii() else _lower(domain)
    labels = text.replace("\u3002", ".").rstrip(".").split(".")
    return ".".join(_unicode(label) if label.startswith("xn--") else label for label in labels)


def identity_key(kind: IdentityKind, value: str, *, fold_plus: bool = False) -> str:
    """Return the key of a value of this kind; empty where nothing is left of it."""
    return address_key(value, fold_plus=fold_plus) if kind == "email" else folded(value)


def _unicode(label: str) -> str:
    if len(label) > _LONGEST_LABEL or not label.isascii():
        return label
    try:
        spelt = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    return label if spelt.isascii() else _lower(spelt)


def _lower(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
