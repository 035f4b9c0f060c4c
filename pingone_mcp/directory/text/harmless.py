"""Strings of a directory, made harmless to look at: end users write them, people and models read them."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

# What nobody sees but a model reads: Unicode categories Cc, Cf, Cs, Zl and Zp without the format characters that
# have a glyph (Arabic number signs and the like), fillers that look like nothing, variation selectors, and what
# Unicode reserves for more of the kind. One class, so that a clean string costs one scan.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# What is looked at before a person sees it: what is not ASCII, what Markdown or HTML read as their own (in `a_b` the
# line is nothing to them, and `[a]` is no link), the colon that makes a link, and a space that HTML would drop.
_UNUSUAL = re.compile(
    r"""[^ -~]|["\\`*~|#$^&<>]|_(?![0-9A-Za-z])|(?<![0-9A-Za-z])_|\[(?=\[)|\](?=[\[\]():])|:(?=//)|(?<= ) """
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')  # of JSON
_SHORT = {"\n": "\\n", "\t": "\\t"}
_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lo", "Lm", "Nd"})
_PLAIN_SIGNS = frozenset("\u2013\u2014\u2026\xb7\u30fb\u3001\u3002\xa1\xbf\xa7\xb0\u20ac\xa3\xa5")
_MARKS_AT_MOST = 3
_DEEPEST = 80
_LONGEST_NAME = 50
# What is no letter with an accent to Unicode, but is to people who lack it on their keyboard.
PLAIN_LETTERS = {
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "ħ": "h",
    "\u0131": "i",
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
}
_PLAIN = str.maketrans(PLAIN_LETTERS)
_SPACES = frozenset("\t\n\v\f\r\x85\u2028\u2029")
_JOINERS = frozenset("\u200c\u200d")
# Behind a sign these two choose between text and picture; anywhere else they would carry a message bit by bit.
_CHOICES = frozenset("\ufe0e\ufe0f")
_SIGNS = re.compile(
    "[#*0-9\xa9\xae\u203c\u2049\u2100-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
# Letters and marks that a joiner shapes: Arabic and its relatives, then the Indic scripts (Unicode 16 §23.2).
_SHAPED = re.compile("[\u0620-\u06d3\u06fa-\u07b1\u08a0-\u08ff\u0900-\u0dff\ufb50-\ufdff\ufe70-\ufefc]")


def harmless(text: str, *, keep_lines: bool = False) -> str:
    """Return the text without control, bidi, zero-width, tag and other hidden characters.

    Line breaks and tabs become spaces unless `keep_lines`. Joiners stay between Arabic or Indic letters, where
    they belong to the spelling, and one choice of presentation stays behind a sign.
    """
    if (text.isascii() and text.isprintable()) or not _HIDDEN.search(text):
        return text

    def replace(match: re.Match[str]) -> str:
        character = match.group()
        if character in _SPACES:
            return character if keep_lines and character in "\t\n\r" else " "
        if character in _JOINERS and _shapes(text, match.start()):
            return character
        if character in _CHOICES and _SIGNS.match(text[match.start() - 1 : match.start()]):
            return character
        return ""

    return _HIDDEN.sub(replace, text)


def hides_nothing(text: str) -> bool:
    """Say whether a text holds no hidden character at all, not even where one belongs."""
    return (text.isascii() and text.isprintable()) or not _HIDDEN.search(text)


def harmless_lines(text: str) -> str:
    """Return a text of ours made harmless line by line; only a line feed ends one, so that nothing is overwritten."""
    return "\n".join(map(harmless, text.split("\n")))


def quoted(value: Any) -> str:
    """Return JSON of a value in which everything is what it looks like, for a person who decides about it.

    It is one line and parses back to the value. What a display could hide, change or reorder inside its texts is
    written as its code, see `coded`.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _STRING.sub(lambda match: f'"{coded(json.loads(match.group()))}"', text)


def coded(text: str) -> str:
    r"""Return a text for the inside of a JSON string in which everything is what it looks like.

    ASCII stays, and so do letters and digits that are written from left to right, their accents, and a few signs. All
    else becomes its code (`\u202e`): what is hidden; what is written from right to left, since that reorders what
    stands around it (UAX #9); what Markdown or HTML read as their own. Quotes and backslashes too: Markdown drops a
    backslash before a quote, and the text would seem to end there.
    """
    return _UNUSUAL.sub(lambda match: match.group() if _is_plain(text, match.start()) else _code(match.group()), text)


def _is_plain(text: str, at: int) -> bool:
    """Say whether what is not ASCII is seen by everybody, in its place, and as nothing else."""
    letter = text[at]
    if letter.isascii() or _HIDDEN.match(letter):
        return False
    if letter in _PLAIN_SIGNS:
        return True
    kind = unicodedata.category(letter)
    if kind in ("Mn", "Mc"):
        return _accents(text[max(at - _MARKS_AT_MOST, 0) : at], letter)
    return kind in _LETTERS and unicodedata.bidirectional(letter) == "L" and not "\u02b0" <= letter <= "\u02ff"


def _accents(before: str, mark: str) -> bool:
    """Say whether a mark belongs to a letter before it, and neither strikes it out nor is one mark too many."""
    if unicodedata.combining(mark) == 1 or "\u20d0" <= mark <= "\u20ff":
        return False
    base = next((letter for letter in reversed(before) if unicodedata.category(letter) not in ("Mn", "Mc")), "")
    return base.isalpha() and unicodedata.bidirectional(base) == "L"


def _code(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def clean(value: Any, *, levels: int = _DEEPEST) -> Any:
    """Return JSON-like data with every string in it, names of members included, made harmless.

    What lies deeper than `levels` is left out, and says so: clients and parsers give up on such depths.
    """
    if isinstance(value, str):
        return harmless(value)
    if not isinstance(value, (dict, list, tuple)):
        return value
    if levels == 0:
        return "[nested too deeply]"
    if isinstance(value, dict):
        cleaned: dict[str, Any] = {}
        for key, member in value.items():
            name = harmless(str(key))
            while name in cleaned:  # two names that differ in hidden characters alone stay two
                name += "_"
            cleaned[name] = clean(member, levels=levels - 1)
        return cleaned
    return [clean(item, levels=levels - 1) for item in value]


def unaccented(text: str) -> str:
    """Return a text for comparison in which case and accents make no difference: Zoë is zoe, Łukasz is lukasz."""
    text = text.casefold()
    if text.isascii():
        return text
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return bare.translate(_PLAIN)


def candidate(identity: str, *names: str | None) -> str:
    """Return a thing of the directory as an error may name it: `"its name" (id)`, the id whole.

    Names are data that anybody may have written: made harmless, on one line, without quotes of their own, shortened.
    """
    shown = ", ".join(filter(None, (_named(name) for name in names)))
    return f'"{shown}" ({identity})' if shown else identity


def _named(name: str | None) -> str:
    shown = " ".join(harmless(name or "").split()).replace('"', "'").replace("`", "'")
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME].rstrip()}…"


def _shapes(text: str, index: int) -> bool:
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    return bool(before and after and _SHAPED.match(before) and _SHAPED.match(after))
