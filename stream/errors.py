"""The tree of our errors. Every message is written for the person at the keyboard.

DepthStreamError
├── UsageError              exit status 2: the request itself is wrong, and nothing was started
│   ├── SettingsError       a config file or --set that does not make sense
│   ├── UnknownModel        no network has that name (the message suggests a similar one)
│   └── MissingPackage      an optional package is not installed
├── SourceError             a camera, file or folder could not be opened, or ended unexpectedly
│   ├── SourceStalled       a live camera delivered no image within its time limit
│   ├── SourceBehind        a live camera's images come later and later; a new connection starts at the newest one
│   └── AccessDenied        a camera refused the user name or the password
├── ImageError              an image that no depth network can take (too small, too large, not 8-bit BGR)
├── BoxError                a box that is outside its image, empty or not made of numbers
├── SinkError               the output could not be written
├── WireError               bytes that are not one of our messages, or values that no message can carry
├── StaleFrame              the newest depth frame is older than the reader accepts
├── WeightsError            weights are missing, damaged or do not fit the network
│   └── DownloadError       weights could not be downloaded
├── EngineError             a network could not be compiled or run
│   └── OutOfDeviceMemory   the device has no room for a batch of this size
└── StageError              a stage of a pipeline failed (its cause is kept) or did not stop

    >>> from stream import DepthStreamError, open_model
    >>> try:
    ...     open_model("tinny")
    ... except DepthStreamError as error:
    ...     print(error)
    no model "tinny"; did you mean "tiny"?
"""

from __future__ import annotations


class DepthStreamError(Exception):
    """Base of all our errors: one line that says what was tried, with which value, and what to do next."""

    exit_status = 1
    """Exit status of a command that ends with this error."""


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
    """A source could not be opened, or ended unexpectedly."""


class SourceStalled(SourceError):
    """A live camera delivered no image within its time limit."""


class SourceBehind(SourceError):
    """A live camera's images arrive with a growing delay; a new connection starts with the newest image."""


class AccessDenied(SourceError):
    """The camera refused the user name or password; repeated tries may lock the account."""


class ImageError(DepthStreamError):
    """An image does not suit any depth network: too small, too large, or not 8-bit BGR."""


class BoxError(DepthStreamError):
    """A box is outside its image, empty, or not made of numbers."""


class SinkError(DepthStreamError):
    """Results could not be written."""


class WireError(DepthStreamError):
    """Bytes are not one of our messages, or values do not fit into one."""


class StaleFrame(DepthStreamError):
    """The newest depth frame is older than the reader accepts."""


class WeightsError(DepthStreamError):
    """Weights are missing, damaged or made for another network."""


class DownloadError(WeightsError):
    """Weights could not be downloaded."""


class EngineError(DepthStreamError):
    """A network could not be compiled or run."""


class OutOfDeviceMemory(EngineError):
    """A batch does not fit into the device's memory; a smaller one may fit."""


class StageError(DepthStreamError):
    """A stage failed (see ``__cause__``), or was still running when the stop timeout ended."""


def first_line(error: BaseException) -> str:
    """The first non-empty line of the message of ``error``, or the name of its type if it has no message."""
    return next((line for line in map(str.strip, str(error).splitlines()) if line), type(error).__name__)
