"""The faults that `make mutants` plants: they can be planted, whatever was renamed, and what catches one is told."""

from __future__ import annotations

from pathlib import Path
from symtable import symtable

import pytest

from offload.core.jobs import record
from offload.core.jobs.claiming import claim
from offload.core.jobs.record import record_ttl
from tests.simulation import mutants
from tests.simulation.edits import Code, put
from tests.simulation.mutants import main
from tests.simulation.places import file_of, module_of
from tests.simulation.planted import MUTANTS
from tests.simulation.planting import Mutant, Unusable, plant
from tests.simulation.renaming import refactor
from tests.simulation.selecting import entry

SECOND_RUN = "claim: a job that succeeded is claimed again"

each_fault = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@each_fault
def test_each_fault_can_be_planted(mutant):
    compile(plant(mutant), mutant.file, "exec")
    assert not mutant.tests or (mutants.ROOT / mutant.tests).exists()


@each_fault
def test_a_fault_outlives_a_rename_a_new_format_and_a_move(mutant):
    """The fault in the refactored module is the same as in the module, refactored."""
    source, names = Path(file_of(mutant.place)).read_text(encoding="utf-8"), vars(module_of(mutant.place))
    refactored = refactor(source, names)
    assert plant(mutant, refactored) == refactor(plant(mutant, source), names)


def local_names(table):
    if table.get_type() == "function":
        yield from (each.get_name() for each in table.get_symbols() if each.is_local() and each.get_name() != ".0")
    for child in table.get_children():
        yield from local_names(child)


@pytest.mark.parametrize(
    "module", sorted({module_of(mutant.place) for mutant in MUTANTS}, key=str), ids=lambda each: each.__name__
)
def test_the_refactoring_leaves_no_local_name_as_it_was(module):
    refactored = refactor(Path(module.__file__).read_text(encoding="utf-8"), vars(module))
    assert {name for name in local_names(symtable(refactored, "", "exec")) if not name.endswith("_renamed")} == set()


def test_each_fault_has_a_name_of_its_own():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 110


def test_what_is_not_asked_exists():
    for option in mutants._NOT_ASKED:
        file, _, name = option.partition("=")[2].partition("::")
        assert f"def {name}(" in (mutants.ROOT / file).read_text(encoding="utf-8") or not name


def test_a_fault_is_caught_and_the_seed_told(capsys):
    assert main(["--only", SECOND_RUN]) == 0
    row, *areas, summary = capsys.readouterr().out.splitlines()
    name, file, caught, _ = row.split("\t")
    assert (name, file) == (SECOND_RUN, "core/jobs/claiming.py")
    assert caught.startswith("simulator I4 seed ")
    assert summary.startswith("mutants=1 simulator=1 tests=0 survivors=0 ")
    assert areas[0] == "claiming       simulator 1 of 1 (100%)"
    assert areas[1] == "ending         simulator 0 of 0"
    assert areas[-1] == "the protocol   simulator 1 of 1 (100%)"


def test_a_fault_that_nothing_catches_is_named(monkeypatch, capsys):
    harmless = Mutant("another life", record_ttl, put(record.RECORD_DAYS, 36), tests="tests/core/test_durations.py")
    monkeypatch.setattr(mutants, "MUTANTS", (harmless,))
    assert main(["--only", "another life"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "survived: another life"


def test_a_simulator_that_sees_too_little_fails(capsys):
    """By the tests alone, each fault is caught; but the simulator is to see most of those in the protocol."""
    in_protocol, elsewhere = (
        next(mutant for mutant in MUTANTS if mutant.name.startswith(kind)) for kind in ("claim:", "hook:")
    )
    seen, not_seen, other = (
        mutants.Verdict(in_protocol, "simulator I1 seed 1", 1),
        mutants.Verdict(in_protocol, "test_x", 1),
        mutants.Verdict(elsewhere, "test_x", 1),
    )
    assert mutants._sum_up([seen] * 7 + [not_seen] * 3 + [other] * 9, whole=True) == 0
    assert mutants._sum_up([seen] * 6 + [not_seen] * 4 + [other] * 9, whole=True) == 1
    assert "sees less than 70% of the faults in the protocol" in capsys.readouterr().out
    assert mutants._sum_up([seen] * 6 + [not_seen] * 4, whole=False) == 0


def test_each_area_has_faults():
    areas = {mutants.Verdict(mutant, None, 0).area for mutant in MUTANTS}
    assert areas == {*mutants.AREAS, "elsewhere"}


def test_a_fault_that_does_not_apply_is_an_error_in_one_line(monkeypatch, capsys):
    stale = Mutant("stale", record_ttl, put("no such word", 1))
    with pytest.raises(Unusable, match="'no such word' was found 0 times, not 1"):
        plant(stale)
    monkeypatch.setattr(mutants, "MUTANTS", (stale,))
    assert main([]) == 1
    assert capsys.readouterr().err == (
        "error: 'stale' does not apply to offload.core.jobs.record.record_ttl: "
        "naming 'no such word' was found 0 times, not 1\n"
    )


def test_a_fault_that_changes_nothing_is_an_error():
    with pytest.raises(Unusable, match="'the same' changes nothing in "):
        plant(Mutant("the same", claim, put(entry("attempt"), 1)))


def test_a_fault_that_breaks_the_program_itself_is_no_proof(monkeypatch, capsys):
    monkeypatch.setattr(mutants, "MUTANTS", (Mutant("broken", record, put(1000, Code("no_such_name"), times=2)),))
    assert main(["--only", "broken"]) == 1
    assert "'broken': the simulator itself broke" in capsys.readouterr().err
