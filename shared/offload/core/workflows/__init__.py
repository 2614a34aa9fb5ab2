"""Workflows: the jobs that follow from the end of another."""
