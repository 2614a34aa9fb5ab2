"""A task whose result has a type of its own."""

from __future__ import annotations

from pydantic import BaseModel

from offload import Permanent, Retry, task


class Receipt(BaseModel):
    number: int
    to: str


@task(priorities=("default", "high"), retry=Retry(max_attempts=1))
def send(to: str, number: int = 1) -> Receipt:
    """Send something; there is no address of `nobody`."""
    if to == "nobody":
        raise Permanent("no such address")
    return Receipt(number=number, to=to)
