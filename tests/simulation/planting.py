"""Planting: a fault, its place in the library, and the text of the module with the fault in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import offload
from tests.simulation.places import Place, Unfit, file_of, name_of

if TYPE_CHECKING:
    from tests.simulation.edits import Edit

LIBRARY = Path(offload.__file__).parent


class Unusable(Exception):
    """A mutant that is none: it does not apply, or what it makes does not even start."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault to plant.

    Attributes:
        name: What is wrong then.
        place: The function, method, property, class or module that it is planted in.
        edit: How.
        tests: The folder or file of the tests that see it, where the simulator does not; empty: the simulator does.
    """

    name: str
    place: Any
    edit: Edit
    tests: str = ""

    @property
    def file(self) -> str:
        """Its module's file, below `shared/offload`."""
        return Path(file_of(self.place)).relative_to(LIBRARY).as_posix()


def plant(mutant: Mutant, source: str | None = None) -> str:
    """Return the text of the mutant's module with its fault in it; the text has no comments.

    Args:
        mutant: The fault.
        source: Text of the module without the fault; None reads its file.

    Raises:
        Unusable: The edit does not fit the place, or changes nothing.
    """
    try:
        place = Place.of(mutant.place, source)
        before = place.text()
        mutant.edit.change(place)
    except Unfit as error:
        raise Unusable(f"{mutant.name!r} does not apply to {name_of(mutant.place)}: {error}") from None
    after = place.text()
    if after == before:
        raise Unusable(f"{mutant.name!r} changes nothing in {name_of(mutant.place)}")
    return after
