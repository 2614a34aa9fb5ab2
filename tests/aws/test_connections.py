"""Whom the lean transport trusts, against a TLS server on loopback."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from offload.aws import roots
from offload.aws.connections import NotSent, Pool
from offload.core.clock import SystemClock


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "loopback.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def secure(certificate):
    """Address of a TLS server that shakes hands and no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def trust(monkeypatch):
    def what(path):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
        roots.system.cache_clear()

    yield what
    roots.system.cache_clear()


@pytest.mark.parametrize("amazon_first", [True, False])
def test_a_host_amazon_does_not_vouch_for_is_tried_by_what_the_machine_trusts(secure, certificate, trust, amazon_first):
    trust(certificate)
    pool = Pool(secure, SystemClock())
    pool._trusts_amazon_alone = amazon_first
    for _ in range(2):
        pool.open(2, 2).close()
        assert pool._trusts_amazon_alone is False


@pytest.mark.parametrize("amazon_first", [True, False])
def test_a_host_nobody_vouches_for_is_not_spoken_to(secure, tmp_path, trust, amazon_first):
    (tmp_path / "empty.pem").write_text("")
    trust(tmp_path / "empty.pem")
    pool = Pool(secure, SystemClock())
    pool._trusts_amazon_alone = amazon_first
    with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
        pool.open(2, 2)


def test_amazons_roots_are_tried_first_for_aws_alone():
    hosts = ["sqs.eu-north-1.amazonaws.com", "dynamodb.cn-north-1.amazonaws.com.cn", "localhost", "amazonaws.com.evil"]
    pools = [Pool(f"https://{host}", SystemClock()) for host in hosts]
    assert [pool._trusts_amazon_alone for pool in pools] == [True, False, False, False]


def test_the_roots_are_the_ones_the_world_has_and_none_is_about_to_end():
    def fingerprints(text):
        bodies = [part.partition("-----END")[0] for part in text.split("-----BEGIN CERTIFICATE-----")[1:]]
        ders = [
            ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----") for body in bodies
        ]
        return {hashlib.sha256(der).hexdigest() for der in ders}

    world = fingerprints(Path(certifi.where()).read_text(encoding="utf-8"))
    ours = fingerprints(roots.AMAZON_ROOTS.read_text())
    assert len(ours) == 5
    assert ours <= world
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
    for certificate in roots.amazon().get_ca_certs():
        assert ssl.cert_time_to_seconds(certificate["notAfter"]) > soon.timestamp()
    assert roots.amazon().verify_mode is ssl.CERT_REQUIRED
    assert roots.amazon().check_hostname
