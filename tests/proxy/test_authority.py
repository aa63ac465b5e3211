"""What the CA signs, and which files are a CA."""

from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from aibridged.proxy.authority import (
    LEAF_LIFETIME,
    AuthorityError,
    load_authority,
    make_authority,
)


def leaf_of(authority, host, now):
    return x509.load_pem_x509_certificates(authority.issue(host, now).pem)[0]


def accepts(authority, leaf, host, when) -> bool:
    """Whether a strict client (the CA/Browser Forum's rules) that trusts the CA takes the leaf."""
    root = x509.load_pem_x509_certificate(authority.certificate_pem)
    try:
        name = x509.IPAddress(ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    verifier = PolicyBuilder().store(Store([root])).time(when).build_server_verifier(name)
    try:
        verifier.verify(leaf, [])
    except VerificationError:
        return False
    return True


LONG_NAME = f"{'a' * 60}.{'b' * 60}.example.com"


@pytest.mark.parametrize(
    "host", ["api.anthropic.com", "localhost", LONG_NAME, "10.1.2.3", "2606:4700::1"]
)
def test_a_leaf_is_good_for_its_host_alone(authority, clock, host):
    leaf = leaf_of(authority, host, clock.wall())
    assert accepts(authority, leaf, host, clock.wall())
    for other in ("api.openai.com", f"x.{host}" if host[-1].isalpha() else "10.1.2.4"):
        assert not accepts(authority, leaf, other, clock.wall())


def test_no_leaf_is_a_wildcard(authority, clock):
    name = leaf_of(authority, "api.anthropic.com", clock.wall()).extensions
    san = name.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(san.value) == [x509.DNSName("api.anthropic.com")]
    assert not san.critical


def test_a_long_name_has_a_critical_alternative_name_and_no_subject(authority, clock):
    leaf = leaf_of(authority, LONG_NAME, clock.wall())
    assert leaf.subject.rfc4514_string() == ""
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_what_a_leaf_may_do(authority, clock):
    extensions = leaf_of(authority, "a.example", clock.wall()).extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_leaf_is_valid_for_less_than_90_days_and_for_clocks_that_are_slow(authority, clock):
    now = clock.wall()
    leaf = leaf_of(authority, "a.example", now)
    assert leaf.not_valid_after_utc == now + LEAF_LIFETIME
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=90)
    for age, good in ((-59 * 60, True), (-61 * 60, False), (LEAF_LIFETIME.total_seconds(), True)):
        assert accepts(authority, leaf, "a.example", now + timedelta(seconds=age)) is good
    later = now + LEAF_LIFETIME + timedelta(seconds=1)
    assert not accepts(authority, leaf, "a.example", later)


def test_no_leaf_outlives_its_ca(authority, clock):
    clock.advance((authority.not_after - clock.wall()).total_seconds() - 60)
    leaf = leaf_of(authority, "a.example", clock.wall())
    assert leaf.not_valid_after_utc == authority.not_after
    clock.advance(60)
    with pytest.raises(AuthorityError, match="expired"):
        authority.issue("a.example", clock.wall())


def test_each_leaf_has_a_key_and_a_number_of_its_own(authority, clock):
    one, two = (authority.issue("a.example", clock.wall()).pem for _ in range(2))
    first, second = (x509.load_pem_x509_certificates(pem)[0] for pem in (one, two))
    assert first.serial_number != second.serial_number
    assert first.public_key() != second.public_key()
    assert load_pem_private_key(one, None).public_key() == first.public_key()


