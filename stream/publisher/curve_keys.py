"""The folder of CURVE keys: the publisher's own pair and its readers' public keys (docs/how-to/keys.md).

    server.key           the publisher's public key: every reader needs it
    server.key_secret    the publisher's secret key; stays on the publisher's machine
    clients/NAME.key     a reader's public key; the reader with the matching secret is admitted
    clients/NAME.key_secret   the reader's secret key, for the reader's machine; not needed here

Folders are for their owner only (0700), and so are secrets (0600): anything else is an error. The files are ZeroMQ's
certificates (zmq.auth). Our messages never contain a secret.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stream.errors import SinkError, UsageError
from stream.wire.curve_key import KEY

SERVER, CLIENTS = "server", "clients"
PUBLIC, SECRET = ".key", ".key_secret"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
OTHER_USERS = stat.S_IRWXG | stat.S_IRWXO
"""Permission bits of everyone but the owner."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair; each key is Z85 text of 40 bytes."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Client:
    """A reader that may connect."""

    name: str
    public: bytes
    """Z85 text, 40 bytes."""
    file: Path


def keys_folder() -> Path:
    """``XDG_CONFIG_HOME``/depthstream/keys, else ~/.config/depthstream/keys; it need not exist.

    The XDG base directory specification says to ignore a relative ``XDG_CONFIG_HOME``.
    """
    xdg = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".config") / "depthstream" / "keys"


def load_server(folder: Path) -> KeyPair:
    """The publisher's own pair. Raises SinkError if it is missing or damaged, or if other users may read the folder."""
    check_permissions(folder)
    public, secret = _load(folder / f"{SERVER}{SECRET}")
    if secret is None:
        raise SinkError(f"{folder / SERVER}{SECRET}: there is no secret key in it; restore it, or make new keys")
    return KeyPair(public, secret)


def load_clients(folder: Path) -> tuple[Client, ...]:
    """All clients of the folder, sorted by name. Raises SinkError for a damaged file."""
    files = sorted((folder / CLIENTS).glob(f"*{PUBLIC}"))
    return tuple(Client(file.name.removesuffix(PUBLIC), _load(file)[0], file) for file in files)


def create(folder: Path, name: str) -> Client:
    """Create a key pair for a client, and the folder and the server's pair where they are missing.

    Raises UsageError for a name that is taken or invalid, SinkError for a folder that cannot be written or that other
    users may read.
    """
    if not NAME.fullmatch(name) or name == SERVER:
        raise UsageError(
            f'"{name}" is not a valid name for a key: use up to 63 of a-z, A-Z, 0-9, "_", "-", ".", a letter or digit '
            f'first, and not "{SERVER}"'
        )
    try:
        for directory in (folder, folder / CLIENTS):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_permissions(folder)
        if not any(_pair(folder, SERVER)):
            _create_pair(folder, SERVER)
        if taken := next(_pair(folder / CLIENTS, name), None):
            raise UsageError(f'there is a key "{name}" already ({taken}): choose another name, or delete its files')
        _create_pair(folder / CLIENTS, name)
    except OSError as error:
        raise SinkError(f"cannot make keys in {folder}: {error.strerror}; choose another folder with --dir") from error
    return Client(name, _load(folder / CLIENTS / f"{name}{PUBLIC}")[0], folder / CLIENTS / f"{name}{PUBLIC}")


def check_permissions(folder: Path) -> None:
    """Raise SinkError, with the command to type, if the folder is missing or its secrets are open to other users."""
    if not folder.is_dir():
        raise SinkError(f'there is no folder of keys at {folder}; "depthstream keys new NAME --dir {folder}" makes one')
    for directory in (folder, folder / CLIENTS):
        if directory.is_dir() and _mode(directory) & OTHER_USERS:
            raise SinkError(f"{directory} is open to other users; type: chmod 700 {directory}")
    for file in sorted(folder.rglob(f"*{SECRET}")):
        if _mode(file) & OTHER_USERS:
            raise SinkError(f"{file} may be read by other users; type: chmod 600 {file} (and think about a new key)")


def _create_pair(folder: Path, name: str) -> None:
    from zmq.auth import create_certificates

    _, secret = create_certificates(folder, name)
    os.chmod(secret, 0o600)  # until now it has the umask's mode, but no other user may enter its folder


def _pair(folder: Path, name: str) -> Iterator[Path]:
    """The existing ones of a pair's two files."""
    return (file for file in (folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}") if file.exists())


def _load(file: Path) -> tuple[bytes, bytes | None]:
    from zmq.auth import load_certificate

    if not file.exists():
        raise SinkError(f"there is no {file}; make the keys anew, or restore it from a copy")
    try:
        public, secret = load_certificate(file)
    except OSError as error:
        raise SinkError(f"{file} cannot be read: {error.strerror}; publish as the user who made the keys") from error
    except (ValueError, LookupError) as error:  # LookupError: pyzmq, for a line without "="
        raise SinkError(f"{file} is not a key; make it anew, or restore it from a copy") from error
    if not all(KEY.fullmatch(key) for key in (public, secret) if key is not None):
        raise SinkError(f"{file}: its content is not a key of 40 characters (Z85); make it anew, or restore it")
    return public, secret


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise SinkError(f"{path}: its mode cannot be read: {error.strerror}") from error
