"""Test your tasks: the whole stack in memory, under a virtual clock and seeded faults.

As a pytest plugin it offers the fixtures `pipeline` and `eager`; outside of pytest use `with Pipeline(...)`.
"""

from offload.testing.eager import Eager
from offload.testing.faults import Faults
from offload.testing.pipeline import DeadLetter, DeadLettered, Pipeline
from offload.testing.processes import Killed
from offload.testing.runs import Run

__all__ = ["DeadLetter", "DeadLettered", "Eager", "Faults", "Killed", "Pipeline", "Run"]
