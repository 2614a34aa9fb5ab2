"""What a client renews in a process that was forked: locks that a thread of the parent may have held, and threads.

Programs that load an app and fork afterwards, such as a web server with `--preload`, make a client in the parent and
use it in each child. A child has none of the parent's threads but the one that forked, and no lock of theirs is ever
released in it.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Whatever holds locks or threads."""

    def after_fork(self) -> None:
        """Replace them; called in the child, before anything else runs there."""


_forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()


def watch_forks(forkable: Forkable) -> None:
    """Have `after_fork` called in every process that is forked from now on, for as long as the object lives."""
    _forkables.add(forkable)


def _tell_all() -> None:
    for forkable in list(_forkables):
        forkable.after_fork()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_tell_all)
