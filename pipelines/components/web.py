"""A web server for a pipeline: a stage's thread delivers views, the server's own threads serve the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pipelines.components.live_cameras import CameraPipeline
from stream.core.clock import Stamp
from stream.core.view_controls import ViewControls
from stream.frames import DepthMap, Frame, Image, View
from stream.inference.estimator import Estimator
from stream.inference.open import estimator_for
from stream.runtime.pipeline import Pipeline
from stream.settings import ModelSettings, RenderSettings, WebSettings
from stream.stages.render import Painter
from stream.web.live.hub import WebSink

if TYPE_CHECKING:
    from stream.web.depth_api.routes import ImageService


class Web:
    """The part of the web server that a pipeline needs; ``serving`` opens it.

    Raises UnknownModel for an unknown network in ``settings.models``, and SettingsError for a network that cannot run
    with the settings ``model`` and for an invalid address.
    """

    def __init__(
        self, settings: WebSettings, model: ModelSettings, cameras: Sequence[str], controls: ViewControls
    ) -> None:
        from stream.web.address import Address
        from stream.web.depth_api.routes import ImageService

        Address.parse(settings.address)  # fail now rather than when the cameras run
        self.settings, self.controls = settings, controls
        self.sink = WebSink(cameras)
        self._networks = ImageNetworks(model, settings.models or (model.name,)) if settings.images else None
        self.images = (
            ImageService(self._networks, self._networks.names, settings, paint=paint_single) if self._networks else None
        )

    def follow(self, pipe: CameraPipeline) -> None:
        """Show cameras that come, and no longer show those that go."""

        def removed(name: str) -> None:
            self.sink.remove(name)
            self.controls.release(name)

        pipe.on_cameras(lambda camera: self.sink.announce(camera.name), removed)

    @contextmanager
    def serving(self, pipe: Pipeline) -> Iterator[str]:
        """Serve the page; yields its URL, with the token if there is one. Enter before ``pipe`` starts.

        Raises SettingsError for an invalid address, and SinkError if the server cannot listen on it.
        """
        from stream.web.app import build_app
        from stream.web.server import WebServer
        from stream.web.services import Services

        if self.images:
            pipe.add_statistics("images", partial(_request_counts, self.images))
        required = required_stages(pipe)
        app = build_app(Services(self.sink, self.controls, pipe.stats, required, self.images, self.settings))
        # Left in reverse: first the server, then the service's threads, last the networks that they use.
        with ExitStack() as stack:
            if self._networks and self.images:
                stack.enter_context(closing(self._networks))
                stack.enter_context(self.images)
            yield stack.enter_context(WebServer(app, self.settings)).url


def _request_counts(images: ImageService) -> Mapping[str, float]:
    """For a pipeline's table: results of the requests; /metrics has further counters."""
    counts = images.counts()
    return {name: counts[name] for name in ("miss", "hit", "shared", "busy", "refused")}


def required_stages(pipe: Pipeline) -> tuple[str, ...]:
    """The stages that must be open before the page can show anything; all but the cameras, which may be missing."""
    return tuple(stage.name for stage in pipe.stats().stages if not stage.name.startswith("capture"))


def paint_single(depth_map: DepthMap, colormap: str) -> View:
    """Paint one image over its own depth range, independent of the cameras' ranges."""
    return Painter(RenderSettings(), ViewControls(colormap))(depth_map)


class ImageNetworks:
    """Networks for uploaded images, each loaded on first use.

    They are separate from the cameras' network, even if the name is the same. An estimator may be called by several
    threads, but compiling for an image of a new shape blocks all other calls, and a ninth shape evicts the first one
    (the cameras'): uploads would halt the cameras.
    """

    def __init__(self, model: ModelSettings, names: Sequence[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._networks = {name: _Network(estimator_for(_settings(model, name))) for name in self.names}

    def __call__(self, name: str, image: Image) -> DepthMap:
        """Depth of one image, (H, W, 3) uint8 BGR; any thread may call it.

        Raises KeyError for a name that is not in ``names``, ImageError for an unusable image, and WeightsError or
        EngineError if the network cannot be loaded or run.
        """
        return self._networks[name].estimate(image)

    def settings_of(self, name: str) -> ModelSettings:
        """The settings of the network ``name``."""
        return self._networks[name].settings

    def close(self) -> None:
        """Free the loaded networks; the next image loads one again."""
        for network in self._networks.values():
            network.close()


class _Network:
    """One network, loaded on first use.

    Runs at most ``lanes`` images at a time: more gain nothing, and a GPU's estimator has room for few.
    """

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._lanes = threading.BoundedSemaphore(estimator.lanes)
        self._lock, self._loaded = threading.Lock(), False

    def estimate(self, image: Image) -> DepthMap:
        with self._lock:
            if not self._loaded:  # under the lock, or two first images would load it twice
                self._estimator.load()
                self._loaded = True
        with self._lanes:
            (batch,) = self._estimator.batches([Frame(image, "image", 0, Stamp.now())])
            return self._estimator.estimate(batch)[0]

    @property
    def settings(self) -> ModelSettings:
        return self._estimator.settings

    def close(self) -> None:
        with self._lock:
            self._estimator.close()
            self._loaded = False


def _settings(model: ModelSettings, name: str) -> ModelSettings:
    """``model`` for the network ``name``; the input size of another network is left at its own default."""
    return model if name == model.name else model.model_copy(update={"name": name, "side": None})
