"""From a URL to a camera that is ready to play: OPTIONS, DESCRIBE with its redirects, SETUP, PLAY."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from urllib.parse import urljoin

from stream.core.clock import Deadline
from stream.errors import SourceError
from stream.frames import Size
from stream.settings import NetworkCamera
from stream.sources.network.errors import TransportRefused, no_video
from stream.sources.network.h264 import image_size
from stream.sources.network.rtsp import sdp
from stream.sources.network.rtsp.address import Address, BadAddress
from stream.sources.network.rtsp.connection import Connection, Resolving
from stream.sources.network.rtsp.dialogue import Dialogue
from stream.sources.network.rtsp.errors import Blame
from stream.sources.network.rtsp.messages import Message, ProtocolError
from stream.sources.network.rtsp.sdp import Description, Track
from stream.sources.network.rtsp.transport import Ports, interleaved_wish, parse_transport
from stream.sources.network.trust import BadAuthority
from stream.sources.network.url import CameraUrl

T = TypeVar("T")

MOST_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 305, 307, 308)
LEAVING_S = 0.1
USUAL_TIMEOUT_S = 60.0
SHORTEST_TIMEOUT_S = 1.0
"""A session's time-out, seconds: what RFC 2326 (12.37) says where the camera says nothing, and the least believed."""


@dataclass
class Described:
    """A camera that described its stream, on an open connection."""

    address: Address
    connection: Connection
    dialogue: Dialogue
    blame: Blame
    description: Description
    base: str
    """The URL to which control attributes are relative."""
    methods: frozenset[str]
    """Those that the camera says it knows; empty if it says nothing."""

    @property
    def session_uri(self) -> str:
        """The URL of the whole session, for PLAY and TEARDOWN."""
        return sdp.resolve(self.base, self.description.control)


@dataclass
class Playing:
    """A session whose track is set up."""

    described: Described
    track: Track
    ports: Ports | None
    """None: packets come inside the connection."""
    channels: tuple[int, int]
    timeout_s: float
    """The camera ends the session after so long without a request."""


