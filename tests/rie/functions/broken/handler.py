"""A task that does not import."""

from a_package_nobody_installed import nothing  # noqa: F401
