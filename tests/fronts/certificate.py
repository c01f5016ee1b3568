"""A certificate for 127.0.0.1, made for one run."""

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])


class Certificate(NamedTuple):
    """Its files; `both` holds the certificate and the key, as haproxy wants them."""

    certificate: Path
    key: Path
    both: Path

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts it, and nobody else."""
        return ssl.create_default_context(cafile=self.certificate)


def make(directory: Path) -> Certificate:
    """A new certificate that signs itself, below `directory`."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    texts = (
        built.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    files = Certificate(directory / "certificate.pem", directory / "key.pem", directory / "both.pem")
    for file, text in zip(files, (*texts, b"".join(texts)), strict=True):
        file.write_bytes(text)
    return files
