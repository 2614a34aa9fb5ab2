"""Test your tasks: the whole stack in memory, under a virtual clock, with faults drawn from a seed.

This package is a pytest plugin with the fixtures `pipeline` and `eager`. Outside of pytest, use `with Pipeline(...)`.
"""

from offload.operate.dead_letters import DeadLetter
from offload.testing.dead_letters import DeadLettered
from offload.testing.eager import Eager
from offload.testing.faults import Faults
from offload.testing.pipeline import Pipeline
from offload.testing.pipeline_client import WaitsForEver
from offload.testing.processes import Killed
from offload.testing.run_recorder import RunStart

__all__ = ["DeadLetter", "DeadLettered", "Eager", "Faults", "Killed", "Pipeline", "RunStart", "WaitsForEver"]
