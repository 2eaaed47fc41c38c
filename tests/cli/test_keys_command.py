"""`depthstream keys`: what a person with a robot types, reads, and never sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zmq.auth

from pipelines.cli.keys import list_keys, new
from stream.client.client_keys import ClientKeys
from stream.errors import SinkError, UsageError

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Not there yet."""
    return tmp_path / "keys"


def secrets(folder: Path) -> list[str]:
    """Every secret key in the folder."""
    keys = [zmq.auth.load_certificate(file)[1] for file in folder.rglob("*.key_secret")]
    return [key.decode() for key in keys if key]


def test_one_command_makes_all_and_says_which_file_goes_where(folder: Path, capsys: Printed) -> None:
    """Both files of the reader, what stays, the setting; no secret."""
    new("laptop", folder)
    out = capsys.readouterr().out
    carry, stay = out.index("Copy to the reader"), out.index("Keep on this machine")
    assert carry < out.index(f"{folder}/server.key ") < stay
    assert carry < out.index(f"{folder}/clients/laptop.key_secret") < stay < out.index(f"{folder}/server.key_secret")
    assert f'[publish] keys = "{folder}"' in out
    assert len(secrets(folder)) == 2
    assert not any(secret in out for secret in secrets(folder))


def test_the_reader_loads_the_copied_files(folder: Path, tmp_path: Path) -> None:
    """The two files, in a folder of the reader's own."""
    new("laptop", folder)
    robot = tmp_path / "robot"
    robot.mkdir()
    for file in (folder / "server.key", folder / "clients" / "laptop.key_secret"):
        file.rename(robot / file.name)
    (robot / "laptop.key_secret").chmod(0o600)
    keys = ClientKeys.from_folder(robot)
    assert keys.client_public in (folder / "clients" / "laptop.key").read_bytes()


def test_the_list_names_clients_without_secrets(folder: Path, capsys: Printed) -> None:
    """Name, public key, file; and whether the secret is still there. The folder is whole, however long it is."""
    for name in ("laptop", "robot"):
        new(name, folder)
    (folder / "clients" / "robot.key_secret").unlink()
    capsys.readouterr()
    list_keys(folder)
    out = capsys.readouterr().out
    for name in ("laptop", "robot"):
        public, _ = zmq.auth.load_certificate(folder / "clients" / f"{name}.key")
        assert public.decode() in out
        assert f"{name}.key " in out
    assert f"in {folder}/clients" in out
    assert (out.count("yes"), out.count(" no ")) == (1, 1)
    assert not any(secret in out for secret in secrets(folder))


def test_the_list_as_json(folder: Path, capsys: Printed) -> None:
    """The same for programs."""
    new("laptop", folder)
    capsys.readouterr()
    list_keys(folder, as_json=True)
    out = capsys.readouterr().out
    (facts,) = json.loads(out)
    assert (facts["client"], facts["secret_here"]) == ("laptop", True)
    assert not any(secret in out for secret in secrets(folder))


def test_nothing_is_overwritten_and_nothing_is_listed_that_is_not_there(folder: Path, capsys: Printed) -> None:
    """Errors of one line."""
    with pytest.raises(SinkError, match="depthstream keys new NAME"):
        list_keys(folder)
    new("laptop", folder)
    with pytest.raises(UsageError, match="already"):
        new("laptop", folder)
    for file in (folder / "clients").iterdir():
        file.unlink()
    capsys.readouterr()
    list_keys(folder)
    assert capsys.readouterr().out.strip() == "no client may read yet: depthstream keys new NAME"


def test_permissions_are_checked_by_the_list(folder: Path) -> None:
    """With the command to type."""
    new("laptop", folder)
    folder.chmod(0o755)
    with pytest.raises(SinkError, match=f"chmod 700 {folder}"):
        list_keys(folder)


def test_without_a_folder_it_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Under XDG_CONFIG_HOME."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    new("laptop", None)
    assert (tmp_path / "depthstream" / "keys" / "clients" / "laptop.key").is_file()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "keys").write_text("mine")
    with pytest.raises(SinkError, match="choose another folder with --dir"):
        new("laptop", tmp_path / "keys")
