"""The addresses that a webhook may call: the guard against server-side request forgery.

A webhook's URL comes from a customer, and the function that calls the URL runs inside the AWS account. So the host name
is resolved once, every address is checked, and the connection goes to a checked address. The name is not resolved a
second time, because an attacker's name server could then give another address (DNS rebinding).
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from pydantic import HttpUrl

from .posting import Deadline, within

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_PORTS = (range(443, 444),)
_LAST_PORT = 65_535
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")

# The networks of IANA's special-purpose registries. They are listed here because the result of the standard library's
# `is_global` differs between Python releases.
_SPECIAL_PURPOSE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, instance and task metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocol assignments, Teredo (which can contain any IPv4 address)
        "2001:db8::/32",
        "2002::/16",  # 6to4 (which can contain any IPv4 address)
        "3fff::/20",  # documentation
    )
)
# All public IPv6 addresses are in this network; IPv4-mapped, unique-local and link-local addresses are not.
_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")

# Behind these addresses are the function's own process and the account's credentials. A wide network in the settings,
# such as 0.0.0.0/0, does not open them: each must be named by itself.
_GUARDED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",  # loopback, with Lambda's runtime interface
        "169.254.0.0/16",  # metadata of instances, tasks and pods
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2002::/16",
        "fd00:ec2::/32",  # metadata and other services of an instance
    )
)
_UNIQUE_LOCAL = ip_network("fc00::/7")
"""Private networks of IPv6, in which VPCs may be. All else outside `_UNICAST` is guarded."""


class ForbiddenTargetError(ValueError):
    """A webhook may not call this URL, or not an address of its host."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL.

    Attributes:
        secure: True for https.
        host: Name or address of the host, as in a Host header and in a certificate.
        port: TCP port.
        path: Path and query.
        addresses: The checked addresses of the host; each of them may be called.
    """

    secure: bool
    host: str
    port: int
    path: str
    addresses: tuple[Address, ...]


def public(address: Address) -> bool:
    """Return True if the address belongs to the public internet."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST:
            return False
    return not any(address in network for network in _SPECIAL_PURPOSE)


def guarded(address: Address) -> bool:
    """Return True if only a setting that names the very address opens it."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return guarded(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST and address not in _UNIQUE_LOCAL:
            return True
    return any(address in network for network in _GUARDED)


def networks(text: str) -> tuple[Network, ...]:
    """Read a comma-separated list of CIDR blocks and single addresses, which may be empty.

    Raises:
        ValueError: A part is not a CIDR block.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def ports(text: str) -> tuple[range, ...]:
    """Read a comma-separated list of ports and ranges of ports, such as `443,8000-8999`.

    Raises:
        ValueError: A part is neither.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PORTS.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= _LAST_PORT:
            raise ValueError(f"{part!r} is no port and no range of ports: write 443 or 8000-8999")
        found.append(range(first, last + 1))
    return tuple(found)


def read_url(text: str) -> HttpUrl:
    """Parse a webhook's URL by the WHATWG rules, without resolving it.

    Raises:
        ValueError: The text is not an http(s) URL with a host, or the URL contains a user name or password.
    """
    try:
        url = HttpUrl(text)
    except ValueError:
        # `from None`, because the message of the cause contains the URL, which may be confidential.
        raise ForbiddenTargetError("the webhook's URL is not an http(s) URL") from None
    if url.username is not None or url.password is not None:
        raise ForbiddenTargetError("the webhook's URL contains a user name or password: deliveries are signed instead")
    return url


def check(
    text: str,
    allowed: tuple[Network, ...] = (),
    open_ports: tuple[range, ...] = DEFAULT_PORTS,
    deadline: Deadline | None = None,
) -> Target:
    """Resolve the host of a URL and check every address of the host.

    Args:
        text: The URL.
        allowed: Networks that may be called although they are not public; there plain http is allowed too. They open
            no guarded address, unless one of them is that very address.
        open_ports: Ports that may be called.
        deadline: When the look-up of the host's name must have ended; None means no end.

    Raises:
        ForbiddenTargetError: The text is not an http(s) URL, its port or an address of the host is forbidden, or the
            URL is plain http and not in `allowed`.
        OSError: The host's name cannot be resolved, or not in time.
    """
    url = read_url(text)
    host, port = (url.host or "").strip("[]"), url.port or 443
    if not any(port in ports for ports in open_ports):
        raise ForbiddenTargetError(f"{url.host} may not be called on port {port}")

    def resolve() -> list[Any]:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    found = resolve() if deadline is None else within(deadline, resolve)
    addresses = tuple(dict.fromkeys(_unmapped(str(sockaddr[0])) for *_, sockaddr in found))
    for address in addresses:
        inside = any(_opens(network, address) for network in allowed)
        if not inside and not public(address):
            raise ForbiddenTargetError(f"{url.host} is at an address that is not public, which webhooks may not call")
        if not inside and url.scheme != "https":
            raise ForbiddenTargetError(f"{url.host} must be called by https")
    path = (url.path or "/") + (f"?{url.query}" if url.query is not None else "")
    # IPv4 comes first, because functions outside a VPC have no route for IPv6.
    ordered = tuple(sorted(addresses, key=lambda address: address.version))
    return Target(url.scheme == "https", url.host or "", port, path, ordered)


def _opens(network: Network, address: Address) -> bool:
    return address in network and (network.num_addresses == 1 or not guarded(address))


def _unmapped(text: str) -> Address:
    address = ip_address(text.partition("%")[0])
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
