"""POST /api/depth over a real server: four response formats, and a readable line for every error."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from depth_api_rig import Client, Network, encoded, form, noise, serving

from stream.depth_png import decode_png16
from stream.errors import EngineError, WeightsError
from stream.frames import DepthMap, Frame, Image
from stream.render.colormap import lut
from stream.web.depth_api.responses import DepthResult, encode_depth

IMAGE = noise()
POSTED = encoded(IMAGE)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def client(network: Network) -> Iterator[Client]:
    with serving(network, max_upload_mb=1, max_megapixels=1) as client:
        yield client


def test_the_default_response_is_a_colour_png(client: Client, network: Network) -> None:
    """A PNG of the image's size, painted over its own range, by the first network."""
    reply = client.post(POSTED)
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    painted = cv2.imdecode(np.frombuffer(reply.body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert painted.shape == IMAGE.shape
    nearest, farthest = (lut("inferno")[index].tolist() for index in (0, 255))
    low, high = float(reply.headers["x-depth-low"]), float(reply.headers["x-depth-high"])
    assert painted[IMAGE[..., 0] <= low][0].tolist() == nearest
    assert painted[IMAGE[..., 0] >= high][0].tolist() == farthest
    assert network.calls == ["blue"]
    facts = {name: reply.headers[f"x-depth-{name}"] for name in ("kind", "unit", "model", "weights", "scale-guessed")}
    assert facts == {"kind": "metric", "unit": "m", "model": "blue", "weights": "trained", "scale-guessed": "false"}


def test_a_png_of_16_bits_says_how_to_read_it(client: Client) -> None:
    """The headers' numbers give the depth back."""
    reply = client.post(POSTED, output="png16")
    values = cv2.imdecode(np.frombuffer(reply.body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (values.dtype, reply.headers["x-depth-formula"]) == (np.uint16, "depth = offset + scale * value")
    depth = decode_png16(values, float(reply.headers["x-depth-scale"]), float(reply.headers["x-depth-offset"]))
    inside = (IMAGE[..., 0] >= 1) & (IMAGE[..., 0] <= 65)
    np.testing.assert_allclose(depth[inside], IMAGE[..., 0][inside], atol=1e-3)
    assert int(reply.headers["x-depth-clipped"]) == np.sum((IMAGE[..., 0] < 1) | (IMAGE[..., 0] > 65))


def test_npy_is_the_depth_itself(client: Client) -> None:
    """float32, to the last bit."""
    depth = np.load(io.BytesIO(client.post(POSTED, output="npy").body), allow_pickle=False)
    np.testing.assert_array_equal(depth, IMAGE[..., 0].astype(np.float32))


def test_json_is_a_summary_without_pixels(client: Client) -> None:
    """Kind, unit, range, size and network."""
    about = client.post(POSTED, output="json", model="other").data
    blue = IMAGE[..., 0]
    assert about.pop("ms") >= 0
    assert about == {
        "kind": "metric",
        "unit": "m",
        "meaning": "metres along the optical axis",
        "model": "other",
        "weights": "trained",
        "scale_guessed": False,
        "width": 32,
        "height": 24,
        "min": float(blue.min()),
        "median": float(np.median(blue)),
        "max": float(blue.max()),
        "known": 1.0,
    }


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        ([[np.nan, 1.0], [3.0, np.inf]], {"min": 1.0, "median": 2.0, "max": 3.0, "known": 0.75}),
        ([[np.nan, np.nan]], {"min": None, "median": None, "max": None, "known": 0.0}),
    ],
)
def test_unknown_and_infinite_depth_are_no_numbers_of_json(
    depth: list[list[float]], expected: dict[str, float]
) -> None:
    """An infinitely far pixel counts as known, but enters no statistic."""
    from json import loads

    array = np.array(depth, np.float32)
    frame = Frame(np.zeros((*array.shape, 3), np.uint8), "image", 0, Network()("blue", IMAGE).frame.stamp)
    made = DepthResult(DepthMap(array, "metric", frame, "blue", "random", scale_guessed=True), 3.0)
    about = loads(encode_depth(made, "json", "", None).body)  # type: ignore[arg-type]
    assert {name: about[name] for name in expected} == expected
    assert (about["weights"], about["scale_guessed"]) == ("random", True)


def test_a_form_brings_image_and_options(client: Client, network: Network) -> None:
    """As a browser's form or curl -F sends it; options in the form override those in the address."""
    body, kind = form(output="json", model="other", image=POSTED, colormap="")
    reply = client.post(body, kind, output="npy")
    assert (reply.status, reply.data["model"]) == (200, "other")
    assert client.post(POSTED, output="json", model="other").headers["x-cache"] == "hit", "the same bytes"


@pytest.mark.parametrize("name", ["image", "file", "picture"])
def test_the_image_may_have_the_names_that_other_programs_use(client: Client, name: str) -> None:
    """Each of them alone; two of them are two images."""
    body, kind = form(output="json", **{name: POSTED})
    assert client.post(body, kind).status == 200
    body, kind = form(image=POSTED, file=POSTED)
    assert client.post(body, kind).words == 'the form has more than one "image": send them one by one\n'


def test_an_answer_is_given_again_without_work(client: Client, network: Network) -> None:
    """The same bytes sent in another way are a hit; other colours need no second inference."""
    first, second = client.post(POSTED), client.post(POSTED, "application/octet-stream", model="blue")
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.body == second.body
    assert first.headers["etag"] == second.headers["etag"]
    turbo = client.post(POSTED, colormap="turbo")
    assert (turbo.headers["x-cache"], len(network.calls)) == ("miss", 1)
    assert turbo.body != first.body
    assert turbo.headers["etag"] != first.headers["etag"]
    assert client.post(POSTED, output="json", colormap="turbo").headers["x-cache"] == "miss"
    assert client.post(POSTED, output="json", colormap="gray").headers["x-cache"] == "hit", "no colours in it"
    assert client.post(POSTED, model="other").headers["x-cache"] == "miss"
    assert network.calls == ["blue", "other"]
    counts = client.service.counts()
    assert (counts["hit"], counts["miss"], counts["running"], counts["cached"]) == (2, 4, 0, 6)


def test_nothing_is_kept_where_nothing_may_be(network: Network) -> None:
    """cache_mb = 0: everything is made anew."""
    with serving(network, cache_mb=0) as client:
        assert [client.post(POSTED).headers["x-cache"] for _ in range(2)] == ["miss", "miss"]
        assert (len(network.calls), client.service.counts()["cached"]) == (2, 0)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_every_usual_form_of_image_is_read(client: Client, ending: str) -> None:
    """And is worked on as it looks."""
    body = encoded(cv2.GaussianBlur(IMAGE, (0, 0), 3), ending)
    depth = np.load(io.BytesIO(client.post(body, "image/any", output="npy").body))
    decoded = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(depth, decoded[..., 0])


def test_a_photograph_is_turned_as_its_exif_says(client: Client) -> None:
    """Orientation 6, a phone held upright: as the source of images has it."""
    tiff = b"II*\0\x08\0\0\0\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    plain = encoded(IMAGE, ".jpg")
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    about = client.post(turned, "image/jpeg", output="json").data
    assert (about["width"], about["height"]) == (24, 32)
    upright = np.load(io.BytesIO(client.post(turned, "image/jpeg", output="npy").body))
    flat = np.load(io.BytesIO(client.post(plain, "image/jpeg", output="npy").body))
    np.testing.assert_array_equal(upright, np.rot90(flat, -1))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"model": "blu"}, 'model = "blu" does not exist here; did you mean "blue"?'),
        ({"output": "gif"}, 'output = "gif" does not exist here; known: color, json, npy, png16'),
        ({"colormap": "infern"}, 'colormap = "infern" does not exist here; did you mean "inferno"?'),
        ({"colourmap": "turbo"}, 'there is no option "colourmap"; did you mean "colormap"?'),
        ({"model": "a\r\nb\u2028" + 99 * "x"}, 'model = "a\\r\\nb\\u2028'),
    ],
)
def test_a_mistake_in_the_options_is_named(client: Client, network: Network, query: dict[str, str], words: str) -> None:
    """With the nearest known word, on one line, before the image is examined."""
    for reply in (client.post(b"no image", **query), client.post(*form(image=POSTED, **query))):
        assert (reply.status, network.calls) == (400, [])
        assert reply.words.startswith(words)
        assert len(reply.words.splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "image/png", 400, "there is no image in the request"),
        (b"GIF89a" + bytes(99), "image/gif", 415, "this is no PNG, JPEG, WebP, BMP or TIFF"),
        (b"\0\0\0\x1cftypheic" + bytes(99), "image/heic", 415, "this is no PNG, JPEG, WebP, BMP or TIFF"),
        (POSTED, "application/pdf", 415, "send an image as image/jpeg"),
        (POSTED, "application/x-www-form-urlencoded", 415, "send an image as image/jpeg"),
        (POSTED[: len(POSTED) // 2], "image/png", 400, "the PNG is damaged"),
        (encoded(IMAGE, ".jpg")[:-40], "image/jpeg", 400, "the JPEG is damaged"),
        (encoded(noise(24, 5)), "image/png", 400, "the image: 5x24 px is too small"),
        (
            encoded(np.zeros((1001, 1000, 3), np.uint8)),
            "image/png",
            413,
            "the PNG is too large (1000x1001 px, at most 1 ",
        ),
        (encoded(IMAGE.astype(np.float32), ".tiff"), "image/tiff", 400, "the TIFF is damaged, or not one with 8 or 16"),
        (POSTED, "multipart/form-data", 400, "the form has no usable boundary"),
        (POSTED, "multipart/form-data; boundary=b", 400, "the form is damaged"),
        (form(image=POSTED)[0][:-20], "multipart/form-data; boundary=xYz", 400, "the form ends in its middle"),
        (*form(other=POSTED), 400, 'the form has no file "image"'),
        (*form(output=1001 * "x", image=POSTED), 400, "a field of the form has more than 1000 bytes"),
        (*form(image=b""), 400, "there is no image in the request"),
        (*form(**{f"n{n}": "x" for n in range(17)}), 400, "the form has more than 16 parts"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(
    client: Client, network: Network, body: bytes, kind: str, status: int, words: str
) -> None:
    """The error is one line, and no network is called."""
    reply = client.post(body, kind)
    assert (reply.status, network.calls) == (status, [])
    assert reply.words.startswith(words)
    assert (len(reply.words.splitlines()), reply.headers["content-type"]) == (1, "text/plain; charset=utf-8")
    assert client.service.counts()["refused"] == 1


def test_two_images_in_a_form_are_one_too_many(client: Client) -> None:
    """Rather than one of them ignored."""
    body, kind = form(image=POSTED)
    reply = client.post(body[: -len("--xYz--\r\n")] + body, kind)
    assert (reply.status, reply.words) == (400, 'the form has more than one "image": send them one by one\n')


def test_other_methods_are_not_for_this_address(client: Client) -> None:
    """A browser that opens the address gets a usage line."""
    reply = client.ask("GET", "/api/depth")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert reply.words.startswith("POST an image: curl ")
    assert reply.words.count("\n") == 1


@pytest.mark.parametrize(
    "error", [WeightsError("/home/anna/.cache/x: missing"), EngineError("/home/anna/x.engine: bad")]
)
def test_a_network_that_cannot_run_reveals_no_reason(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Only the log has the reason; the next request tries again."""

    def fail(model: str, image: Image) -> DepthMap:
        raise error

    with serving(fail) as client:
        replies = [client.post(POSTED) for _ in range(2)]
    assert {reply.status for reply in replies} == {503}
    assert replies[0].words == '"blue" cannot be run now: the log of the server says why\n'
    assert str(error) in caplog.text


def test_an_internal_error_reveals_nothing_and_frees_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """An image that makes the network raise does not end the service."""
    fails = threading.Event()
    fails.set()
    network = Network()

    def fail(model: str, image: Image) -> DepthMap:
        if fails.is_set():
            raise ValueError("/home/anna/secret")
        return network(model, image)

    with serving(fail, image_queue=0) as client:
        replies = [client.post(POSTED) for _ in range(3)]
        fails.clear()
        assert client.post(POSTED).status == 200
    assert {(reply.status, reply.words) for reply in replies} == {(500, "Internal Server Error")}
    assert "/home/anna/secret" in caplog.text
