"""An RTSP camera for tests and for people; docs/how-to/rigs.md says how to use it.

    with RtspCamera({"/cam": Clip.test_pattern()}) as camera:
        watch(camera.url("/cam"))

``python -m tests.rigs.rtsp_camera --help`` runs it as a program.
"""

from __future__ import annotations

import sys

from tests.rigs.rtsp.camera import RtspCamera
from tests.rigs.rtsp.clip import Clip
from tests.rigs.rtsp.feed import Sent
from tests.rigs.rtsp.numbered import read_number

__all__ = ["Clip", "RtspCamera", "Sent", "read_number"]

if __name__ == "__main__":
    from tests.rigs.rtsp.console import main

    sys.exit(main())
