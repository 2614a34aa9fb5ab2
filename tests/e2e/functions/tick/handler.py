"""Runs every minute."""

from offload import Every, task


@task(timeout="20s", schedules=(Every("1m", payload={"word": "tock"}),))
def tick(word: str) -> str:
    """Return its word."""
    return word
