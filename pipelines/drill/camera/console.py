"""The camera as a program: it runs until Ctrl-C and reads commands from standard input."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import get_args

from pipelines.drill.camera.auth import Scheme
from pipelines.drill.camera.camera import RtspCamera
from pipelines.drill.camera.clip import Clip
from pipelines.drill.camera.encode import Codec

PATH = "/cam"
CLIP_SECONDS = 8.0
INTERRUPTED = 130
"""The exit status of a program that ended with Ctrl-C."""

HELP = """\
stall, resume            send nothing, go on          refuse, accept     shut and open the port
cut fin, cut rst         end all connections          mute, unmute       answer no request
lose 3, corrupt 3        hit the next packets         jump -2.5          step the camera's clock (seconds)
switch 640x480[@30]      other clip, same codec       codec h265         for new sessions
password NEW             for new sessions             status, help, quit"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    options = _parser().parse_args(arguments)
    user, _, password = options.auth.partition(":")
    (width, height), fps = options.size, options.fps
    clip = Clip.test_pattern(options.codec, width, height, fps, CLIP_SECONDS, options.keyframe_every)
    try:
        with RtspCamera(
            {PATH: clip},
            user=user or None,
            password=password,
            auth=options.scheme,
            host=options.host,
            port=options.port,
        ) as camera:
            _say(f"ready: {camera.url(PATH)}{' (asks for user and password)' if user else ''}; commands: help")
            Console(camera, clip, options.keyframe_every).run()
    except OSError as error:
        _say(f"cannot listen on {options.host} port {options.port}: {error.strerror}; choose another --port")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


class Console:
    """Runs commands, one per line; a wrong one is explained and changes nothing."""

    def __init__(self, camera: RtspCamera, clip: Clip, keyframe_every: int) -> None:
        self._camera, self._clip, self._keyframe_every = camera, clip, keyframe_every
        self._commands: dict[str, Callable[..., None]] = {
            "stall": partial(camera.stall, None),
            "resume": partial(camera.resume, None),
            "cut": self._cut,
            "refuse": partial(camera.refuse, True),
            "accept": partial(camera.refuse, False),
            "mute": partial(camera.mute, True),
            "unmute": partial(camera.mute, False),
            "lose": lambda count="1": camera.lose(int(count)),
            "corrupt": lambda count="1": camera.corrupt(int(count)),
            "jump": lambda seconds: camera.jump_clock(float(seconds)),
            "switch": self._switch,
            "codec": self._change_codec,
            "password": camera.set_password,
            "status": self._status,
            "help": lambda: _say(HELP),
        }

    def run(self) -> None:
        """Run until ``quit``, or, if standard input ends, until Ctrl-C."""
        for line in sys.stdin:
            if line.strip() == "quit":
                return
            self.do(line)
        threading.Event().wait()

    def do(self, line: str) -> None:
        """Run the command of one line."""
        if not (words := line.split()):
            return
        name, *arguments = words
        command = self._commands.get(name)
        if command is None:
            _say(f'no command "{name}"; commands: {", ".join(self._commands)}, quit')
            return
        try:
            signature(command).bind(*arguments)
        except TypeError:
            _say(f"{name} does not take {len(arguments)} values; see help")
            return
        try:
            command(*arguments)
        except ValueError as error:
            _say(f"{name}: {error}; see help")

    def _cut(self, how: str = "fin") -> None:
        if how not in {"fin", "rst"}:
            raise ValueError(f'"{how}" is neither fin nor rst')
        self._camera.cut("rst" if how == "rst" else "fin")

    def _switch(self, wish: str) -> None:
        """Switch to ``640x480`` or ``640x480@30``."""
        size, _, fps = wish.partition("@")
        clip = self._pattern(self._clip.codec, _size(size), float(fps) if fps else self._clip.fps)
        self._camera.switch(PATH, clip)
        self._clip = clip

    def _change_codec(self, name: str) -> None:
        clip = self._pattern(_codec(name), (self._clip.width, self._clip.height), self._clip.fps)
        self._camera.change_codec(PATH, clip)
        self._clip = clip

    def _pattern(self, codec: Codec, size: tuple[int, int], fps: float) -> Clip:
        return Clip.test_pattern(codec, *size, fps, CLIP_SECONDS, self._keyframe_every)

    def _status(self) -> None:
        camera = self._camera
        _say(f"{camera.sessions} sessions, {camera.sent(PATH)} images sent, {len(camera.damaged)} damaged")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rtsp_camera", description="An RTSP camera with a moving, numbered test pattern."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (0.0.0.0: all)")
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--codec", type=_codec, default="h264", help=", ".join(get_args(Codec)))
    parser.add_argument("--size", type=_size, default=(640, 360), metavar="WxH")
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--keyframe-every", type=int, default=25, metavar="IMAGES")
    parser.add_argument("--auth", default="", metavar="USER:PASSWORD")
    parser.add_argument("--scheme", choices=get_args(Scheme), default="digest", help="digest: MD5, as most cameras")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ValueError(f'"{text}" is no size like 640x360')
    return int(width), int(height)


def _codec(text: str) -> Codec:
    for codec in get_args(Codec):
        if codec == text:
            return codec  # type: ignore[no-any-return]
    raise ValueError(f'"{text}" is none of {", ".join(get_args(Codec))}')


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
