"""Whom the lean transport trusts.

Reading a machine's whole list of root certificates takes 30 to 45 ms of processor time, several times that on a small
Lambda, at every cold start; reading Amazon's five takes 2. A host they do not vouch for is tried with the whole list.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

LISTED = Path(__file__).with_name("roots.txt")


@functools.cache
def amazon() -> ssl.SSLContext:
    """Return a context that trusts Amazon Trust Services alone; made once."""
    import ssl  # plain http, as in tests, needs none

    text = LISTED.read_text(encoding="ascii")
    return ssl.create_default_context(cadata=text)


@functools.cache
def system() -> ssl.SSLContext:
    """Return a context that trusts what this machine trusts (`SSL_CERT_FILE` included); made once."""
    import ssl  # see `amazon`

    return ssl.create_default_context()
