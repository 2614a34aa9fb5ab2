import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.deliver_webhook import signature
from functions.deliver_webhook.signature import BadSignatureError, sign, verify

BODY, SECRET = b'{"a":1}', "s3cret"


def test_the_header_is_what_any_language_computes():
    printed = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"],
        input=b"1700000000." + BODY,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert sign(BODY, SECRET, 1_700_000_000) == f"t=1700000000,v1={printed.split()[0]}"


@given(st.binary(), st.text(st.characters(codec="utf-8")), st.integers(0, 10**10))
def test_what_was_signed_verifies(body, secret, at):
    verify(body, sign(body, secret, at), secret, now=at)


@given(st.binary(), st.binary(), st.text("abc"), st.text("abc"))
def test_another_body_or_secret_does_not(body, other_body, secret, other_secret):
    if (body, secret) != (other_body, other_secret):
        with pytest.raises(BadSignatureError, match="match"):
            verify(other_body, sign(body, secret, 1), other_secret, now=1)


@pytest.mark.parametrize("off", [-301, 301])
def test_an_old_or_future_signature_is_refused(off):
    header = sign(BODY, SECRET, 1000)
    verify(BODY, header, SECRET, now=1000 + off * 300 / 301)
    with pytest.raises(BadSignatureError, match="300 s"):
        verify(BODY, header, SECRET, now=1000 + off)
    verify(BODY, header, SECRET, now=1000 + off, tolerance=400)


def test_the_clock_is_read_when_no_time_is_given():
    with pytest.raises(BadSignatureError, match="300 s"):
        verify(BODY, sign(BODY, SECRET, 1000), SECRET)


def test_a_changed_time_is_refused():
    header = sign(BODY, SECRET, 1000).replace("t=1000", "t=2000")
    with pytest.raises(BadSignatureError, match="match"):
        verify(BODY, header, SECRET, now=2000)


def test_one_of_several_signatures_is_enough():
    header = sign(BODY, "old", 1000) + ",v1=" + sign(BODY, SECRET, 1000).partition("v1=")[2] + ",v2=x"
    verify(BODY, header, SECRET, now=1000)


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=ab", "t=x,v1=ab", "t=²,v1=ab", "t=1,t=2,v1=ab", "t=" + "9" * 99 + ",v1=a"]
)
def test_a_malformed_header_is_refused(header):
    with pytest.raises(BadSignatureError, match="must read"):
        verify(BODY, header, SECRET)


@given(st.text())
def test_no_header_breaks_it(header):
    with pytest.raises(BadSignatureError):
        verify(BODY, header, SECRET)


def test_receivers_need_the_standard_library_alone():
    code = f"import runpy; runpy.run_path({signature.__file__!r})"
    subprocess.run([sys.executable, "-S", "-I", "-c", code], check=True)
