import contextlib
import json
import socket
import ssl
import threading
import time
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
from functions.deliver_webhook.signature import BadSignatureError, verify
from offload import PayloadError, Permanent, RetryLater

SECRET, NEW_SECRET = "whsec_0123456789abcdef", "whsec_fedcba9876543210"


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
    monkeypatch.setenv("OFFLOAD_WEBHOOK_ALLOW_PRIVATE", "127.0.0.1,127.0.0.2")
    monkeypatch.setenv("OFFLOAD_WEBHOOK_PORTS", "443,1024-65535")
    for name in ("127.0.0.1", "hooks.test", "other.test"):
        keep_secret(name, SECRET)
    return job


def keep_secret(name, *secrets, stack="offload"):
    parameter = f"/offload/{stack}/webhooks/{name}"
    boto3.client("ssm").put_parameter(Name=parameter, Value=" ".join(secrets), Type="SecureString", Overwrite=True)
    handler._secrets.cache_clear()


def test_it_posts_signed_json_with_the_job_as_idempotency_key(ready, receiver):
    receiver.answer(204)
    assert deliver_webhook(receiver.url, "order.paid", {"total": 12}) == Delivery(status=204, attempt=1)
    ((path, headers, body),) = receiver.seen
    assert path == "/hook?a=1"
    assert json.loads(body) == {"id": "job-1", "event": "order.paid", "data": {"total": 12}}
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert (headers["Idempotency-Key"], headers["Offload-Event"]) == ("job-1", "order.paid")
    assert headers["Content-Type"] == "application/json"
    verify(body, headers["Offload-Signature"], SECRET, url=receiver.url)


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
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1: ConnectionRefusedError"):
        deliver_webhook(f"http://127.0.0.1:{port}/token-in-path", "e", {})


def test_a_silent_receiver_is_a_timeout_and_retried(ready, monkeypatch):
    monkeypatch.setattr(handler, "DELIVERY_TIME", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeliveryError, match="TimeoutError"):
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
        with pytest.raises(DeliveryError, match="BadStatusLine"):
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
        "https://127.0.0.1/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://10.0.0.1/",
        "http://93.184.215.14:443/",
    ],
)
def test_private_addresses_and_plain_http_are_permanent(ready, monkeypatch, url):
    monkeypatch.delenv("OFFLOAD_WEBHOOK_ALLOW_PRIVATE")
    with pytest.raises(Permanent, match=r"not public|https"):
        deliver_webhook(url, "e", {})


def test_a_missing_secret_is_permanent_and_says_what_to_create(ready, receiver):
    with pytest.raises(Permanent, match="/offload/offload/webhooks/shop: create"):
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
        with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
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


def drip(connection, begin, forever, pause):
    """Read the request, send `begin`, then `forever` again and again, until the other side is gone."""
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(begin)
        while True:
            connection.sendall(forever)
            time.sleep(pause)


@pytest.mark.parametrize(
    ("begin", "forever", "pause"),
    [
        (b"HT", b"T", 0.05),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.05),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0),
        (b"HTTP/1.1 100 Continue\r\nX: ", b"x", 0.05),
    ],
)
def test_a_receiver_cannot_hold_a_worker(ready, monkeypatch, begin, forever, pause):
    monkeypatch.setattr(handler, "DELIVERY_TIME", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: drip(listener.accept()[0], begin, forever, pause))
        thread.start()
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="TimeoutError"):
            deliver_webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/", "e", {})
        assert time.monotonic() - began < 2
        thread.join()


def test_a_tls_handshake_cannot_hold_a_worker(ready, monkeypatch):
    monkeypatch.setattr(handler, "DELIVERY_TIME", 0.4)
    record = b"\x16\x03\x03\x40\x00"  # a record of 16 KB, of which the rest comes a byte at a time
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: drip(listener.accept()[0], record, b"\x00", 0.05))
        thread.start()
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="TimeoutError"):
            deliver_webhook(f"https://127.0.0.1:{listener.getsockname()[1]}/", "e", {})
        assert time.monotonic() - began < 2
        thread.join()


