"""E-mail addresses and header lines that cannot carry a second header."""

from __future__ import annotations

import re
from email.utils import formataddr

# A "valid e-mail address" of the HTML standard: the ASCII subset of RFC 5322 that mail systems agree on.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+")
_NAMED = re.compile(r'(?:"(?P<quoted>[^"\\<>]*)"|(?P<plain>[^"\\<>,;:@()\[\]]*?)) ?<(?P<address>[^<>]+)>')
_LONGEST = 320


def one_line(text: str) -> str:
    """Return the text if it is one line of printable characters: what a mail header may hold.

    Raises:
        ValueError: It holds a line break or another control character.
    """
    if re.search(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]", text):
        raise ValueError("a mail header must be one line without control characters")
    return text


def mailbox(text: str) -> str:
    """Return `ann@example.org` or `Ann <ann@example.org>` in the spelling a header takes; names may be Unicode.

    Raises:
        ValueError: It is not one address. The message does not repeat it.
    """
    named = _NAMED.fullmatch(one_line(text))
    name, address = ((named["quoted"] or named["plain"] or "").strip(), named["address"]) if named else ("", text)
    if len(address) > _LONGEST or not _ADDRESS.fullmatch(address):
        raise ValueError(
            "not an e-mail address: write ann@example.org or Ann <ann@example.org>, in ASCII (punycode domains)"
        )
    return formataddr((name, address)) if name else address
