"""What producers call."""

from offload.client.client import Client

__all__ = ["Client"]