def test_a_receiver_that_does_not_read_cannot_hold_a_worker(ready, monkeypatch):
    monkeypatch.setattr(handler, "DELIVERY_TIME", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeliveryError, match="TimeoutError"):
        deliver_webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", "e", {"x": "y" * 30_000_000})


def test_a_name_server_cannot_hold_a_worker(ready, monkeypatch):
    monkeypatch.setattr(handler, "DELIVERY_TIME", 0.2)
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    try:
        with pytest.raises(DeliveryError, match="did not resolve"):
            deliver_webhook("https://hooks.test/", "e", {})
    finally:
        over.set()


def test_a_delivery_ends_well_before_the_soft_limit(ready, receiver):
    settings = deliver_webhook.settings
    assert settings.soft_limit - handler.DELIVERY_TIME >= 15
    assert settings.batch_size == 1  # nobody waits for a neighbour's receiver
    ready.remaining = 0.0
    with pytest.raises(DeliveryError):
        deliver_webhook(receiver.url, "e", {})


@pytest.mark.parametrize("setting", [None, "443", "8443,9000-9100"])
def test_a_port_that_is_not_opened_is_not_called(ready, receiver, monkeypatch, setting):
    monkeypatch.delenv("OFFLOAD_WEBHOOK_PORTS")
    if setting:
        monkeypatch.setenv("OFFLOAD_WEBHOOK_PORTS", setting)
    with pytest.raises(Permanent, match="on port"):
        deliver_webhook(receiver.url, "e", {})
    assert not receiver.seen


@pytest.mark.parametrize("network", ["0.0.0.0/0", "127.0.0.0/8", "0.0.0.0/0,::/0"])
def test_a_wide_setting_does_not_open_loopback(ready, receiver, monkeypatch, network):
    monkeypatch.setenv("OFFLOAD_WEBHOOK_ALLOW_PRIVATE", network)
    with pytest.raises(Permanent, match="not public"):
        deliver_webhook(receiver.url, "e", {})
    assert not receiver.seen


def test_a_receiver_cannot_pass_a_delivery_on_to_another(ready, receiver):
    receiver.answer(200)
    deliver_webhook(receiver.url, "e", {})
    _, headers, body = receiver.seen[0]
    with pytest.raises(BadSignatureError, match="URL"):
        verify(body, headers["Offload-Signature"], SECRET, url="https://victim.example/hook")


def test_each_receiver_has_its_own_secret(ready, receiver):
    keep_secret("127.0.0.1", NEW_SECRET)
    receiver.answer(200)
    deliver_webhook(receiver.url, "e", {})
    _, headers, body = receiver.seen[0]
    verify(body, headers["Offload-Signature"], NEW_SECRET, url=receiver.url)
    with pytest.raises(BadSignatureError):
        verify(body, headers["Offload-Signature"], SECRET, url=receiver.url)


def test_another_stacks_secret_is_not_read(ready, receiver):
    keep_secret("only-in-prod", SECRET, stack="prod")
    with pytest.raises(Permanent, match="/offload/offload/webhooks/only-in-prod"):
        deliver_webhook(receiver.url, "e", {}, "only-in-prod")


def test_two_secrets_sign_while_they_are_exchanged(ready, receiver):
    keep_secret("127.0.0.1", NEW_SECRET, SECRET)
    receiver.answer(200)
    deliver_webhook(receiver.url, "e", {})
    _, headers, body = receiver.seen[0]
    for secret in (SECRET, NEW_SECRET):
        verify(body, headers["Offload-Signature"], secret, url=receiver.url)


@pytest.mark.parametrize("secrets", [["short"], [SECRET, "short"], [SECRET, NEW_SECRET, SECRET]])
def test_a_secret_that_can_be_guessed_does_not_sign(ready, receiver, secrets):
    keep_secret("127.0.0.1", *secrets)
    with pytest.raises(Permanent, match="at least 16 characters"):
        deliver_webhook(receiver.url, "e", {})
    assert not receiver.seen
