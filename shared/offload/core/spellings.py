"""What is looked for in a text to find secrets in it: pieces of each spelling of each secret.

Libraries cut a value before they quote it, and some escape or encode it. So each run of `_PIECE` characters of a
spelling is found wherever it stands; a spelling that is shorter is found as a whole. The pieces are made in one pass
over the spellings. A text is looked through once for each length of pieces, however many secrets there are.
"""

from __future__ import annotations

import base64
import html
import json
from collections import defaultdict
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 10
"""Characters of a piece. `https://` and most words have fewer; `reprlib`, which quotes least of the usual ones, 12."""

_LEAST_PART = 6
"""Characters of a part of a secret that is looked for by itself. Shorter ones stand in texts that have no secret."""

_SPELLED = 8_000
"""Characters of secrets, the shortest first, that are looked for in every spelling; the others are as they are."""

_MOST_PIECES = 150_000
"""About how many pieces are kept, in some 15 MB. Of longer secrets each second, third, ... piece is kept."""


class Pieces:
    """What is looked for in a text: sets of strings, by their length."""

    def __init__(self, secrets: tuple[str | bytes, ...]) -> None:
        """Cut every spelling into pieces, each of which begins one character after the last, or more in long secrets.

        The first and the last piece of each spelling are always there.
        """
        forms = _spellings(secrets)
        step = 1 + sum(map(len, forms)) // _MOST_PIECES
        self._reach = step - 1
        self._by_length: defaultdict[int, set[str]] = defaultdict(set)
        for form in forms:
            if len(form) > _PIECE:
                last = len(form) - _PIECE
                pieces = (form[at : at + _PIECE] for at in chain(range(0, last, step), (last,)))
                # Indented secrets have runs of blanks, and so have tracebacks.
                self._by_length[_PIECE].update(piece for piece in pieces if not piece.isspace())
            else:
                self._by_length[len(form)].add(form)

    def found(self, text: str) -> list[tuple[int, int]]:
        """Return where pieces begin and end, in order.

        Between two pieces that were kept, as many characters belong to the secret as were stepped over. So many on
        either side of a piece may be the secret's too, and are given up with it.
        """
        return sorted(
            (max(at - self._reach, 0), at + length + self._reach)
            for length, pieces in self._by_length.items()
            for at in range(len(text) - length + 1)
            if text[at : at + length] in pieces
        )


def leaves(values: list[Any]) -> Iterator[str | bytes]:
    """Yield the texts, bytes and numbers in values; what has attributes is searched by them."""
    waiting, seen = list(values), set()
    while waiting:
        value = waiting.pop()
        match value:
            case str() | bytes() if value:
                yield value
                continue
            case None | bool() | "" | b"":
                continue
            case dict():
                within = list(value.values())
            case list() | tuple() | set() | frozenset():
                within = list(value)
            case Enum():
                within = [value.name, value.value]
            case _ if hasattr(value, "__dict__") and not hasattr(value, "isoformat") and vars(value):
                within = list(vars(value).values())
            case _:
                yield str(value)
                continue
        if id(value) not in seen:  # a model may hold itself
            seen.add(id(value))
            waiting += within


def _spellings(secrets: tuple[str | bytes, ...]) -> set[str]:
    """Return the spellings that are looked for; the work is bounded, however large the secrets are."""
    forms: set[str] = set()
    spelled = 0
    for leaf in sorted(secrets, key=len):
        spelled += len(leaf) + _PIECE  # spelling costs as much for each secret as for so many characters of one
        forms.update(_plain(leaf))
        if spelled <= _SPELLED:
            forms.update(_spelled(leaf))
    return forms - {""}


def _plain(leaf: str | bytes) -> Iterator[str]:
    """Yield a secret as it is.

    A text of several lines is one line by line too: a traceback indents notes and groups of errors.
    """
    text = leaf if isinstance(leaf, str) else leaf.decode("utf-8", "replace")
    yield text
    lines = [line.strip() for line in text.splitlines()]
    yield from (line for line in lines if len(lines) > 1 and len(line) >= _LEAST_PART)


def _spelled(leaf: str | bytes) -> Iterator[str]:
    """Yield the other spellings in which a secret reaches a text: escaped, in a URL, in hex and in base64."""
    raw = leaf if isinstance(leaf, bytes) else leaf.encode("utf-8", "surrogatepass")
    text = leaf if isinstance(leaf, str) else leaf.decode("utf-8", "replace")
    yield repr(leaf).removeprefix("b")[1:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield html.escape(text)
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield raw.hex()
    yield raw.hex().upper()
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
    yield from _within_base64(raw)


def _within_base64(raw: bytes) -> Iterator[str]:
    """Yield what base64 has of a secret when something stands before it, such as the user in `Basic user:password`.

    Three bytes are four characters, so there are three ways in which a secret can begin; its first and its last
    character may belong to its neighbours too, and are left out.
    """
    for before, begins_at in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        own = encoded[begins_at : len(encoded) - bool((before + len(raw)) % 3)]
        if len(own) >= _LEAST_PART:
            yield own
            yield own.translate(str.maketrans("+/", "-_"))
