from __future__ import annotations

import pytest

from tests.simulation.mutants import planted
from tests.simulation.planted import MUTANTS, Mutant

HARMLESS = Mutant("other words", "core/pacing.py", "Waiting", "Waiting")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_fault_can_still_be_planted(mutant):
    compile(planted(mutant), mutant.file, "exec")
    assert mutant.new != mutant.old


def test_names_are_unique():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