class Opening:
    """Opens one camera; every step shares one deadline. Errors: AccessDenied, SourceError, UnsupportedCodec."""

    def __init__(self, settings: NetworkCamera, url: CameraUrl) -> None:
        self._settings, self._url = settings, url
        self._deadline = Deadline.after(settings.open_s)
        self._blame = Blame(url, settings.open_s)

    def describe(self) -> Described:
        """Connect and follow redirects up to the description of the stream."""
        try:
            address = Address.parse(self._url.full)
        except BadAddress as error:
            raise self._blame.opening(f"{error}; check the address") from None
        seen = [address]
        while True:
            found = self._guarded(partial(self._describe_at, address))
            if isinstance(found, Described):
                return found
            address = self._next(found, seen)
            seen.append(address)
            self._blame.turn_to(address)

    def set_up(self, described: Described, track: Track) -> Playing:
        """Choose the transport. ``prefer_tcp``: UDP only if the camera refuses TCP."""
        wishes = ("tcp", "udp") if self._settings.transport == "prefer_tcp" else (self._settings.transport,)

        def try_each() -> Playing:
            for wish in wishes:
                try:
                    return self._set_up(described, track, is_tcp=wish == "tcp")
                except TransportRefused:
                    if wish == wishes[-1]:
                        raise
            raise AssertionError

        return self._closing(described, try_each)

    def play(self, playing: Playing) -> None:
        """Let the images come."""
        described = playing.described

        def start() -> None:
            message = described.dialogue.ask("PLAY", described.session_uri, self._deadline, {"Range": "npt=0.000-"})
            self._check(message, "PLAY")

        try:
            self._guarded(start)
        except SourceError:
            # A session that is left open would count as a viewer until it times out.
            with suppress(OSError, ValueError):
                described.dialogue.send("TEARDOWN", described.session_uri, Deadline.after(LEAVING_S))
            described.connection.close()
            if playing.ports is not None:
                playing.ports.close()
            raise

    def choose(self, described: Described) -> Track:
        """The track that the settings name; raises SourceError and UnsupportedCodec, and closes the connection then."""

        def chosen() -> Track:
            track = self._chosen(described.description)
            if track.codec is None:
                name = track.encoding or f"payload type {track.payload_type}"
                raise self._blame.unsupported(f"its codec {name[:40]} is not H.264, H.265 or JPEG, which are read here")
            if track.format.get("packetization-mode") == "2" and track.codec == "h264":
                raise self._blame.unsupported("it sends H.264 in interleaved mode (packetization-mode 2)")
            return track

        return self._closing(described, chosen)

    def _closing(self, described: Described, work: Callable[[], T]) -> T:
        try:
            return self._guarded(work)
        except SourceError:
            described.connection.close()
            raise

    def _guarded(self, work: Callable[[], T]) -> T:
        """Run ``work``; everything that a network or a peer can do becomes one of our errors."""
        try:
            return work()
        except ssl.SSLError as error:
            raise self._blame.tls(error) from None
        except EOFError:
            raise self._blame.hung_up() from None
        except ProtocolError as error:
            raise self._blame.not_rtsp(str(error)) from None
        except (Resolving, BadAuthority) as error:
            raise self._blame.opening(str(error)) from None
        except OSError as error:
            raise self._blame.system(error) from None
        except ValueError as error:  # a URL or a host name that Python refuses
            raise self._blame.opening(f"what the camera names makes no sense: {error}; check the camera") from None

    def _describe_at(self, address: Address) -> Described | str:
        """The description, or the place that the camera redirects to."""
        connection = Connection.open(address, self._settings, self._deadline)
        try:
            dialogue = Dialogue(connection, address, self._blame)
            options = dialogue.ask("OPTIONS", address.uri, self._deadline)
            place = _redirected(options)
            if place is None:
                described = dialogue.ask("DESCRIBE", address.uri, self._deadline, {"Accept": "application/sdp"})
                place = _redirected(described)
            if place is not None:
                connection.close()
                return place
            return self._read(address, connection, dialogue, options, described)
        except BaseException:
            connection.close()
            raise

    def _read(
        self, address: Address, connection: Connection, dialogue: Dialogue, options: Message, message: Message
    ) -> Described:
        self._check(message, "DESCRIBE")
        description = sdp.parse(message.body)
        if not description.videos:
            raise no_video(self._url, description.kinds)
        base = message.get("content-base") or message.get("content-location") or address.uri
        base = urljoin(address.uri, base) if "://" not in base else base
        methods = frozenset(word.strip().upper() for word in options.get("public").split(",") if word.strip())
        return Described(address, connection, dialogue, self._blame, description, _printable(base), methods)

    def _next(self, place: str, seen: list[Address]) -> Address:
        """Where a redirect leads. Credentials go along only to the same host, and not from TLS to plain text."""
        here = seen[-1]
        try:
            there = Address.parse(urljoin(here.uri, place) if "://" not in place else place)
        except ValueError as error:  # BadAddress, or urljoin's
            raise self._blame.opening(f"the camera redirects to nowhere: {error}; check the camera") from None
        if any(there.is_same_endpoint(address) for address in seen):
            raise self._blame.opening("the camera redirects in a circle; check the path, and the camera's settings")
        if len(seen) > MOST_REDIRECTS:
            raise self._blame.opening(f"the camera redirects more than {MOST_REDIRECTS} times; check its settings")
        keeps = there.user is None and there.host.lower() == here.host.lower() and there.is_secure >= here.is_secure
        return replace(there, user=here.user, password=here.password) if keeps else there

    def _set_up(self, described: Described, track: Track, *, is_tcp: bool) -> Playing:
        connection = described.connection
        ports = None if is_tcp else Ports(connection.own_host, connection.family)
        try:
            wish = interleaved_wish() if ports is None else ports.wish
            uri = _printable(sdp.resolve(described.base, track.control))
            message = described.dialogue.ask("SETUP", uri, self._deadline, {"Transport": wish})
            self._check(message, "SETUP")
            granted = parse_transport(message.get("transport"))
            if ("TCP" in granted.protocol) != is_tcp and granted.protocol:
                raise self._blame.transport_refused()
            if ports is not None:
                ports.expect(granted, connection.peer_host)
        except BaseException:
            if ports is not None:
                ports.close()
            raise
        described.dialogue.session, timeout_s = _session(message.get("session"))
        return Playing(described, track, ports, granted.channels or (0, 1), timeout_s)

    def _chosen(self, description: Description) -> Track:
        videos, wish = description.videos, self._settings.track
        if wish.isdigit():
            if int(wish) >= len(videos):
                raise self._no_track(f"there are {len(videos)}, from 0 on")
            return videos[int(wish)]
        sized = [(size, track) for track in videos if (size := size_of(track)) is not None]
        if wish == "first" or (wish in ("largest", "smallest") and len(videos) == 1):
            return videos[0]
        if wish in ("largest", "smallest"):
            if len(sized) < len(videos):
                raise self._no_track("the camera does not state the sizes; give the track's number")
            order = sorted(sized, key=lambda entry: entry[0].height * entry[0].width)
            return order[-1 if wish == "largest" else 0][1]
        for size, track in sized:
            if str(size) == wish:
                return track
        known = ", ".join(str(size) for size, _ in sized) or "no sizes"
        raise self._no_track(f"the camera states {known}; give the track's number from 0 on")

    def _no_track(self, reason: str) -> SourceError:
        return self._blame.opening(f'no video track "{self._settings.track}": {reason}')

    def _check(self, message: Message, method: str) -> None:
        if not 200 <= message.status < 300:
            raise self._blame.status(message.status, message.reason, method)


def size_of(track: Track) -> Size | None:
    """The image size that the description states; None if it states none."""
    if track.size is not None or track.codec != "h264":
        return track.size
    with suppress(Exception):
        return image_size(track.extradata)
    return None


def _redirected(message: Message) -> str | None:
    place = message.get("location")
    return place if message.status in REDIRECTS and place else None


def _session(header: str) -> tuple[str, float]:
    """The session's name and time-out, seconds: ``Session: 12345678;timeout=60``."""
    name, _, options = header.partition(";")
    _, _, text = options.partition("timeout=")
    digits = text.split(";")[0].strip()
    given = float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 7 else 0.0
    return _printable(name.strip())[:1000], max(given, SHORTEST_TIMEOUT_S) if given else USUAL_TIMEOUT_S


def _printable(text: str) -> str:
    """Without what could end a line of a request."""
    return "".join(character for character in text if character.isprintable())
