"""The two key files of a reader: the publisher's public key, and the reader's own secret (docs/how-to/keys.md)."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from stream.errors import UsageError
from stream.wire.curve_key import KEY

SERVER_FILE, SECRET_SUFFIX = "server.key", ".key_secret"
SERVER_SECRET_FILE = f"server{SECRET_SUFFIX}"


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """CURVE keys of a reader: the publisher's public key and our own pair. Z85 text, 40 bytes each."""

    server_public: bytes
    client_public: bytes
    client_secret: bytes = field(repr=False)

    @classmethod
    def load(cls, server_public_file: Path, client_secret_file: Path) -> Self:
        """Load two files that ``depthstream keys new`` wrote (certificates of zmq.auth).

        Raises UsageError if one is missing or not a key, or if other users may read the secret.
        """
        server_public, _ = _read(server_public_file)
        client_public, client_secret = _read(client_secret_file)
        if client_secret is None:
            raise UsageError(f"{client_secret_file} holds no secret key; give the file that ends in {SECRET_SUFFIX}")
        if client_secret_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"{client_secret_file} may be read by other users; type: chmod 600 {client_secret_file}")
        return cls(server_public, client_public, client_secret)

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Load ``server.key`` and the only client's secret in ``folder`` or its ``clients``. Raises as ``load``."""
        folder = folder.expanduser()
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}; copy server.key and your NAME{SECRET_SUFFIX} into one")
        found = [*folder.glob(f"*{SECRET_SUFFIX}"), *folder.glob(f"clients/*{SECRET_SUFFIX}")]
        client_secrets = sorted(file for file in found if file.name != SERVER_SECRET_FILE)
        if len(client_secrets) != 1:
            names = ", ".join(file.name for file in client_secrets) or "none"
            raise UsageError(
                f"{folder}: one client's NAME{SECRET_SUFFIX} is needed in it or in clients/, and there is {names}; "
                "name the two files (--server-key FILE --client-key FILE)"
            )
        return cls.load(folder / SERVER_FILE, client_secrets[0])


def _read(file: Path) -> tuple[bytes, bytes | None]:
    from zmq.auth import load_certificate

    try:
        public, secret = load_certificate(file)
    except (OSError, ValueError, IndexError) as error:  # IndexError: a line without "="
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a key file"
        raise UsageError(
            f"{file} cannot be read as a key: {why}; copy it again from where the keys were made"
        ) from error
    if not all(KEY.fullmatch(key) for key in (public, secret) if key is not None):
        raise UsageError(f"{file}: its content is not a key of 40 characters (Z85); copy it again")
    return public, secret
