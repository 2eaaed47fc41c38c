"""What can go wrong, in one tree. Every message is written for the person at the keyboard.

DepthStreamError
├── UsageError              exit status 2: the request itself is wrong; nothing was started
│   ├── SettingsError       a config file or --set that does not make sense
│   ├── UnknownModel        no network of that name (the near one is named)
│   └── MissingPackage      an optional package is not installed
├── SourceError             a camera, file or folder could not be opened or ended badly
│   ├── SourceStalled       a live camera gave no image for longer than it may
│   └── AccessDenied        a camera refused the user name or the password
├── ImageError            an image that no depth network can take (too small, too large, not 8-bit BGR)
├── BoxError                a box that is not in its image, empty or no number
├── SinkError               the output could not be written
├── WireError               bytes that are no message of ours, or something that does not fit into one
├── StaleFrame              the newest depth frame is older than the reader accepts
├── WeightsError            weights are missing, damaged or do not fit the network
│   └── DownloadError       fetching weights failed
├── EngineError             a network could not be compiled or run
│   └── OutOfDeviceMemory   the device has no room for a batch of this size
└── StageError              a stage of a pipeline failed (its cause is kept) or would not stop
"""

from __future__ import annotations


class DepthStreamError(Exception):
    """Base of all our errors: one line that says what was tried, with which value, and what to do next."""

    exit_status = 1


class UsageError(DepthStreamError):
    """The request is wrong and nothing was started."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting is unknown, has the wrong type or contradicts another."""


class UnknownModel(UsageError):
    """No network has this name."""


class MissingPackage(UsageError):
    """A feature needs a package that is not installed."""


class SourceError(DepthStreamError):
    """A source could not be opened, or ended otherwise than it should."""


class SourceStalled(SourceError):
    """A live camera is connected, or was, and gives no image."""


class AccessDenied(SourceError):
    """The camera wants another user name or password; asking often may lock the account."""


class ImageError(DepthStreamError):
    """An image that no depth network can take."""


class BoxError(DepthStreamError):
    """A box is not in its image, empty, or not made of numbers."""


class SinkError(DepthStreamError):
    """Results could not be written."""


class WireError(DepthStreamError):
    """Bytes that are not a message of ours, or values that no message can carry."""


class StaleFrame(DepthStreamError):
    """There is no depth frame that is fresh enough to act on."""


class WeightsError(DepthStreamError):
    """Weights are missing, damaged or made for another network."""


class DownloadError(WeightsError):
    """Weights could not be fetched."""


class EngineError(DepthStreamError):
    """A network could not be compiled or run."""


class OutOfDeviceMemory(EngineError):
    """A batch does not fit into the device's memory; a smaller one may."""


class StageError(DepthStreamError):
    """A stage failed (see ``__cause__``) or was still running when the time to stop was over."""


def first_line(error: BaseException) -> str:
    """What ``error`` says first, for a line of our own; its type where it says nothing."""
    return next((line for line in map(str.strip, str(error).splitlines()) if line), type(error).__name__)
