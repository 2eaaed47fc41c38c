"""An RTSP camera for tests and for people; docs/how-to/rigs.md says how to use it.

    with RtspCamera({"/cam": Clip.test_pattern()}) as camera:
        watch(camera.url("/cam"))

``python -m tests.rigs.rtsp_camera --help`` runs it as a program.
"""

from __future__ import annotations

import sys

from pipelines.drill.camera.camera import RtspCamera
from pipelines.drill.camera.clip import Clip
from pipelines.drill.camera.feed import Sent
from pipelines.drill.camera.numbered import read_number

__all__ = ["Clip", "RtspCamera", "Sent", "read_number"]

if __name__ == "__main__":
    from pipelines.drill.camera.console import main

    sys.exit(main())
