"""Our signature is botocore's, whatever is signed."""

from __future__ import annotations

import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from hypothesis import given
from hypothesis import strategies as st

from offload.aws.sigv4 import Credentials, Signer

printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
words = st.text(printable, min_size=1, max_size=40)
stamps = st.integers(0, 4_000_000_000).map(lambda at: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at)))


@given(
    service=st.sampled_from(["dynamodb", "sqs"]),
    region=st.sampled_from(["us-east-1", "eu-north-1", "cn-north-1"]),
    host=st.sampled_from(["sqs.us-east-1.amazonaws.com", "localhost:4566", "[::1]:80"]),
    target=words,
    credentials=st.builds(Credentials, words, words, st.none() | words),
    body=st.binary(max_size=300),
    stamp=stamps,
)
def test_headers_and_signature_are_those_of_botocore(service, region, host, target, credentials, body, stamp):
    headers = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-target": target}
    ours = Signer(service, region).sign(headers, body, credentials, stamp)

    keys = (credentials.access_key, credentials.secret_key, credentials.token)
    request = botocore.awsrequest.AWSRequest("POST", f"http://{host}/", headers=headers, data=body)
    request.context["timestamp"] = stamp
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(*keys), service, region)
    request.headers["X-Amz-Date"] = stamp
    if credentials.token:
        request.headers["X-Amz-Security-Token"] = credentials.token
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    assert f"Credential={keys[0]}/{stamp[:8]}/{region}/{service}/aws4_request, " in ours["authorization"]
    assert f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}, " in ours["authorization"]
    assert ours["x-amz-date"] == stamp
    assert ours.get("x-amz-security-token") == credentials.token


def test_the_kept_key_follows_the_day_and_the_secret():
    signer, headers = Signer("sqs", "us-east-1"), {"host": "h"}
    cases = [("one", "20260101T000000Z"), ("one", "20260102T000000Z"), ("two", "20260102T000000Z")]
    for secret, stamp in [*cases, *reversed(cases)]:
        credentials = Credentials("key", secret)
        fresh = Signer("sqs", "us-east-1").sign(headers, b"", credentials, stamp)
        assert signer.sign(headers, b"", credentials, stamp) == fresh


def test_credentials_do_not_show():
    assert "secret" not in repr(Credentials("access", "secret", "token"))
