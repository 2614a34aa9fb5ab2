"""The in-memory twins of the AWS adapters: the same ports, under a virtual clock.

The twins are deterministic: the same calls and the same random generator give the same ids, order and times. They keep
the guarantees of AWS, and do not copy behaviour that AWS does not guarantee. They make no faults (throttles, lost
answers, duplicates, reordering). Tests add faults by wrapping a port: each of its methods is one request.
"""
