"""Remove what is too old from the stack's bucket."""

from __future__ import annotations
