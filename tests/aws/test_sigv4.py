"""Our signature is botocore's, whatever is signed."""

from __future__ import annotations

from datetime import datetime

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from hypothesis import given
from hypothesis import strategies as st

from offload.aws.sigv4 import Credentials, Signer

printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
words = st.text(printable, min_size=1, max_size=40)
moments = st.datetimes(datetime(2015, 1, 1), datetime(2099, 1, 1))


@given(
    service=st.sampled_from(["dynamodb", "sqs"]),
    region=st.sampled_from(["us-east-1", "eu-north-1", "cn-north-1"]),
    host=st.sampled_from(["sqs.us-east-1.amazonaws.com", "localhost:4566", "[::1]:80"]),
    target=words,
    access=words,
    secret=words,
    token=st.none() | words,
    body=st.binary(max_size=300),
    moment=moments,
)
def test_headers_and_signature_are_those_of_botocore(
    service, region, host, target, access, secret, token, body, moment
):
    headers = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-target": target}
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    ours = Signer(service, region).sign(headers, body, Credentials(access, secret, token), stamp)

    request = botocore.awsrequest.AWSRequest("POST", f"http://{host}/", headers=headers, data=body)
    request.context["timestamp"] = stamp
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(access, secret, token), service, region)
    request.headers["X-Amz-Date"] = stamp
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    assert f"Credential={access}/{stamp[:8]}/{region}/{service}/aws4_request, " in ours["authorization"]
    assert f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}, " in ours["authorization"]
    assert ours["x-amz-date"] == stamp
    assert ours.get("x-amz-security-token") == token


def test_the_kept_key_follows_the_day_and_the_secret():
    signer, headers = Signer("sqs", "us-east-1"), {"host": "h"}
    cases = [("one", "20260101T000000Z"), ("one", "20260102T000000Z"), ("two", "20260102T000000Z")]
    for secret, stamp in [*cases, *reversed(cases)]:
        credentials = Credentials("key", secret)
        fresh = Signer("sqs", "us-east-1").sign(headers, b"", credentials, stamp)
        assert signer.sign(headers, b"", credentials, stamp) == fresh


def test_credentials_do_not_show():
    assert "secret" not in repr(Credentials("access", "secret", "token"))
