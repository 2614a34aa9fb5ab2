"""Tasks: the decorator, the settings, the signature, the retry policy, and what a task sees while it runs."""
