"""`make demo`: the app on an engine of its own, a few real jobs, and whether each ended as it should."""

from offload.local.demo.play import play

__all__ = ["play"]
