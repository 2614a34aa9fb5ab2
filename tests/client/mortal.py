"""Producers that die."""

from __future__ import annotations

from offload.client import Client
from offload.testing.processes import Killed


class Mortal:
    """A port of a producer that dies at one of its calls, before or after it is carried out."""

    def __init__(self, port, fate):
        self._port, self._fate = port, fate

    def __getattr__(self, name):
        method = getattr(self._port, name)

        def call(*args, **kwargs):
            self._fate.meet(name, "before")
            answer = method(*args, **kwargs)
            self._fate.meet(name, "after")
            return answer

        return call


class Fate:
    """Death at call `number`, over all ports of a producer; None lives. `calls` says which they were."""

    def __init__(self, number=None, when="before"):
        self._number, self._when, self.calls, self.dead = number, when, [], False

    def meet(self, name, when):
        if self.dead:
            raise Killed
        if when == "before":
            self.calls.append(name)
        if len(self.calls) == self._number and when == self._when:
            self.dead = True
            raise Killed


def producer(world, fate):
    ports = {name: Mortal(getattr(world, name), fate) for name in ("store", "queues", "blobs", "timers")}
    return Client(world.manifest, **ports, clock=world.clock, rng=world.rng)
