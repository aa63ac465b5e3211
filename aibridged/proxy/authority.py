"""The certificate authority (CA) of the AI Proxy, which signs leaf certificates for MITM."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aibridged.config.resolution import StartError
from aibridged.core.egress import HTTPS_PORT, host_destination

# Far below what the strictest client accepts (398 days, and less each year).
LEAF_LIFETIME = timedelta(days=30)
# Tolerates clients whose clocks are slow.
CLOCK_SKEW = timedelta(hours=1)
_MAX_COMMON_NAME = 64  # X.520
_ALL = (ip_network("0.0.0.0/0"), ip_network("::/0"))

CaKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class AuthorityError(StartError):
    """The CA can't be used; the message says why and how to fix it, without the key."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate for one host, the chain up to the CA, and its key, as one PEM text."""

    pem: bytes = field(repr=False)
    not_after: datetime


class Authority:
    """A CA in memory. Neither its repr nor an error shows its key."""

    def __init__(self, chain: list[x509.Certificate], key: CaKey) -> None:
        self._certificate, *above = chain
        self._key = key
        # Clients have the root; one that is sent along would convince no others.
        self._chain = [each for each in (self._certificate, *above) if each.issuer != each.subject]
        self.certificate_pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
        """The certificate that clients have to trust; it is public."""

    @property
    def not_after(self) -> datetime:
        """When the CA's own certificate expires; no leaf certificate outlives it."""
        return self._certificate.not_valid_after_utc

    def issue(self, host: str, now: datetime) -> Leaf:
        """A certificate for exactly this host, a name or an IP address in text form.

        Raises:
            AuthorityError: the CA has expired.
        """
        if now >= self.not_after:
            raise AuthorityError("The AI Proxy's CA certificate has expired.")
        key = ec.generate_private_key(ec.SECP256R1())
        not_after = min(now + LEAF_LIFETIME, self.not_after)
        fits = len(host) <= _MAX_COMMON_NAME
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)] if fits else [])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(not_after)
            # RFC 5280: a certificate without a subject has a critical alternative name.
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=not fits)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(self._key_identifier(), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        chain = b"".join(each.public_bytes(Encoding.PEM) for each in (certificate, *self._chain))
        return Leaf(chain + _private_bytes(key), not_after)

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """The CA's key identifier, as its own certificate spells it: clients compare the two."""
        try:
            own = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def load_authority(cert_file: Path, key_file: Path, now: datetime) -> Authority:
    """Load the CA from its PEM files; further CA certificates may follow its own.

    AuthorityError: a file can't be read, key and certificate don't match, the certificate isn't a
        CA's, or it has expired.
    """
    try:
        chain = x509.load_pem_x509_certificates(cert_file.read_bytes())
    except (OSError, ValueError) as error:
        raise AuthorityError(_unreadable(cert_file, "certificate", error)) from None
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuthorityError(_unreadable(key_file, "unencrypted private key", error)) from None
    certificate = chain[0]
    if not isinstance(key, CaKey):
        raise AuthorityError(f"The key in {key_file} is neither an EC nor an RSA key.")
    if key.public_key() != certificate.public_key():
        raise AuthorityError(f"The key in {key_file} does not match the certificate {cert_file}.")
    if not _may_sign(certificate):
        raise AuthorityError(
            f"The certificate in {cert_file} is not a CA certificate.",
            "Create one with `aibridged proxy init-ca`.",
        )
    if certificate.not_valid_after_utc <= now:
        raise AuthorityError(
            f"The CA certificate in {cert_file} expired on"
            f" {certificate.not_valid_after_utc:%Y-%m-%d}.",
            "Create a new one with `aibridged proxy init-ca`.",
        )
    return Authority(chain, key)


def _unreadable(path: Path, what: str, error: Exception) -> str:
    # The parser's own message could quote what it read.
    reason = (error.strerror if isinstance(error, OSError) else None) or f"it contains no {what}"
    return f"The file {path} can't be used: {reason}."


def _may_sign(certificate: x509.Certificate) -> bool:
    extensions = certificate.extensions
    try:
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        return missing.oid == x509.KeyUsage.oid


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _constraint(host: str) -> x509.GeneralName:
    """A permitted name constraint: a name with all below it, or an address."""
    destination = host_destination(f"[{host}]" if ":" in host else host, HTTPS_PORT)
    if destination.address is None:
        return x509.DNSName(destination.host)
    return x509.IPAddress(ip_network(destination.address))


def _usage(*, digital_signature: bool = False, sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_bytes(key: CaKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_authority(
    name: str, now: datetime, lifetime: timedelta, only_hosts: list[str]
) -> tuple[bytes, bytes]:
    """Create a CA: its certificate and its private key, each as PEM.

    With `only_hosts` the CA is valid for these names, and those below them, only (RFC 5280, name
    constraints).

    Raises:
        AuthorityError: one of these isn't a host, or the name is empty or too long.
    """
    try:
        permitted = [_constraint(host) for host in only_hosts]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        raise AuthorityError(str(error)) from None
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if permitted:
        # Otherwise addresses of a family without any constraint would be unconstrained.
        kinds = {each.value.version for each in permitted if isinstance(each, x509.IPAddress)}
        excluded = [x509.IPAddress(each) for each in _ALL if each.version not in kinds]
        constraints = x509.NameConstraints(permitted, excluded or None)
        builder = builder.add_extension(constraints, critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(Encoding.PEM), _private_bytes(key)
