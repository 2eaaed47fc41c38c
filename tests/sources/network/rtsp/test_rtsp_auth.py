"""The answers to challenges: RFC 7616's own examples, and which challenge is answered."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.drill.camera.auth import Access, Guard, Scheme
from pipelines.drill.camera.messages import Request
from stream.sources.network import auth
from stream.sources.network.auth import Authenticator, parse_challenges

MD5 = 'Digest realm="r", nonce="n", algorithm=MD5'
SHA = 'Digest realm="r", nonce="n", algorithm=SHA-256'
BASIC = 'Basic realm="r"'


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_standard(algorithm: str, response: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7616, section 3.9.1."""
    monkeypatch.setattr(auth, "token_hex", lambda _: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    me = Authenticator("Mufasa", "Circle of Life")
    nonce, opaque = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    realm = 'realm="http-auth@example.org", qop="auth, auth-int"'
    assert me.take([f'Digest {realm}, algorithm={algorithm}, nonce="{nonce}", opaque="{opaque}"'])
    header = me.header("GET", "/dir/index.html") or ""
    assert f'response="{response}"' in header
    assert f'opaque="{opaque}"' in header
    assert "nc=00000001" in header
    assert "nc=00000002" in (me.header("GET", "/dir/index.html") or "")


def test_user_names_can_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7616, section 3.4.4: userhash."""
    me = Authenticator("J\u00e4s\u00f8n Doe", "Secret, or not?")
    assert me.take(['Digest realm="api@example.org", algorithm=SHA-256, nonce="n", userhash=true, qop="auth"'])
    header = me.header("GET", "/doe.json") or ""
    assert "J" not in header.split('username="')[1].split('"')[0]
    assert header.endswith("userhash=true")


SCHEMES: list[Scheme] = ["digest", "basic", "sha256", "md5-sess", "sha256-sess", "both", "both+basic"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("user", "password"), [("admin", "secret"), ('a"d\\min', "p\u00e4:ss w\u00f6rd/?#"), ("a", "")]
)
def test_a_camera_accepts_every_scheme(scheme: Scheme, user: str, password: str) -> None:
    guard, me = Guard(Access(user, password, scheme)), Authenticator(user, password)
    if '"' in user and scheme != "basic":
        user_in_quotes = user.replace("\\", "\\\\").replace('"', '\\"')
        me.take(guard.challenges)
        assert f'username="{user_in_quotes}"' in (me.header("DESCRIBE", "rtsp://h/") or "")
        return
    assert me.take([", ".join(guard.challenges)])
    for method in ("DESCRIBE", "SETUP", "PLAY"):
        header = me.header(method, "rtsp://h/cam?a=1") or ""
        assert guard.admits(Request(method, "rtsp://h/cam?a=1", {"authorization": header}))
    wrong = Authenticator(user, password + "x")
    assert wrong.take(guard.challenges)
    header = wrong.header("PLAY", "rtsp://h/") or ""
    assert not guard.admits(Request("PLAY", "rtsp://h/", {"authorization": header}))


def test_the_strongest_is_answered_first_and_then_the_next() -> None:
    me = Authenticator("u", "p")
    assert me.take([BASIC, MD5, SHA])
    assert "algorithm=SHA-256" in (me.header("GET", "/") or "")
    assert me.take([BASIC, MD5, SHA])
    assert "algorithm=MD5" in (me.header("GET", "/") or "")
    assert not me.take([BASIC, MD5, SHA])  # a password that Digest refused is not shown to all
    assert me.tried == "Digest SHA-256, Digest MD5"


def test_basic_is_answered_where_there_is_nothing_else() -> None:
    me = Authenticator("\u00fcser", "p:w")
    assert me.take(["Bearer", 'Digest realm="r", nonce="n", algorithm=SHA-9000', BASIC])
    assert b64decode((me.header("GET", "/") or "").split()[1]).decode() == "\u00fcser:p:w"
    assert not Authenticator("us:er", "p").take([BASIC])


def test_a_stale_nonce_is_no_refusal() -> None:
    me = Authenticator("u", "p")
    assert me.take([SHA])
    assert me.take([SHA.replace('"n"', '"m"') + ", stale=TRUE"])
    assert 'nonce="m"' in (me.header("GET", "/") or "")
    assert not me.take([SHA])


def test_a_camera_that_calls_everything_stale_is_not_asked_for_ever() -> None:
    me = Authenticator("u", "p")
    answers = 0
    while me.take([SHA + ", stale=true"]):
        answers += 1
    assert answers == auth.MOST_ANSWERS


def test_an_accepted_answer_makes_later_refusals_new_ones() -> None:
    me = Authenticator("u", "p")
    assert me.take([SHA])
    me.accepted()
    assert me.take([SHA])


def test_challenges_as_cameras_write_them() -> None:
    (first, second, third) = parse_challenges(
        ['digest Realm="a, b=c", NONCE=abc==, qop=auth ,stale = FALSE, Basic realm="x"', "Negotiate"]
    )
    assert (first.scheme, first.fields) == (
        "digest", {"realm": "a, b=c", "nonce": "abc==", "qop": "auth", "stale": "FALSE"},
    )  # fmt: skip
    assert (first.name, first.algorithm, first.is_stale) == ("Digest MD5", "MD5", False)
    assert (second.scheme, second.fields, third.scheme) == ("Basic", {"realm": "x"}, "Negotiate")


@pytest.mark.parametrize("header", ["", "Digest", 'Digest realm="r"', f'{SHA}, qop="auth-int"', "nonce=1"])
def test_what_cannot_be_answered_is_not(header: str) -> None:
    me = Authenticator("u", "p")
    assert not me.take([header])
    assert me.header("GET", "/") is None


@given(st.lists(st.text(max_size=80), max_size=3))
def test_no_challenge_is_an_exception(headers: list[str]) -> None:
    me = Authenticator("u", "p")
    if me.take(headers):
        assert me.header("GET", "/")
