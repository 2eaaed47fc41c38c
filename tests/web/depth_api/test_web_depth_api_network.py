"""The image service in front of a real network."""

from __future__ import annotations

import io

import numpy as np
import pytest
from depth_api_rig import encoded, serving

from stream.frames import DepthMap, Image
from stream.inference.cpu_estimator import CpuEstimator
from stream.settings import ModelSettings


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_posted_image_gets_the_networks_depth() -> None:
    """To the last bit, in the network's own words; its kind goes with it."""
    image = np.tile(np.arange(96, dtype=np.uint8)[:, None, None] * 2, (1, 128, 3))
    with CpuEstimator(ModelSettings(name="tiny", threads=1)) as tiny:

        def estimate(model: str, image: Image) -> DepthMap:
            assert model == "tiny"
            return tiny(image)

        expected = tiny(image)
        with serving(estimate, ("tiny",)) as client:
            reply = client.post(encoded(image), output="npy")
            about = client.post(encoded(image), output="json").data
    np.testing.assert_array_equal(np.load(io.BytesIO(reply.body)), expected.depth)
    assert reply.headers["x-depth-kind"] == expected.kind
    assert (about["model"], about["kind"], about["unit"]) == ("tiny", expected.kind, expected.unit)
    assert about["median"] == pytest.approx(float(np.median(expected.depth)))
    assert about["ms"] > 0
