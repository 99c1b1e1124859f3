"""TLS ends in the workers: limpet passes the bytes on untouched, and all workers share one set of ticket keys."""
import ssl
import subprocess

import pytest

from harness.http import Connection, connect, request


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificate")
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return {"KEY": str(key), "CERT": str(cert)}


def context_for(certificate):
    context = ssl.create_default_context(cafile=certificate["CERT"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its tickets come within the handshake
    return context


def ask(context, address, source, session=None):
    secure = context.wrap_socket(connect(address, source), server_hostname="localhost", session=session)
    with Connection(secure) as connection:
        connection.send(request(close=True))
        answer = connection.response().json()
        return answer, secure.session, secure.session_reused


def test_sticky_by_address(limpet, app, certificate, node_protocol):
    front = limpet(app("https.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2, env=certificate)
    front.wait_ready(2)
    context = context_for(certificate)
    homes = {}
    for number in [*range(20)] * 2:
        answer, _, _ = ask(context, front.address, f"127.0.0.{number + 1}")
        assert homes.setdefault(number, answer["pid"]) == answer["pid"]
    assert len(set(homes.values())) == 2


def test_a_session_is_resumed_by_the_other_worker(limpet, app, certificate, node_protocol):
    front = limpet(app("https.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2, env=certificate)
    front.wait_ready(2)
    context = context_for(certificate)
    first, session, _ = ask(context, front.address, "127.0.0.1")
    resumed_by = set()
    for number in range(2, 22):
        answer, _, reused = ask(context, front.address, f"127.0.0.{number}", session)
        assert reused and answer["reused"]
        resumed_by.add(answer["pid"])
    assert resumed_by >= {first["pid"]} and len(resumed_by) == 2


def test_a_cookie_cannot_be_seen_in_tls_so_the_address_decides(limpet, app, certificate):
    front = limpet(app("https.js"), listen="127.0.0.1:0", sticky="cookie:sid", workers=2, env=certificate)
    front.wait_ready(2)
    context = context_for(certificate)
    homes = {}
    for number in [*range(20)] * 2:
        answer, _, _ = ask(context, front.address, f"127.0.0.{number + 1}")
        assert homes.setdefault(number, answer["pid"]) == answer["pid"]
    assert len(set(homes.values())) == 2
