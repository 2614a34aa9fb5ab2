"""Returns what it is given."""

from offload import task


@task(timeout="10s", batch_size=10, max_concurrency=8)
def echo(token: str) -> str:
    """Return the token."""
    return token
