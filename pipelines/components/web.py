"""A web server beside a pipeline: views go in on a stage's thread, the page is served on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

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
    """What a pipeline feeds and reads; ``serving`` shows it.

    Opens nothing. Raises UnknownModel for a network of ``settings.models`` that there is not, and SettingsError for one
    that cannot be run as ``model`` says and for an address that is none.
    """

    def __init__(
        self, settings: WebSettings, model: ModelSettings, cameras: Sequence[str], controls: ViewControls
    ) -> None:
        from stream.web.address import Address
        from stream.web.depth_api.routes import ImageService

        Address.parse(settings.address)  # now: not when the cameras run
        self.settings, self.controls = settings, controls
        self.sink = WebSink(cameras)
        self._networks = ImageNetworks(model, settings.models or (model.name,)) if settings.images else None
        self.images = (
            ImageService(self._networks, self._networks.names, settings, paint=paint_alone) if self._networks else None
        )

    @contextmanager
    def serving(self, pipe: Pipeline) -> Iterator[str]:
        """The page, from before ``pipe`` starts until after it has ended; gives its address, with the token if any.

        Raises SettingsError for an address that is none, and SinkError where nobody can listen.
        """
        from stream.web.app import build_app
        from stream.web.server import WebServer
        from stream.web.services import Parts

        if self.images:
            pipe.add_statistics("images", partial(_asked, self.images))
        required = stages_of(pipe)
        app = build_app(Parts(self.sink, self.controls, pipe.stats, required, self.images, self.settings))
        with ExitStack() as stack:
            if self._networks and self.images:
                stack.enter_context(closing(self._networks))
                stack.enter_context(self.images)
            yield stack.enter_context(WebServer(app, self.settings)).url


def _asked(images: ImageService) -> Mapping[str, float]:
    """For a pipeline's table: what became of the requests; /metrics has the rest."""
    counts = images.counts()
    return {name: counts[name] for name in ("miss", "hit", "shared", "busy", "refused")}


def stages_of(pipe: Pipeline) -> tuple[str, ...]:
    """The stages without which nothing is shown; cameras come and go, and have a health of their own."""
    return tuple(stage.name for stage in pipe.stats().stages if not stage.name.startswith("capture"))


def paint_alone(depth_map: DepthMap, colormap: str) -> View:
    """Over the range of this one image, whatever the cameras' is."""
    return Painter(RenderSettings(), ViewControls(colormap))(depth_map)


class ImageNetworks:
    """Networks for images that people send, each loaded when it is first asked for.

    They are not the cameras' network, even where the name is the same. An estimator may be called by several threads,
    but an image of a new shape is compiled while every other call waits, and a ninth shape drops the first one (the
    cameras'): a stranger's images would halt the cameras.
    """

    def __init__(self, model: ModelSettings, names: Sequence[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._networks = {name: _Network(estimator_for(_settings(model, name))) for name in self.names}

    def __call__(self, name: str, image: Image) -> DepthMap:
        """Depth of one image, (H, W, 3) uint8 BGR; called by any thread. KeyError for a name that is not here.

        Raises ImageError, and WeightsError and EngineError of a network that cannot be loaded or run.
        """
        return self._networks[name].estimate(image)

    def settings_of(self, name: str) -> ModelSettings:
        """How the network ``name`` is run."""
        return self._networks[name].settings

    def close(self) -> None:
        """Let go of what was loaded; the next image loads it again."""
        for network in self._networks.values():
            network.close()


class _Network:
    """As many images at a time as gain by it: a GPU's estimator has room for few."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._places = threading.BoundedSemaphore(estimator.lanes)
        self._lock, self._loaded = threading.Lock(), False

    def estimate(self, image: Image) -> DepthMap:
        with self._lock:
            if not self._loaded:
                self._estimator.load()
                self._loaded = True
        with self._places:
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
    """``model`` for another network: what only fits the first one is left to the other one itself."""
    return model if name == model.name else model.model_copy(update={"name": name, "side": None})
