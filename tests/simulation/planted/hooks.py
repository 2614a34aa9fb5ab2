"""Faults in calling the hooks."""

from __future__ import annotations

from offload.client.client import Client
from offload.core.hooks import call_hooks
from offload.runtime.reports import Reports
from offload.runtime.worker import Worker
from tests.simulation.edits import drop, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import handler, statement

MUTANTS = (
    Mutant("hook: one that raises fails the job", call_hooks, drop(handler(BaseException)), tests="tests/runtime"),
    Mutant(
        "hook: a run whose end cannot be recorded is not reported",
        Worker._record_end,
        within(handler(Exception), drop(statement(Reports.run_ended))),
        tests="tests/runtime",
    ),
    Mutant(
        "hook: a failure without a run is not reported",
        Reports._ended_without_run,
        drop(statement(Reports._call_hooks)),
        tests="tests/runtime",
    ),
    Mutant(
        "hook: an enqueue that failed is not reported",
        Client.send,
        within(handler(BaseException), drop(statement(call_hooks))),
        tests="tests/client",
    ),
)
