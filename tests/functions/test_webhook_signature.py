import hmac
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.deliver_webhook import signature
from functions.deliver_webhook.signature import BadSignatureError, sign, verify

BODY, SECRET, URL = b'{"a":1}', "0123456789abcdef", "https://shop.example/hooks"
OTHER = SECRET[::-1]
SECRETS = st.text(st.characters(codec="utf-8"), min_size=16)


def test_the_header_is_what_any_language_computes():
    printed = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"],
        input=b"1700000000\n" + URL.encode() + b"\n" + BODY,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert sign(BODY, [SECRET], 1_700_000_000, url=URL) == f"t=1700000000,v1={printed.split()[0]}"


@given(st.binary(), SECRETS, st.integers(0, 10**10))
def test_what_was_signed_verifies(body, secret, at):
    verify(body, sign(body, [secret], at, url=URL), secret, url=URL, now=at)


@given(st.binary(), st.binary(), st.sampled_from([SECRET, OTHER]), st.sampled_from([SECRET, OTHER]))
def test_another_body_or_secret_does_not(body, other_body, secret, other_secret):
    if (body, secret) != (other_body, other_secret):
        with pytest.raises(BadSignatureError, match="match"):
            verify(other_body, sign(body, [secret], 1, url=URL), other_secret, url=URL, now=1)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hooks/",
        "https://shop.example/",
        "https://shop.example/hooks?a=1",
        "http://shop.example/hooks",
        "https://shop.example:8443/hooks",
        "https://victim.example/hooks",
        "https://shop.example/Hooks",
    ],
)
def test_another_receiver_does_not_take_it(url):
    with pytest.raises(BadSignatureError, match="URL"):
        verify(BODY, sign(BODY, [SECRET], 1000, url=URL), SECRET, url=url, now=1000)


@pytest.mark.parametrize(
    ("signed", "own"),
    [
        ("https://shop.example/", "https://Shop.Example"),
        ("https://shop.example:443/x?a=1", "HTTPS://shop.example/x?a=1"),
        ("http://shop.example:80/x", "http://shop.example/x#part"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
    ],
)
def test_one_url_has_one_spelling(signed, own):
    verify(BODY, sign(BODY, [SECRET], 1000, url=signed), SECRET, url=own, now=1000)


@pytest.mark.parametrize("url", ["", "/hooks", "shop.example/hooks", "ftp://shop.example/", "https:///hooks"])
def test_a_receiver_without_its_url_is_told(url):
    with pytest.raises(ValueError, match="whole URL"):
        verify(BODY, "t=1,v1=ab", SECRET, url=url)


def test_the_end_of_the_url_cannot_pass_for_the_beginning_of_the_body():
    header = sign(b"x\n" + BODY, [SECRET], 1000, url=URL)
    with pytest.raises(BadSignatureError):
        verify(BODY, header, SECRET, url=URL + "\nx", now=1000)


@pytest.mark.parametrize("off", [-301, 301])
def test_an_old_or_future_signature_is_refused(off):
    header = sign(BODY, [SECRET], 1000, url=URL)
    verify(BODY, header, SECRET, url=URL, now=1000 + off * 300 / 301)
    with pytest.raises(BadSignatureError, match="300 s"):
        verify(BODY, header, SECRET, url=URL, now=1000 + off)
    verify(BODY, header, SECRET, url=URL, now=1000 + off, tolerance=400)


def test_no_tolerance_accepts_by_being_no_number():
    with pytest.raises(BadSignatureError):
        verify(BODY, sign(BODY, [SECRET], 1000, url=URL), SECRET, url=URL, tolerance=float("nan"), now=1)


def test_the_clock_is_read_when_no_time_is_given():
    with pytest.raises(BadSignatureError, match="300 s"):
        verify(BODY, sign(BODY, [SECRET], 1000, url=URL), SECRET, url=URL)


def test_a_changed_time_is_refused():
    header = sign(BODY, [SECRET], 1000, url=URL).replace("t=1000", "t=2000")
    with pytest.raises(BadSignatureError, match="match"):
        verify(BODY, header, SECRET, url=URL, now=2000)


def test_during_an_exchange_either_side_may_have_two_secrets():
    both, old, new = [OTHER, SECRET], SECRET, OTHER
    for secret in (old, new, both):
        verify(BODY, sign(BODY, both, 1000, url=URL), secret, url=URL, now=1000)
    for signing in ([old], [new]):
        verify(BODY, sign(BODY, signing, 1000, url=URL) + ",v2=x", both, url=URL, now=1000)


@pytest.mark.parametrize("secret", ["", "short", [], [SECRET, ""], ["", SECRET]])
def test_an_empty_or_short_secret_neither_signs_nor_verifies(secret):
    header = f"t=1000,v1={hmac.new(b'', b'', 'sha256').hexdigest()}"
    with pytest.raises(ValueError, match="at least 16 characters") as refused:
        verify(BODY, header, secret, url=URL, now=1000)
    assert not isinstance(refused.value, BadSignatureError)
    with pytest.raises(ValueError, match="at least 16 characters"):
        sign(BODY, [secret] if isinstance(secret, str) else secret, 1000, url=URL)


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=ab", "t=x,v1=ab", "t=²,v1=ab", "t=1,t=2,v1=ab", "t=" + "9" * 99 + ",v1=a"]
)
def test_a_malformed_header_is_refused(header):
    with pytest.raises(BadSignatureError, match="must read"):
        verify(BODY, header, SECRET, url=URL)


@given(st.text())
def test_no_header_breaks_it(header):
    with pytest.raises(BadSignatureError):
        verify(BODY, header, SECRET, url=URL)


def test_receivers_need_the_standard_library_alone():
    code = f"import runpy; runpy.run_path({signature.__file__!r})"
    subprocess.run([sys.executable, "-S", "-I", "-c", code], check=True)
