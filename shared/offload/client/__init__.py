"""What producers call."""

from offload.client.client import Client, PartlyEnqueued

__all__ = ["Client", "PartlyEnqueued"]
