"""The in-memory twins of the AWS adapters, behind the same ports and under a virtual clock.

Deterministic: the same calls and the same generator give the same ids, order and times. They hold what AWS guarantees,
not what it happens to do; faults (throttles, lost answers, duplicates, reordering) are put in between by wrapping a
port, each method of which is one request.
"""
