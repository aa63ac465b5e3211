"""Encryption at rest of users' credentials, with a key file kept apart from the database.

AES-256-GCM; the ciphertext is bound to its purpose, so that no two can be swapped.
"""

import os
from pathlib import Path

from aibridged.config.private_file import make_private, make_private_directory, open_private
from aibridged.config.secret import Secret
from aibridged.identity.users import IdentityError

KEY_FILE = "mcp-credentials.key"
"""In the state directory."""

_KEY_BYTES = 32
_NONCE_BYTES = 12
# In hexadecimal, with some whitespace; nothing beyond this is read.
_MAX_CHARACTERS = 4 * _KEY_BYTES


class CredentialKeyError(IdentityError):
    """The key can't be used; the message says why and how to fix it, without secrets."""


class CredentialKey:
    """The key in a file, which is read when it is needed, and created by `make`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def make(self) -> None:
        """Create a key that only the daemon's user can read, unless there is one by now.

        Raises:
            CredentialKeyError: the file can't be created.
        """
        key = os.urandom(_KEY_BYTES)
        try:
            make_private_directory(self.path.parent)
            descriptor = make_private(self.path)
        except OSError as error:
            if self.exists:
                return
            raise CredentialKeyError(
                f"The key file {self.path} can't be created: {error.strerror}. Check the "
                "permissions of the state directory, or choose another --state-dir."
            ) from None
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{key.hex()}\n")
            file.flush()
            os.fsync(descriptor)

    def encrypt(self, credential: Secret, bound_to: str) -> bytes:
        """The nonce, followed by the encrypted credential.

        Raises:
            CredentialKeyError: there is no key.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        plain = credential.reveal().encode()
        return nonce + AESGCM(self.read()).encrypt(nonce, plain, bound_to.encode())

    def decrypt(self, encrypted: bytes, bound_to: str) -> Secret:
        """The credential.

        Raises:
            CredentialKeyError: there is no key, or it is a different one.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, data = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
        try:
            plain = AESGCM(self.read()).decrypt(nonce, data, bound_to.encode())
        except (InvalidTag, ValueError):
            raise CredentialKeyError(
                f"Credentials in the database were not encrypted with the key in {self.path}. "
                "Daemons that share a database need the same key file: copy it. Otherwise set the "
                "users' tokens for MCP servers again (`aibridged users mcp-token set`), and sign "
                "out those who have signed in (`aibridged users sign-out`)."
            ) from None
        return Secret(plain.decode())

    def read(self) -> bytes:
        """The key itself.

        Raises:
            CredentialKeyError: there is none, or it can't be read.
        """
        try:
            with open(open_private(self.path, os.O_RDONLY), encoding="ascii") as file:
                key = bytes.fromhex(file.read(_MAX_CHARACTERS))
        except FileNotFoundError:
            raise self.lost() from None
        except OSError as error:
            raise CredentialKeyError(
                f"The key file {self.path} can't be read: {error.strerror}."
            ) from None
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise CredentialKeyError(
                f"There is no key in {self.path}. Restore the file from a backup, or remove it "
                "and the tokens that were encrypted with it."
            )
        return key

    def lost(self) -> CredentialKeyError:
        """The error for credentials whose key is missing."""
        return CredentialKeyError(
            f"The key file {self.path} is missing, and credentials in the database can't be "
            "decrypted without it. Restore it from a backup. If there is none, remove the users' "
            "tokens for MCP servers (`aibridged users mcp-token list` and `remove`), and sign out "
            "those who have signed in (`aibridged users sign-out`)."
        )
