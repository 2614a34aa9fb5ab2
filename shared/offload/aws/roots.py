"""The root certificates that the transport in `signed` trusts.

Reading a machine's whole list of root certificates takes 30 to 45 ms of processor time at every cold start, and several
times as long on a small Lambda function. Reading Amazon's five root certificates takes 2 ms. A host whose certificate
does not lead to one of the five is tried again with the whole list.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

AMAZON_ROOTS = Path(__file__).with_name("roots.txt")


@functools.cache
def amazon() -> ssl.SSLContext:
    """Return a context that trusts Amazon Trust Services alone; made once."""
    import ssl  # a plain http endpoint, as in tests, does not need the module

    return ssl.create_default_context(cadata=AMAZON_ROOTS.read_text(encoding="ascii"))


@functools.cache
def system() -> ssl.SSLContext:
    """Return a context that trusts the machine's own list of roots (`SSL_CERT_FILE` included); made once."""
    import ssl  # see `amazon`

    return ssl.create_default_context()
