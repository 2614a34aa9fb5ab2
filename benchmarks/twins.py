"""What a job costs in a pipeline in memory: whether a long queue costs more for each job than a short one."""

from __future__ import annotations

import gc
import logging
import time
from statistics import median

from benchmarks.figures import Figure
from offload import task
from offload.testing import Pipeline

FEW, MANY = 1_000, 50_000
"""Jobs that are all enqueued before the first one runs."""

MARK = 1.2
"""Largest cost of a job among many, by that of a job among few."""

_TURNS, _SAMPLES = 3, 5


@task(batch_size=10, max_concurrency=50)
def add_one(number: int) -> int:
    """Add one to a number."""
    return number + 1


def through_the_twins(many: int = MANY, turns: int = _TURNS) -> Figure:
    """Measure the processor time of a job among many and among few, in turns."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        _cost(FEW)
        pairs = [(_cost(many), median(_cost(FEW) for _ in range(_SAMPLES))) for _ in range(turns)]
    finally:
        logging.disable(before)
    name = f"a job through the twins, CPU ms: among {many:,}, and among {FEW:,}"
    return Figure(name, [large for large, _ in pairs], [small for _, small in pairs], mark=MARK)


def _cost(jobs: int) -> float:
    """Return the processor time of each of so many jobs, in milliseconds."""
    gc.collect()  # what was measured before must not be cleared away on this account
    began = time.process_time()
    with Pipeline(add_one) as pipeline:
        pipeline.most_steps = 10 * jobs
        for number in range(jobs):
            add_one.delay(number)
        pipeline.run_until_idle()
        assert len(pipeline.runs) == jobs
        return (time.process_time() - began) / jobs * 1000
