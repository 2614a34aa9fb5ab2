"""Where AWS's services are: the partition of a region, and the host of a service in it.

Source: botocore's `partitions.json`; a test compares every region of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Partition(NamedTuple):
    """A partition of AWS.

    Attributes:
        name: First part of its ARNs after `arn:`.
        suffix: Domain of its services.
    """

    name: str
    suffix: str


_STANDARD = Partition("aws", "amazonaws.com")
_OTHERS = {
    "cn": Partition("aws-cn", "amazonaws.com.cn"),
    "us-gov": Partition("aws-us-gov", "amazonaws.com"),
    "eusc": Partition("aws-eusc", "amazonaws.eu"),
    "us-iso": Partition("aws-iso", "c2s.ic.gov"),
    "us-isob": Partition("aws-iso-b", "sc2s.sgov.gov"),
    "eu-isoe": Partition("aws-iso-e", "cloud.adc-e.uk"),
    "us-isof": Partition("aws-iso-f", "csp.hci.ic.gov"),
}
"""By the first word of a region, or the first two."""


def partition(region: str) -> Partition:
    """Return the partition of a region; a region that is not known is one of the standard partition."""
    words = region.split("-")
    return _OTHERS.get("-".join(words[:2])) or _OTHERS.get(words[0]) or _STANDARD


def host(service: str, region: str) -> str:
    """Return a service's host name in a region."""
    return f"{service}.{region}.{partition(region).suffix}"
