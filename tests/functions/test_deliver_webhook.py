import json
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.deliver_webhook import handler, target
from functions.deliver_webhook.handler import Delivery, DeliveryError, deliver_webhook
from functions.deliver_webhook.signature import verify
from offload import PayloadError, Permanent, RetryLater

SECRET = "whsec_1"


class Receiver(BaseHTTPRequestHandler):
    """Answers with the next of the server's prepared answers and keeps what it was sent."""

    def do_POST(self):
        self.server.seen.append((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
        status, headers, body = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(context=None):
    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request, client_address):
            pass

    server = Server(("127.0.0.1", 0), Receiver)
    server.seen, server.answers, server.names = [], [], []
    if context is not None:
        context.sni_callback = lambda _socket, name, _context: server.names.append(name)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.port = server.server_port
    server.url = f"http://127.0.0.1:{server.port}/hook?a=1"
    server.answer = lambda status, headers=(), body=b"": server.answers.append((status, dict(headers), body))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver():
    with serving() as server:
        yield server


@pytest.fixture
def ready(aws, job, monkeypatch):
    monkeypatch.setenv("OFFLOAD_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
    boto3.client("ssm").put_parameter(Name="/offload/webhooks/default", Value=SECRET, Type="SecureString")
    return job


def test_it_posts_signed_json_with_the_job_as_idempotency_key(ready, receiver):
    receiver.answer(204)
    assert deliver_webhook(receiver.url, "order.paid", {"total": 12}) == Delivery(status=204, attempt=1)
    ((path, headers, body),) = receiver.seen
    assert path == "/hook?a=1"
    assert json.loads(body) == {"id": "job-1", "event": "order.paid", "data": {"total": 12}}
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert (headers["Idempotency-Key"], headers["Offload-Event"]) == ("job-1", "order.paid")
    assert headers["Content-Type"] == "application/json"
    verify(body, headers["Offload-Signature"], SECRET)


def test_it_fails_once_then_succeeds_with_the_same_body(ready, receiver):
    receiver.answer(503)
    receiver.answer(200)
    with pytest.raises(DeliveryError, match="503"):
        deliver_webhook(receiver.url, "order.paid", {"b": 1, "a": 2})
    ready.attempt = 2
    assert deliver_webhook(receiver.url, "order.paid", {"b": 1, "a": 2}).attempt == 2
    assert receiver.seen[0][2] == receiver.seen[1][2]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 301, 302, 307, 308])
def test_other_answers_are_permanent_and_redirects_not_followed(ready, receiver, status):
    receiver.answer(status, {"Location": f"http://127.0.0.1:{receiver.port}/other", "Retry-After": "1"})
    with pytest.raises(Permanent, match=str(status)):
        deliver_webhook(receiver.url, "e", {})
    assert len(receiver.seen) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_busy_answers_are_retried_by_backoff_or_when_the_receiver_says(ready, receiver, status):
    receiver.answer(status)
    with pytest.raises(DeliveryError, match=str(status)):
        deliver_webhook(receiver.url, "e", {})
    receiver.answer(status, {"Retry-After": "7"})
    with pytest.raises(RetryLater) as later:
        deliver_webhook(receiver.url, "e", {})
    assert later.value.delay == 7


NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("0", 1),
        ("120", 120),
        ("9" * 5000, 21600),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 1),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 21600),
        ("Sat, 99 Nov 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(text, expected):
    assert handler._seconds(text, NOW) == expected


def test_a_refused_connection_is_retried(ready):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1: NewConnectionError"):
        deliver_webhook(f"http://127.0.0.1:{port}/token-in-path", "e", {})


def test_a_silent_receiver_is_a_timeout_and_retried(ready, monkeypatch):
    monkeypatch.setattr(handler, "READ_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeliveryError, match="ReadTimeoutError"):
        deliver_webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", "e", {})


def test_a_receiver_that_does_not_speak_http_is_retried(ready):
    def babble():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"hello\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(DeliveryError, match="ProtocolError"):
            deliver_webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/", "e", {})
        thread.join()


def test_the_body_of_an_answer_is_not_read(ready, receiver):
    receiver.answer(200, {"Content-Length": str(10**12)}, b"x" * 1000)
    assert deliver_webhook(receiver.url, "e", {}).status == 200


def test_a_name_that_does_not_resolve_is_retried(ready):
    with pytest.raises(DeliveryError, match="did not resolve"):
        deliver_webhook("https://nowhere.invalid/", "e", {})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://10.0.0.1/",
        "http://93.184.215.14/",
    ],
)
def test_private_addresses_and_plain_http_are_permanent(ready, monkeypatch, url):
    monkeypatch.delenv("OFFLOAD_WEBHOOK_ALLOW_PRIVATE")
    with pytest.raises(Permanent, match=r"not public|https"):
        deliver_webhook(url, "e", {})