def signed_by(root, root_key, name, key, *, ca, usage=None):
    """A certificate of another CA's, to put under its root."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(root.not_valid_before_utc)
        .not_valid_after(root.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(root_key, hashes.SHA256())


def private(key, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_the_intermediates_are_shown_and_the_root_is_not(ca_files, clock, tmp_path):
    root = x509.load_pem_x509_certificate(ca_files[0].read_bytes())
    root_key = load_pem_private_key(ca_files[1].read_bytes(), None)
    key = rsa.generate_private_key(65537, 2048)  # as an organisation's own PKI may have it
    certificate = signed_by(root, root_key, "Intermediate", key, ca=True)
    (tmp_path / "chain.pem").write_bytes(
        certificate.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
    )
    (tmp_path / "key.pem").write_bytes(private(key))
    authority = load_authority(tmp_path / "chain.pem", tmp_path / "key.pem", clock.wall())
    shown = x509.load_pem_x509_certificates(authority.issue("a.example", clock.wall()).pem)
    assert shown[1:] == [certificate]
    shown[0].verify_directly_issued_by(certificate)
    assert x509.load_pem_x509_certificates(authority.certificate_pem) == [certificate, root]


def test_what_is_no_ca(ca_files, clock, tmp_path):
    root = x509.load_pem_x509_certificate(ca_files[0].read_bytes())
    root_key = load_pem_private_key(ca_files[1].read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(private(key))
    for ca, usage in ((False, None), (True, _only_signatures())):
        certificate = signed_by(root, root_key, "No CA", key, ca=ca, usage=usage)
        (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        with pytest.raises(AuthorityError, match="is not a CA certificate"):
            load_authority(tmp_path / "cert.pem", tmp_path / "key.pem", clock.wall())


def _only_signatures() -> x509.KeyUsage:
    return x509.KeyUsage(True, False, False, False, False, False, False, False, False)


def test_which_files_are_refused_and_that_no_message_quotes_a_key(ca_files, clock, tmp_path):
    cert, key = ca_files
    text = key.read_text()
    _, other = make_authority("Other", clock.wall(), timedelta(days=1), [])
    secret = load_pem_private_key(key.read_bytes(), None)
    files = {
        "other": other,
        "cut": text[: len(text) // 2].encode(),
        "empty": b"",
        "encrypted": private(secret, BestAvailableEncryption(b"password")),
        "ed25519": private(ed25519.Ed25519PrivateKey.generate()),
        "swapped": cert.read_bytes(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for cert_file, key_file, match in (
        (cert, tmp_path / "other", "does not match the certificate"),
        (cert, tmp_path / "cut", "it contains no unencrypted private key"),
        (cert, tmp_path / "empty", "it contains no unencrypted private key"),
        (cert, tmp_path / "encrypted", "it contains no unencrypted private key"),
        (cert, tmp_path / "ed25519", "neither an EC nor an RSA key"),
        (cert, tmp_path / "swapped", "it contains no unencrypted private key"),
        (cert, tmp_path / "absent", "No such file"),
        (tmp_path / "absent", key, "No such file"),
        (tmp_path / "empty", key, "it contains no certificate"),
        (key, key, "it contains no certificate"),
    ):
        with pytest.raises(AuthorityError, match=match) as caught:
            load_authority(cert_file, key_file, clock.wall())
        assert text.splitlines()[1][:20] not in str(caught.value)


def test_an_expired_ca_is_refused(ca_files, clock):
    clock.advance(timedelta(days=3650).total_seconds())
    with pytest.raises(AuthorityError, match="expired on 2035-12-29"):
        load_authority(*ca_files, clock.wall())


def test_a_constrained_ca_is_good_for_its_hosts_alone(clock, tmp_path):
    certificate, key = make_authority(
        "Narrow", clock.wall(), timedelta(days=365), ["api.anthropic.com"]
    )
    (tmp_path / "ca.pem").write_bytes(certificate)
    (tmp_path / "ca.key").write_bytes(key)
    authority = load_authority(tmp_path / "ca.pem", tmp_path / "ca.key", clock.wall())
    for host, good in (("api.anthropic.com", True), ("bank.example", False)):
        leaf = leaf_of(authority, host, clock.wall())
        assert accepts(authority, leaf, host, clock.wall()) is good


def test_no_repr_shows_a_key(authority, clock, ca_files):
    leaf = authority.issue("a.example", clock.wall())
    assert "PRIVATE" not in repr(leaf)
    assert "PRIVATE" not in repr(authority) + repr(vars(authority))
    assert b"PRIVATE" not in authority.certificate_pem
