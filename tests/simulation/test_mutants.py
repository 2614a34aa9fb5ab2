"""The faults that `make mutants` plants: they can still be planted, and what catches one is told."""

from __future__ import annotations

import pytest

from tests.simulation import mutants
from tests.simulation.mutants import Unusable, main, planted
from tests.simulation.planted import MUTANTS, Mutant

SECOND_RUN = "claim: a job that succeeded is claimed again"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_fault_can_still_be_planted(mutant):
    compile(planted(mutant), mutant.file, "exec")
    assert mutant.new != mutant.old
    assert not mutant.tests or (mutants.ROOT / mutant.tests).is_file()


def test_each_fault_has_a_name_of_its_own():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 24


def test_a_fault_is_caught_and_the_seed_told(capsys):
    assert main(["--only", SECOND_RUN]) == 0
    row, summary = capsys.readouterr().out.splitlines()
    name, file, caught, _ = row.split("\t")
    assert (name, file) == (SECOND_RUN, "core/claiming.py")
    assert caught.startswith("simulator I4 seed ")
    assert summary.startswith("mutants=1 simulator=1 tests=0 survivors=0 ")


def test_a_fault_that_nothing_catches_is_named(monkeypatch, capsys):
    words = "Return the record's new deletion time"
    harmless = Mutant("other words", "core/delivery.py", words, words.lower(), tests="tests/core/test_durations.py")
    monkeypatch.setattr(mutants, "MUTANTS", (harmless,))
    assert main(["--only", "other words"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "survived: other words"


@pytest.mark.parametrize("old", ["no such text", "Return"])
def test_a_fault_that_does_not_apply_is_an_error(monkeypatch, capsys, old):
    stale = Mutant("stale", "core/delivery.py", old, "")
    with pytest.raises(Unusable, match="not once"):
        planted(stale)
    monkeypatch.setattr(mutants, "MUTANTS", (stale,))
    assert main([]) == 1
    assert "'stale' does not apply" in capsys.readouterr().err


def test_a_fault_that_breaks_the_program_itself_is_no_proof(monkeypatch, capsys):
    monkeypatch.setattr(mutants, "MUTANTS", (Mutant("broken", "core/delivery.py", "def life(", "def live("),))
    assert main(["--only", "broken"]) == 1
    assert "'broken': the simulator itself broke" in capsys.readouterr().err
