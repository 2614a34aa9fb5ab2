import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.deliver_webhook.target import ForbiddenTargetError, check, guarded, networks, ports, public, read_url

V4, V6 = st.ip_addresses(v=4), st.ip_addresses(v=6)


@given(V4 | V6)
@example(IPv4Address("100.64.0.1"))
@example(IPv6Address("fe80::1"))
@example(IPv6Address("ff02::1"))
@example(IPv6Address("::"))
def test_what_the_standard_library_calls_special_is_never_public(address):
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or not address.is_global
    )
    if special and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert not public(address)


@given(V4)
def test_an_ipv4_address_within_ipv6_is_judged_as_itself(address):
    assert public(IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))) == public(address)
    for prefix in ("::ffff:0:0", "::"):
        assert not public(IPv6Address(int(IPv6Address(prefix)) | int(address)))
    assert not public(IPv6Address((0x2002 << 112) | (int(address) << 80)))


@given(V4.filter(lambda address: not public(address)))
def test_no_spelling_of_a_private_address_passes(address):
    whole = int(address)
    mapped = f"[::ffff:{address}]"
    for host in (str(address), str(whole), hex(whole), oct(whole).replace("o", ""), mapped, f"{address}."):
        with pytest.raises(ForbiddenTargetError):
            check(f"https://{host}/")


@given(V4.filter(public))
def test_public_addresses_pass_by_https_alone(address):
    assert check(f"https://{address}/").addresses == (address,)
    with pytest.raises(ForbiddenTargetError, match="https"):
        check(f"http://{address}:443/")


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_well_known_addresses_are_public(text):
    assert public(ipaddress.ip_address(text))


def test_an_allowed_network_opens_itself_alone_and_plain_http_there():
    allowed, open_ports = networks("10.1.0.0/16, fd00::/8,"), ports("80,8080")
    assert check("http://10.1.2.3:8080/", allowed, open_ports).port == 8080
    assert check("http://[fd00::1]/", allowed, open_ports).port == 80
    with pytest.raises(ForbiddenTargetError, match="not public"):
        check("http://10.2.0.1/", allowed, open_ports)
    assert networks("") == ()


def test_a_wrong_network_is_named():
    with pytest.raises(ValueError, match="ten"):
        networks("ten")


@pytest.mark.parametrize(
    "url", ["", "example.org", "javascript:alert(1)", "https://a b/", "gopher://x/", "https://u@h/"]
)
def test_what_is_no_webhook_url(url):
    with pytest.raises(ForbiddenTargetError):
        read_url(url)


EVERYTHING = networks("0.0.0.0/0,::/0,127.0.0.0/8,::/96,64:ff9b::/96,169.254.0.0/16,fd00::/8")
SERVICES = [
    "0.0.0.0",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001::a9fe:a9fe",
]


@pytest.mark.parametrize("text", SERVICES)
def test_no_network_opens_the_own_process_or_metadata(text):
    address = ipaddress.ip_address(text)
    assert guarded(address)
    host = f"[{text}]" if address.version == 6 else text
    with pytest.raises(ForbiddenTargetError, match="not public"):
        check(f"https://{host}/", EVERYTHING)
    assert check(f"https://{host}/", networks(text)).addresses  # named by itself


@given(V4 | V6)
def test_what_is_guarded_is_not_public(address):
    assert not (guarded(address) and public(address))


@pytest.mark.parametrize("text", ["0", "65536", "a", "-", "80-", "443-80", "1-70000", "²"])
def test_a_wrong_port_is_named(text):
    with pytest.raises(ValueError, match="no port and no range"):
        ports(f"443,{text}")


def test_ports_are_single_ones_and_ranges():
    assert ports(" 443, 8000-8002,") == (range(443, 444), range(8000, 8003))
    assert ports("") == ()
