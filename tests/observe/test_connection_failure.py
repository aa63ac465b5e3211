"""Why a connection failed, told in words."""

import asyncio
import errno
import socket
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aibridged.clock import SystemClock
from aibridged.observe.connection_failure import cause_of


def certificate(folder, *, names=("127.0.0.1",), begins=-1, ends=3650):
    """A file with a certificate that signs itself, and its key; valid from and to these days."""
    now = SystemClock().wall()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider.test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(each)) for each in names]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@asynccontextmanager
async def server(answer, tls=None):
    """A server that answers each connection by this coroutine; yields its port."""
    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def failure(url, tls=True):
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(url, ssl=tls)
    return cause_of(caught.value)


async def hang_up(reader, writer):
    writer.close()


async def speak_plainly(reader, writer):
    await reader.read(16)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def test_a_port_that_nobody_listens_at(unused_tcp_port):
    cause = await failure(f"http://127.0.0.1:{unused_tcp_port}")
    assert cause.words == "connection refused"


async def test_a_host_that_is_not_there():
    cause = await failure("http://name.invalid")
    # Without a network, no name server says so.
    assert cause.words in ("no such host", "the name server did not answer")


async def test_a_server_without_tls():
    async with server(speak_plainly) as port:
        cause = await failure(f"https://127.0.0.1:{port}")
    assert cause.words == "it does not speak TLS at that port"
    assert cause.mend == "check the port, or use http://"


@pytest.mark.parametrize(
    ("made", "is_trusted", "words", "mend"),
    [
        ({}, False, "its certificate is signed by an unknown authority", "set SSL_CERT_FILE"),
        ({"names": ("192.0.2.1",)}, True, "its certificate is for another name", "check the host"),
        ({"begins": -9, "ends": -2}, True, "its certificate has expired", ""),
        ({"begins": 2}, True, "its certificate is not valid yet", "check this machine's clock"),
    ],
)
async def test_a_certificate_that_is_not_right(made, is_trusted, words, mend, tmp_path):
    path = certificate(tmp_path, **made)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(path)
    trust = ssl.create_default_context(cafile=path if is_trusted else None)
    async with server(hang_up, own) as port:
        cause = await failure(f"https://127.0.0.1:{port}", trust)
    assert cause.words == words
    assert cause.mend.startswith(mend)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", "it has no TLS version in common with this machine"),
        ("UNSUPPORTED_PROTOCOL", "it has no TLS version in common with this machine"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "it requires a client certificate"),
        ("TLSV1_UNRECOGNIZED_NAME", "it does not know this host"),
        ("UNEXPECTED_EOF_WHILE_READING", "it closed the connection within the TLS handshake"),
        ("RECORD_LAYER_FAILURE", "it does not speak TLS at that port"),
        ("SOMETHING_NEW", "the TLS handshake failed"),
    ],
)
def test_a_handshake_that_fails(reason, words):
    error = ssl.SSLError(1, "secret")
    error.reason = reason
    assert cause_of(error).words == words


def behind(error, inner):
    error.__cause__ = inner
    return error


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('192.0.2.1', 1)")
# Each with what its libraries raise.
ERRORS = [
    (ConnectionResetError(errno.ECONNRESET, "secret"), "connection reset"),
    (ConnectionResetError("secret"), "connection reset"),
    (ConnectionAbortedError("secret"), "connection aborted"),
    (BrokenPipeError(errno.EPIPE, "secret"), "connection reset"),
    (OSError(errno.EHOSTUNREACH, "secret"), "no route to the host"),
    (OSError(errno.ENETUNREACH, "secret"), "the network is unreachable"),
    (PermissionError(errno.EACCES, "secret"), "connecting is not permitted"),
    (OSError(errno.EPROTO, "secret"), "Protocol error"),
    (TimeoutError("secret"), "connecting timed out"),
    (aiohttp.ConnectionTimeoutError("secret"), "connecting timed out"),
    (socket.gaierror(socket.EAI_NONAME, "secret"), "no such host"),
    (socket.gaierror(socket.EAI_AGAIN, "secret"), "the name server did not answer"),
    (socket.gaierror(socket.EAI_FAIL, "secret"), "its name could not be resolved"),
    (OSError("Multiple exceptions: [Errno 101] secret, [Errno 111] secret"), "connection refused"),
    (behind(RuntimeError("secret"), REFUSED), "connection refused"),
    (ExceptionGroup("secret", [behind(ValueError("secret"), REFUSED)]), "connection refused"),
    (ssl.SSLError(1, "secret"), "the TLS handshake failed"),
    (RuntimeError("secret"), "the connection failed"),
    (OSError("secret"), "the connection failed"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "words"), ERRORS, ids=lambda each: repr(each)[:60])
def test_an_error_has_its_words_and_quotes_nothing(error, words):
    cause = cause_of(error)
    assert cause.words == words
    assert "secret" not in str(cause)


def test_an_endless_chain_of_causes_has_an_end():
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert cause_of(first).words == "the connection failed"
