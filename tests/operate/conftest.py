from __future__ import annotations

import pytest

from tests.operate.jobs import other, work


@pytest.fixture
def world(deploy):
    """A stack with the tasks of `jobs.py`."""
    return deploy(work, other)
