"""The measure of what a run used."""

from __future__ import annotations

import resource
import time


class Usage:
    """Measures what a run uses, from the creation of this object on."""

    def __init__(self) -> None:
        """Start the clocks."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def measure(self) -> dict[str, int]:
        """Return `duration_ms`, `cpu_ms` and `memory_mb` (the process's peak so far)."""
        return {
            "duration_ms": round((time.perf_counter() - self._wall) * 1000),
            "cpu_ms": round((time.process_time() - self._cpu) * 1000),
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