def test_a_missing_secret_is_permanent_and_says_what_to_create(ready, receiver):
    with pytest.raises(Permanent, match="/offload/webhooks/shop"):
        deliver_webhook(receiver.url, "e", {}, "shop")
    assert not receiver.seen


def test_the_secret_is_read_once(ready, receiver, refuse):
    for _ in range(2):
        receiver.answer(200)
        deliver_webhook(receiver.url, "e", {})
        refuse(handler.ssm(), "get_parameter", "ThrottlingException")
    assert len(receiver.seen) == 2


def test_nan_is_permanent(ready, receiver):
    with pytest.raises(Permanent, match="NaN"):
        deliver_webhook(receiver.url, "e", {"x": float("nan")})


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "ftp://example.org"},
        {"url": "https://user:secret@example.org"},
        {"url": "https://"},
        {"url": "file:///etc/passwd"},
        {"event": "a\r\nX: y"},
        {"secret_name": "../other"},
        {"data": []},
    ],
)
def test_a_wrong_payload_is_refused_before_it_is_queued_without_repeating_it(arguments):
    with pytest.raises(PayloadError) as error:
        deliver_webhook.signature.bind((), {"url": "https://example.org", "event": "e", "data": {}} | arguments)
    assert "secret@" not in str(error.value)


@pytest.fixture
def certified(tmp_path, monkeypatch):
    """A TLS context for `hooks.test`, whose issuer this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "all.pem").write_bytes(private + certificate.public_bytes(pem))
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(pem))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "all.pem")
    return context


def resolving_to(monkeypatch, *addresses):
    """Make the name server answer with one address after the other, one a look-up; return the look-ups."""
    asked, real, answers = [], socket.getaddrinfo, list(addresses)

    def resolve(host, port, *args, **kwargs):
        if host.replace(".", "").isdigit():
            return real(host, port, *args, **kwargs)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answers.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_it_connects_to_the_checked_address_with_the_name_in_host_and_sni(ready, certified, monkeypatch):
    with serving(certified) as receiver:
        asked = resolving_to(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])  # rebinds at the second look-up
        receiver.answer(200)
        assert deliver_webhook(f"https://hooks.test:{receiver.port}/x", "e", {}).status == 200
    assert asked == ["hooks.test"]
    assert receiver.names == ["hooks.test"]
    assert receiver.seen[0][1]["Host"] == f"hooks.test:{receiver.port}"


def test_a_certificate_of_another_name_is_not_accepted(ready, certified, monkeypatch):
    with serving(certified) as receiver:
        resolving_to(monkeypatch, ["127.0.0.1"])
        with pytest.raises(DeliveryError, match="SSLError"):
            deliver_webhook(f"https://other.test:{receiver.port}/", "e", {})
    assert not receiver.seen


def test_one_forbidden_address_among_several_is_enough(ready, monkeypatch):
    resolving_to(monkeypatch, ["93.184.215.14", "10.0.0.1"])
    with pytest.raises(Permanent, match="not public"):
        deliver_webhook("https://hooks.test/", "e", {})


def test_the_next_address_is_tried_when_one_refuses(ready, certified, monkeypatch):
    with serving(certified) as receiver:
        resolving_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        receiver.answer(200)
        assert deliver_webhook(f"https://hooks.test:{receiver.port}/", "e", {}).status == 200


def test_ports_and_paths_are_the_urls(monkeypatch):
    resolving_to(monkeypatch, ["93.184.215.14"])
    found = target.check("https://Hooks.Test?q=a b#part")
    assert (found.host, found.port, found.path) == ("hooks.test", 443, "/?q=a%20b")
