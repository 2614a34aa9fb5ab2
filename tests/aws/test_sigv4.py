"""Our signature is botocore's, whatever is signed."""

from __future__ import annotations

import time
from hashlib import sha256
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from hypothesis import given
from hypothesis import strategies as st

from offload.aws.sigv4 import Credentials, Signer, Unsigned

printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
words = st.text(printable, min_size=1, max_size=40)
stamps = st.integers(0, 4_000_000_000).map(lambda at: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at)))


cases = st.fixed_dictionaries(
    {
        "service": st.sampled_from(["dynamodb", "sqs", "s3", "scheduler"]),
        "method": st.sampled_from(["POST", "GET", "PUT"]),
        "key": st.text(printable | st.sampled_from("ä€ "), max_size=20),
        "query": st.dictionaries(words, words, max_size=2),
        "region": st.sampled_from(["us-east-1", "eu-north-1", "cn-north-1"]),
        "host": st.sampled_from(["sqs.us-east-1.amazonaws.com", "localhost:4566", "[::1]:80"]),
        "target": words,
        "credentials": st.builds(Credentials, words, words, st.none() | words),
        "body": st.binary(max_size=300),
        "stamp": stamps,
    }
)


@given(cases)
def test_headers_and_signature_are_those_of_botocore(case):
    service, region, host, stamp = (case[name] for name in ("service", "region", "host", "stamp"))
    method, key, query, target, body = (case[name] for name in ("method", "key", "query", "target", "body"))
    credentials = case["credentials"]
    headers = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-target": target}
    path = "/" + quote(key, safe="/" if service == "s3" else "")
    unsigned = Unsigned(method, path, query, headers, body)
    ours = Signer(service, region).sign(unsigned, credentials, stamp)

    keys = (credentials.access_key, credentials.secret_key, credentials.token)
    url = f"http://{host}{path}" + (f"?{unsigned.query_string}" if query else "")
    request = botocore.awsrequest.AWSRequest(method, url, headers=headers, data=body)
    request.context["timestamp"] = stamp
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    signer = kind(botocore.credentials.Credentials(*keys), service, region)
    request.headers["X-Amz-Date"] = stamp
    if service == "s3":
        request.headers["X-Amz-Content-SHA256"] = sha256(body).hexdigest()
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
    signer, request = Signer("sqs", "us-east-1"), Unsigned("POST", "/", {}, {"host": "h"}, b"")
    cases = [("one", "20260101T000000Z"), ("one", "20260102T000000Z"), ("two", "20260102T000000Z")]
    for secret, stamp in [*cases, *reversed(cases)]:
        credentials = Credentials("key", secret)
        fresh = Signer("sqs", "us-east-1").sign(request, credentials, stamp)
        assert signer.sign(request, credentials, stamp) == fresh


def test_credentials_do_not_show():
    assert "secret" not in repr(Credentials("access", "secret", "token"))
