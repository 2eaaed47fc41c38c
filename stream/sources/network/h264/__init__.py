"""What H.264 (ITU-T H.264, ISO/IEC 14496-10) says about a stream before it is decoded: image size, rate, losses."""

from stream.sources.network.h264.continuity import Continuity, GapDetector
from stream.sources.network.h264.parameter_sets import Sps, first_sps, frame_rate, image_size

__all__ = ["Continuity", "GapDetector", "Sps", "first_sps", "frame_rate", "image_size"]
