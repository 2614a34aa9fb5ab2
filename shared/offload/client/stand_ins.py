"""What stands in for the clients of deployed stacks while a test runs: the client of the test's own stack.

A program makes its client once, often at module level, and so before any test. While a test has a stack of its own,
each such client does what the client of that stack does, and so does one that is made meanwhile. Nothing of the test
can reach a deployed stack by mistake. Afterwards every client is what it was, and handles from the test still ask the
test's stack.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.client.client import Client

_clients: WeakSet[Client] = WeakSet()
_own: dict[Client, tuple[type[Client], dict[str, Any]]] = {}
"""The class and the attributes of each client that another one stands in for."""

_in_force: list[Client] = []


def note(client: Client) -> None:
    """Remember a client of a deployed stack that was just made."""
    _clients.add(client)
    if _in_force:
        _become(client, _in_force[-1])


def behind(client: Client) -> Client:
    """Return the client that answers for a client now, as it does for a handle that outlives the test."""
    return _in_force[-1] if client in _own else client


@contextmanager
def standing_in(other: Client) -> Iterator[None]:
    """Let every client of a deployed stack do in the block what another client does; of blocks, the last one counts."""
    _in_force.append(other)
    _tell_all()
    try:
        yield
    finally:
        _in_force.remove(other)
        _tell_all()


def _tell_all() -> None:
    while _own:
        client, own = _own.popitem()
        client.__class__, client.__dict__ = own
    for client in list(_clients) if _in_force else ():
        _become(client, _in_force[-1])


def _become(client: Client, other: Client) -> None:
    own, taken = type(client), type(other)
    _own[client] = own, client.__dict__
    # A class of the program's own keeps what it adds.
    both = taken if issubclass(taken, own) else type(own.__name__, (taken, own), {"__module__": own.__module__})
    client.__class__, client.__dict__ = both, {**client.__dict__, **other.__dict__}
