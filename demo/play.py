"""The course of the demo: an engine of its own, the deployment, the jobs, the verdicts, and nothing left running."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from demo import trials
from demo.board import Board
from demo.receiver import receiving
from demo.verdicts import Verdict
from offload import Client, UnknownJob
from offload.local import environment, processes, tools
from offload.local.deploy import deploy
from offload.local.engine import Engine, running
from offload.operate.dead_letters import list_dead_letters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from demo.trials import Trial
    from offload import Job
    from offload.local.layout import Layout
    from offload.local.progress import Progress

PATIENCE = 120.0
"""Seconds until every job must have ended, its message in the dead-letter queue where that is expected."""
_LOOK = 0.3


def play(layout: Layout, *, progress: Progress, console: Console) -> list[Verdict]:
    """Run the demo on an engine of its own, whose state is removed at the end.

    Args:
        layout: The project; the engine's files go beside those of `offload local up`, which is left alone.
        progress: Told of each step of the set-up.
        console: Shows the jobs.

    Returns:
        One verdict a job, in the order they were enqueued.

    Raises:
        LocalError: The set-up failed.
    """
    tools.check_node()
    own = replace(layout, state=layout.state.with_name("demo"))
    engine = Engine(own, progress=progress)
    with processes.holding(own.lock):
        engine.stop()  # of a demo that was killed
        engine.delete()
        try:
            with running(engine), environment.pointing_at(engine.env()):
                stack = deploy(engine, progress=progress, variables=trials.DEPLOYER).stack
                client = Client.from_stack(stack)
                with receiving() as url:
                    with progress.step("enqueueing jobs"):
                        jobs = trials.enqueue(client, url)
                    return _watch(client, jobs, console)
        finally:
            engine.delete()


def _watch(client: Client, enqueued: Sequence[Trial], console: Console) -> list[Verdict]:
    """Follow the jobs until each is as expected, or patience ends."""
    began = time.monotonic()
    jobs: dict[str, Job] = {}
    dead_lettered: set[str] = set()
    with Board(console, enqueued) as board:
        while True:
            for trial in enqueued:
                known = jobs.get(trial.job_id)
                if known is None or not known.state.ended:
                    with contextlib.suppress(UnknownJob):
                        jobs[trial.job_id] = client.job(trial.job_id)
            waited = {
                trial.task
                for trial in enqueued
                if trial.expected.dead_letter
                and trial.job_id not in dead_lettered
                and trial.job_id in jobs
                and jobs[trial.job_id].state.ended
            }
            dead_lettered |= {letter.job_id for task in sorted(waited) for letter in list_dead_letters(client, task)}
            passed = time.monotonic() - began
            board.show(jobs, dead_lettered, passed)
            ended = all(trial.job_id in jobs and jobs[trial.job_id].state.ended for trial in enqueued)
            missing = any(trial.expected.dead_letter and trial.job_id not in dead_lettered for trial in enqueued)
            if (ended and not missing) or passed > PATIENCE:
                return [
                    Verdict.of(trial, jobs.get(trial.job_id), dead_letter=trial.job_id in dead_lettered)
                    for trial in enqueued
                ]
            time.sleep(_LOOK)
