"""Hooks: what may be registered, and in which order the hooks are called."""

from __future__ import annotations

import pytest

from offload import DefinitionError, Hooks
from offload.core.hooks import call_hooks
from tests.runtime.observing_hooks import METHODS

ARGUMENTS = {
    "process_started": 1,
    "before_enqueue": 1,
    "after_enqueue": 3,
    "before_run": 1,
    "after_run": 2,
    "ended_without_run": 4,
    "message_returned": 3,
    "invocation_ended": 0,
}
"""How many arguments each hook takes."""


class Noting(Hooks):
    """Hooks that note their name in `calls`, whichever method is called."""

    def __init__(self, name, calls):
        for method in METHODS:
            setattr(self, method, lambda *_arguments: calls.append(name))


# The order


def test_every_hook_is_known_here():
    assert sorted(ARGUMENTS) == sorted(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_hooks_are_called_in_the_order_of_registration_and_those_after_something_in_the_reverse(register, method):
    calls = []
    register(Noting("first", calls), Noting("second", calls))
    register(Noting("third", calls))

    call_hooks(method, *[None] * ARGUMENTS[method], first=[Noting("the worker's own", calls)])

    in_order = ["the worker's own", "first", "second", "third"]
    assert calls == (in_order[::-1] if method.startswith("after_") else in_order)


# What is refused


class AsyncHook(Hooks):
    async def before_run(self, job): ...


class Misspelt(Hooks):
    def before_rnu(self, job): ...


class MisspeltAsync(Hooks):
    async def after_runs(self, job, report): ...


class NoHooks:
    def before_run(self, job): ...


REFUSED = {
    "a class": (Noting, "takes instances of a subclass of Hooks, such as add_hooks.MyHooks..., not <class"),
    "the class Hooks": (Hooks, "takes instances of a subclass of Hooks"),
    "a function": (print, "takes instances of a subclass of Hooks"),
    "an instance of another class": (NoHooks(), "takes instances of a subclass of Hooks"),
    "an async hook": (AsyncHook(), "AsyncHook.before_run is async: a hook is an ordinary method"),
    "a misspelt hook": (Misspelt(), "Misspelt.before_rnu is no hook.*before_run.*leading underscore"),
    "a misspelt async hook": (MisspeltAsync(), "MisspeltAsync.after_runs is no hook.*after_run"),
}


@pytest.mark.parametrize(("hook", "said"), REFUSED.values(), ids=list(REFUSED))
def test_what_would_never_be_called_is_refused_and_nothing_is_registered(register, hook, said):
    calls = []

    with pytest.raises(DefinitionError, match=said):
        register(Noting("beside it", calls), hook)

    call_hooks("invocation_ended")
    assert calls == []


def test_methods_that_are_no_hooks_are_accepted_when_their_names_are_far_from_a_hooks(register):
    class WithMethodsOfItsOwn(Hooks):
        def __init__(self):
            self.flushed = 0

        def flush(self):
            self.flushed += 1

        async def _before_rnu(self): ...

        def invocation_ended(self):
            self.flush()

    hooks = WithMethodsOfItsOwn()
    register(hooks)

    call_hooks("invocation_ended")

    assert hooks.flushed == 1
