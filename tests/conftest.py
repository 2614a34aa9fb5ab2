from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# The same cases in every run: a new one is found by taking `derandomize` away, and stays as a case of its own.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.load_profile("same")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pipeline import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Call it with tasks to get a `Pipeline` of them; `.delay()` goes there for the rest of the test."""
    from tests.pipeline import Stage  # loads the worker, which most tests do without

    built = Stage()
    yield built
    built.close()
