"""What a viewer is sent next, decided without sockets."""

from __future__ import annotations

from stream.web.live.flow_control import HELD_BYTES, UNDER_WAY, Watching
from stream.web.live.hub import KEPT, WebSink


def send_due(watching: Watching) -> tuple[str, int, tuple[str, ...]] | None:
    """Send what is due; (camera, seq, images)."""
    due = watching.due()
    if due is None:
        return None
    watching.sending(due.shown)
    frame = due.shown.view.depth_map.frame
    return frame.camera, frame.seq, due.images


def test_nothing_is_due_of_what_nobody_named(web_view) -> None:
    """Not before the first "watch", not of "none", not of a camera that is not there."""
    sink = WebSink(["front"])
    watching = Watching(sink)
    sink.write(web_view())
    assert watching.due() is None
    watching.watch({"front": "none", "rear": "both"})
    assert watching.due() is None
    watching.watch({"front": "depth"})
    assert send_due(watching) == ("front", 0, ("depth",))
    assert watching.due() is None


def test_two_frames_are_under_way_and_no_more(web_view) -> None:
    """The third waits for an acknowledgement, and then it is the newest one, not the third."""
    sink = WebSink()
    watching = Watching(sink)
    watching.watch({"front": "both"})
    sent = []
    for seq in range(10):
        sink.write(web_view(seq))
        sent.append(send_due(watching))
    assert sent[:UNDER_WAY] == [("front", 0, ("image", "depth")), ("front", 1, ("image", "depth"))]
    assert not any(sent[UNDER_WAY:])
    assert watching.acknowledge("front", 0)
    assert send_due(watching) == ("front", 9, ("image", "depth"))


def test_an_acknowledgement_counts_for_those_before_it(web_view) -> None:
    """A page that draws only the newest acknowledges that one; what was never under way acknowledges nothing."""
    sink = WebSink()
    watching = Watching(sink)
    watching.watch({"front": "image"})
    for seq in range(2):
        sink.write(web_view(seq))
        send_due(watching)
    assert not watching.acknowledge("front", 7)
    assert not watching.acknowledge("rear", 1)
    assert watching.acknowledge("front", 1)
    assert not watching.acknowledge("front", 0)
    for seq in range(2, 4):
        sink.write(web_view(seq))
        assert send_due(watching) == ("front", seq, ("image",))


def test_cameras_take_turns(web_view) -> None:
    """One that always has something new does not keep the others waiting."""
    sink = WebSink()
    watching = Watching(sink)
    watching.watch({"a": "depth", "b": "depth", "c": "depth"})
    for camera in "abc":
        sink.write(web_view(0, camera))
    turns = []
    for seq in range(1, 7):
        sent = send_due(watching)
        assert sent
        turns.append(sent[0])
        watching.acknowledge(sent[0], sent[1])
        sink.write(web_view(seq, sent[0]))
    assert turns == ["a", "b", "c", "a", "b", "c"]


def test_a_change_of_mind_keeps_what_is_under_way(web_view) -> None:
    """Saying "watch" again and again gets nobody more than two frames ahead."""
    sink = WebSink()
    watching = Watching(sink)
    for seq in range(6):
        watching.watch({"front": ("both", "image", "depth")[seq % 3]})
        sink.write(web_view(seq))
        send_due(watching)
    assert watching.due() is None
    assert watching.acknowledge("front", 1)
    assert watching.due() is not None


def test_a_frozen_image_can_be_probed_for_as_long_as_it_is_frozen(web_view) -> None:
    """The page asks for "none" and goes on asking about what it drew last; when it goes on, that is forgotten."""
    sink = WebSink()
    watching = Watching(sink)
    watching.watch({"front": "both"})
    sink.write(web_view(3))
    send_due(watching)
    watching.acknowledge("front", 3)
    watching.watch({"front": "none"})
    for seq in range(4, 5 + 2 * KEPT):
        sink.write(web_view(seq))
    watching.watch({"front": "none", "rear": "both"})
    probe = watching.probe("front", 3, 0.5, 0.5)
    assert probe is not None
    assert probe.depth == 3.5
    assert watching.probe("front", 4, 0.5, 0.5) is None
    watching.watch({"front": "both"})
    assert watching.probe("front", 3, 0.5, 0.5) is None


def test_what_a_viewer_may_freeze_is_bounded(web_view) -> None:
    """In bytes, over all cameras: what has no room is not held, and its probes end like those of any old frame."""
    sink = WebSink()
    watching = Watching(sink)
    size = (2048, 2048)
    cameras = [f"cam{number}" for number in range(4)]
    watching.watch(dict.fromkeys(cameras, "both"))
    for camera in cameras:
        sink.write(web_view(0, camera, size))
        send_due(watching)
        watching.acknowledge(camera, 0)
    watching.watch(dict.fromkeys(cameras, "none"))
    for seq in range(1, 1 + KEPT):
        for camera in cameras:
            sink.write(web_view(seq, camera, (8, 8)))
    held = [camera for camera in cameras if watching.probe(camera, 0, 0, 0)]
    assert held == cameras[: HELD_BYTES // (4 * size[0] * size[1])]
