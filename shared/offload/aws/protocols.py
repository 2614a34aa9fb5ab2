"""How each service that the signed transport speaks to writes its requests and answers.

| service           | protocol                                                                                     |
|-------------------|----------------------------------------------------------------------------------------------|
| DynamoDB, SQS     | AWS JSON 1.0: `POST /`, the operation in a header                                            |
| Scheduler         | REST with JSON: the name of the schedule in the path                                         |
| S3                | REST: the key in the path; the bucket in the host name, or in the path at an endpoint of own |

Parameters and answers have the names that boto3 gives them.
"""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote

from offload.aws.calls import MOST_BYTES, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_XML_FIELD = re.compile(rb"<(Code|Message)>([^<]*)</")
_MOST_JSON = 32 * 1024 * 1024
"""Bytes of an answer in JSON. The largest is DynamoDB's, with 16 MB of items before they are written as JSON."""

QUICK, SLOW = 5.0, 30.0
"""Seconds of one attempt. DynamoDB, SQS and Scheduler answer within tens of milliseconds; a long poll adds its wait. S3
may move tens of megabytes."""


class Encoded(NamedTuple):
    """A request as a service wants it.

    Attributes:
        method: Such as `POST`.
        path: Path, quoted.
        query: Names and values, not quoted.
        headers: Headers in lower case, without `host`.
        body: Body.
        seconds: Longest time of one attempt.
        most_bytes: Longest body of an answer.
        subdomain: What comes before the service's own host name; used at AWS's own endpoints alone.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    seconds: float = QUICK
    most_bytes: int = _MOST_JSON
    subdomain: str = ""


class Service(Protocol):
    """Reads and writes what one service understands."""

    def encode(self, operation: str, params: dict[str, Any], *, own_endpoint: bool) -> Encoded:
        """Write a request; `own_endpoint` says that the endpoint is not AWS's."""

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Read an answer.

        Raises:
            ValueError: It is none.
        """

    def error(self, headers: Mapping[str, str], raw: bytes) -> tuple[str, dict[str, Any]]:
        """Read the code and the body of an error answer, whatever they are."""


class _Json:
    def decode(self, raw: bytes) -> dict[str, Any]:
        answer = json.loads(raw) if raw else {}
        if not isinstance(answer, dict):
            msg = "the answer is not a JSON object"
            raise ValueError(msg)  # noqa: TRY004 - `json.loads` raises the same error for a body that is not JSON
        return answer

    def error(self, headers: Mapping[str, str], raw: bytes) -> tuple[str, dict[str, Any]]:
        try:
            answer = self.decode(raw)
        except ValueError:  # the body may be the error page of a proxy: then the status alone decides
            answer = {}
        return headers.get("x-amzn-errortype") or answer.get("__type") or "", answer


class AwsJson(_Json):
    """DynamoDB and SQS."""

    def __init__(self, target: str) -> None:
        """Keep the service's name in `X-Amz-Target`."""
        self._target = target

    def encode(self, operation: str, params: dict[str, Any], *, own_endpoint: bool) -> Encoded:  # noqa: ARG002
        """Write a request."""
        body = json.dumps(params, separators=(",", ":")).encode()
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{self._target}.{operation}"}
        return Encoded("POST", "/", {}, headers, body, QUICK + params.get("WaitTimeSeconds", 0))


class Scheduler(_Json):
    """EventBridge Scheduler: one schedule at a time."""

    _METHODS = {"CreateSchedule": "POST", "GetSchedule": "GET", "DeleteSchedule": "DELETE"}  # noqa: RUF012

    def encode(self, operation: str, params: dict[str, Any], *, own_endpoint: bool) -> Encoded:  # noqa: ARG002
        """Write a request."""
        method = self._METHODS[operation]
        path = f"/schedules/{quote(params['Name'], safe='')}"
        if method == "POST":
            fields = {name: value for name, value in params.items() if name != "Name"}
            body = json.dumps(fields, separators=(",", ":")).encode()
            return Encoded(method, path, {}, {"content-type": "application/json"}, body)
        query = {"groupName": params["GroupName"]} if "GroupName" in params else {}
        return Encoded(method, path, query, {}, b"")


class S3:
    """S3: one object at a time."""

    _METHODS = {"PutObject": "PUT", "GetObject": "GET"}  # noqa: RUF012

    def __init__(self) -> None:
        """Begin."""
        self._json = _Json()

    def encode(self, operation: str, params: dict[str, Any], *, own_endpoint: bool) -> Encoded:
        """Write a request."""
        method, bucket, key = self._METHODS[operation], params["Bucket"], params["Key"]
        if not _BUCKET.fullmatch(bucket):  # it becomes a part of the host name
            raise Rejected(f"{operation}: {bucket!r} is not the name of a bucket", "InvalidBucketName")
        path = "/" + quote(key, safe="/~")
        # A certificate for `*.s3...` does not cover a bucket's name with a dot.
        in_host = not own_endpoint and "." not in bucket
        if not in_host:
            path = f"/{bucket}{path}"
        subdomain = f"{bucket}." if in_host else ""
        if method == "GET":
            most = params.get(MOST_BYTES, _MOST_JSON)
            return Encoded(method, path, {}, {}, b"", SLOW, most, subdomain)
        body: bytes = params["Body"]
        headers = {
            "content-type": params["ContentType"],
            "x-amz-checksum-sha256": base64.b64encode(sha256(body).digest()).decode(),
        }
        return Encoded(method, path, {}, headers, body, SLOW, subdomain=subdomain)

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Read an object."""
        return {"Body": raw}

    def error(self, headers: Mapping[str, str], raw: bytes) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        """Read the code and the message of an error in XML."""
        found = {name.decode(): text.decode(errors="replace") for name, text in reversed(_XML_FIELD.findall(raw))}
        return found.get("Code", ""), {"message": found["Message"]} if "Message" in found else {}


def service(name: str) -> Service:
    """Return how a service is spoken to.

    Raises:
        KeyError: The signed transport does not speak to it.
    """
    match name:
        case "dynamodb":
            return AwsJson("DynamoDB_20120810")
        case "sqs":
            return AwsJson("AmazonSQS")
        case "s3":
            return S3()
        case "scheduler":
            return Scheduler()
    raise KeyError(name)
