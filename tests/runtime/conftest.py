from __future__ import annotations

import pytest

from offload import Refused, Unavailable


@pytest.fixture(
    params=[Unavailable("throttled"), Refused("no permission", lasting=False)], ids=["unavailable", "refused"]
)
def service_error(request):
    """Each of the two ways in which a service does not do what it was asked."""
    return request.param
