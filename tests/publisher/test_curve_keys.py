"""The folder of keys: made for its owner only, checked whenever it is read, and no secret in any text."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stream.errors import SinkError, UsageError
from stream.publisher.curve_keys import check_permissions, create, keys_folder, load_clients, load_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the server's pair and one client's."""
    create(tmp_path / "keys", "laptop")
    return tmp_path / "keys"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_client_makes_the_folder_and_the_server_pair(folder: Path) -> None:
    """Folders 0700, secrets 0600, whatever the umask."""
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert names == {"server.key", "server.key_secret", "clients/laptop.key", "clients/laptop.key_secret"}
    assert mode(folder) == mode(folder / "clients") == 0o700
    assert mode(folder / "server.key_secret") == mode(folder / "clients" / "laptop.key_secret") == 0o600


def test_a_generous_umask_opens_nothing(tmp_path: Path) -> None:
    """Also where parents of the folder are missing."""
    before = os.umask(0)
    try:
        create(tmp_path / "deep" / "keys", "laptop")
    finally:
        os.umask(before)
    check_permissions(tmp_path / "deep" / "keys")


def test_the_next_client_leaves_all_others_alone(folder: Path) -> None:
    """The server keeps its key, or every robot would have to be visited."""
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    create(folder, "arm-2.left")
    assert all(file.read_bytes() == content for file, content in before.items())
    assert [client.name for client in load_clients(folder)] == ["arm-2.left", "laptop"]


def test_existing_keys_are_not_overwritten(folder: Path) -> None:
    """Also when only one of the two files is there."""
    (folder / "clients" / "laptop.key_secret").unlink()
    before = (folder / "clients" / "laptop.key").read_bytes()
    with pytest.raises(UsageError, match='there is a key "laptop" already'):
        create(folder, "laptop")
    assert (folder / "clients" / "laptop.key").read_bytes() == before


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "-rf", ".hidden", "a b", "ünder", "server", "x" * 64, "a\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is created."""
    with pytest.raises(UsageError, match="is not a valid name for a key"):
        create(tmp_path / "keys", name)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    ("what", "chmod", "advice"),
    [
        (".", 0o750, "chmod 700"),
        ("clients", 0o701, "chmod 700"),
        ("server.key_secret", 0o640, "chmod 600"),
        ("clients/laptop.key_secret", 0o604, "chmod 600"),
    ],
)
def test_what_others_may_read_is_an_error_with_the_remedy(folder: Path, what: str, chmod: int, advice: str) -> None:
    """Loading, and adding to it, alike."""
    (folder / what).chmod(chmod)
    path = str((folder / what).resolve())
    for use in (load_server, lambda place: create(place, "other")):
        with pytest.raises(SinkError, match=advice) as raised:
            use(folder)
        assert f"{advice} {path}" in str(raised.value)


def test_a_secret_is_in_no_text(folder: Path) -> None:
    """Neither the representation of the keys nor an error about them contains it."""
    keys = load_server(folder)
    assert len(keys.public) == len(keys.secret) == 40
    assert keys.secret.decode() not in repr(keys)
    file = folder / "server.key_secret"
    file.write_text(file.read_text().replace("secret-key", "public-key"))
    file.write_text(file.read_text().replace(keys.public.decode(), "short"))
    with pytest.raises(SinkError) as raised:
        load_server(folder)
    assert keys.secret.decode() not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"public-key", b'curve\n public-key = "short"\n', b"\xff\xfe\x00" * 50])
def test_a_damaged_file_is_named(folder: Path, content: bytes) -> None:
    """Whatever is in it."""
    for file, load in {"server.key_secret": load_server, "clients/laptop.key": load_clients}.items():
        (folder / file).write_bytes(content)
        with pytest.raises(SinkError, match=str(folder / file)):
            load(folder)


def test_missing_keys_say_how_to_make_them(tmp_path: Path, folder: Path) -> None:
    """No folder, and a folder without the server's pair."""
    with pytest.raises(SinkError, match=f"depthstream keys new NAME --dir {tmp_path}/none"):
        load_server(tmp_path / "none")
    (folder / "server.key_secret").unlink()
    with pytest.raises(SinkError, match=f"there is no {folder}/server.key_secret"):
        load_server(folder)


def test_the_usual_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative XDG_CONFIG_HOME counts as none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for value, expected in {"/etc/x": "/etc/x", "relative": f"{tmp_path}/.config", "": f"{tmp_path}/.config"}.items():
        monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert keys_folder() == Path(expected) / "depthstream" / "keys"
