"""The tasks of this suite."""
