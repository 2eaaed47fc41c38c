"""Flow control: which frame a viewer gets next, without sockets."""

from __future__ import annotations

from stream.web.live.flow_control import MAX_FROZEN_BYTES, MAX_IN_FLIGHT, FlowControl
from stream.web.live.hub import PROBE_HISTORY, WebSink


def send_next(flow: FlowControl) -> tuple[str, int, tuple[str, ...]] | None:
    """Send the next frame, if there is one; (camera, seq, images)."""
    next_frame = flow.next_frame()
    if next_frame is None:
        return None
    flow.mark_sent(next_frame.shared)
    frame = next_frame.shared.view.depth_map.frame
    return frame.camera, frame.seq, next_frame.images


def test_cameras_that_are_not_watched_are_not_sent(web_view) -> None:
    """Not before the first "watch", not with "none", and not for an unknown camera."""
    sink = WebSink(["front"])
    flow = FlowControl(sink)
    sink.write(web_view())
    assert flow.next_frame() is None
    flow.watch({"front": "none", "rear": "both"})
    assert flow.next_frame() is None
    flow.watch({"front": "depth"})
    assert send_next(flow) == ("front", 0, ("depth",))
    assert flow.next_frame() is None


def test_at_most_two_frames_are_in_flight(web_view) -> None:
    """After an acknowledgement the newest frame follows, not the third."""
    sink = WebSink()
    flow = FlowControl(sink)
    flow.watch({"front": "both"})
    sent = []
    for seq in range(10):
        sink.write(web_view(seq))
        sent.append(send_next(flow))
    assert sent[:MAX_IN_FLIGHT] == [("front", 0, ("image", "depth")), ("front", 1, ("image", "depth"))]
    assert not any(sent[MAX_IN_FLIGHT:])
    assert flow.acknowledge("front", 0)
    assert send_next(flow) == ("front", 9, ("image", "depth"))


def test_an_acknowledgement_counts_for_those_before_it(web_view) -> None:
    """A page acknowledges only the newest frame that it drew; an unknown ``seq`` acknowledges nothing."""
    sink = WebSink()
    flow = FlowControl(sink)
    flow.watch({"front": "image"})
    for seq in range(2):
        sink.write(web_view(seq))
        send_next(flow)
    assert not flow.acknowledge("front", 7)
    assert not flow.acknowledge("rear", 1)
    assert flow.acknowledge("front", 1)
    assert not flow.acknowledge("front", 0)
    for seq in range(2, 4):
        sink.write(web_view(seq))
        assert send_next(flow) == ("front", seq, ("image",))


def test_cameras_take_turns(web_view) -> None:
    """A camera that always has a new view does not keep the others waiting."""
    sink = WebSink()
    flow = FlowControl(sink)
    flow.watch({"a": "depth", "b": "depth", "c": "depth"})
    for camera in "abc":
        sink.write(web_view(0, camera))
    turns = []
    for seq in range(1, 7):
        sent = send_next(flow)
        assert sent
        turns.append(sent[0])
        flow.acknowledge(sent[0], sent[1])
        sink.write(web_view(seq, sent[0]))
    assert turns == ["a", "b", "c", "a", "b", "c"]


def test_watching_again_keeps_the_frames_in_flight(web_view) -> None:
    """Repeated "watch" messages do not raise the limit of two frames."""
    sink = WebSink()
    flow = FlowControl(sink)
    for seq in range(6):
        flow.watch({"front": ("both", "image", "depth")[seq % 3]})
        sink.write(web_view(seq))
        send_next(flow)
    assert flow.next_frame() is None
    assert flow.acknowledge("front", 1)
    assert flow.next_frame() is not None


def test_a_frozen_image_can_be_probed_for_as_long_as_it_is_frozen(web_view) -> None:
    """After "none" the last drawn image can still be probed; once the page watches again, it is released."""
    sink = WebSink()
    flow = FlowControl(sink)
    flow.watch({"front": "both"})
    sink.write(web_view(3))
    send_next(flow)
    flow.acknowledge("front", 3)
    flow.watch({"front": "none"})
    for seq in range(4, 5 + 2 * PROBE_HISTORY):
        sink.write(web_view(seq))
    flow.watch({"front": "none", "rear": "both"})
    probe = flow.probe("front", 3, 0.5, 0.5)
    assert probe is not None
    assert probe.depth == 3.5
    assert flow.probe("front", 4, 0.5, 0.5) is None
    flow.watch({"front": "both"})
    assert flow.probe("front", 3, 0.5, 0.5) is None


def test_what_a_viewer_may_freeze_is_bounded(web_view) -> None:
    """In bytes, over all cameras: an image that does not fit can be probed only like any other old frame."""
    sink = WebSink()
    flow = FlowControl(sink)
    size = (2048, 2048)
    cameras = [f"cam{number}" for number in range(4)]
    flow.watch(dict.fromkeys(cameras, "both"))
    for camera in cameras:
        sink.write(web_view(0, camera, size))
        send_next(flow)
        flow.acknowledge(camera, 0)
    flow.watch(dict.fromkeys(cameras, "none"))
    for seq in range(1, 1 + PROBE_HISTORY):
        for camera in cameras:
            sink.write(web_view(seq, camera, (8, 8)))
    held = [camera for camera in cameras if flow.probe(camera, 0, 0, 0)]
    assert held == cameras[: MAX_FROZEN_BYTES // (4 * size[0] * size[1])]
