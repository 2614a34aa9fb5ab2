"""Checks of e-mail addresses and header lines, so that a value cannot contain a second header."""

from __future__ import annotations

import re
from email.utils import formataddr

# A "valid e-mail address" of the HTML standard: the ASCII part of RFC 5322 that all mail systems accept.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+")
_NAMED = re.compile(r'(?:"(?P<quoted>[^"\\<>]*)"|(?P<plain>[^"\\<>,;:@()\[\]]*?)) ?<(?P<address>[^<>]+)>')
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST = 320


def one_line(text: str) -> str:
    """Return the text if it is one line without control characters, as a mail header must be.

    Raises:
        ValueError: The text contains a line break or another control character, or is not valid Unicode.
    """
    if _SURROGATE.search(text):
        raise ValueError("a mail header must be valid Unicode: it has half of a surrogate pair")
    if re.search(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]", text):
        raise ValueError("a mail header must be one line without control characters")
    return text


def mailbox(text: str) -> str:
    """Return `ann@example.org` or `Ann <ann@example.org>`, encoded for a mail header. The name may be Unicode.

    Raises:
        ValueError: The text is not a single address. The error message does not contain the text.
    """
    name, address, quoted = _parts(text)
    # Without its quotes, a mail program would decode a name that looks encoded, and show another one.
    if quoted and "=?" in name and name.isascii():
        return f'"{name}" <{address}>'
    return formataddr((name, address)) if name else address


def address_of(text: str) -> str:
    """Return the address alone, `ann@example.org`, of what `mailbox` takes.

    Raises:
        ValueError: The text is not a single address. The error message does not contain the text.
    """
    return _parts(text)[1]


def _parts(text: str) -> tuple[str, str, bool]:
    """Return the name, the address, and whether the name was in quotes."""
    named = _NAMED.fullmatch(one_line(text))
    name, address = ((named["quoted"] or named["plain"] or "").strip(), named["address"]) if named else ("", text)
    if len(address) > _LONGEST or not _ADDRESS.fullmatch(address):
        raise ValueError(
            "not an e-mail address: write ann@example.org or Ann <ann@example.org>, in ASCII (punycode domains)"
        )
    return name, address, bool(named and named["quoted"])
