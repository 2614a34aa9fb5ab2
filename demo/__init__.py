"""`make demo`: this repository's app on an engine of its own, a few real jobs, and whether each ended as it should."""
