"""The command line: a thin face over client and operate."""
