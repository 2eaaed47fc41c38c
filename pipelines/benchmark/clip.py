"""The clip that benchmarks read: made on the spot, the same everywhere."""

from __future__ import annotations

from pathlib import Path

FPS = 25
WIDTH, HEIGHT = 640, 480


def make_clip(path: Path, frames: int) -> Path:
    """An H.264 mp4 of FFmpeg's moving test pattern, 640x480 at 25 fps."""
    import av

    pattern = av.open(f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FPS}", format="lavfi")
    with pattern, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _, frame in zip(range(frames), pattern.decode(video=0), strict=False):
            frame.pict_type = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
