"""Each network's declared input spec is the rule that preprocessing is tested with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.models.depth_anything import DEPTH_ANYTHING as DEPTH_ANYTHING_MODELS
from stream.models.depth_pro import DEPTH_PRO
from stream.models.efficientvit_sam import EFFICIENTVIT_SAM
from stream.models.metric3d import METRIC3D as METRIC3D_MODELS
from stream.models.midas_small import MIDAS_SMALL
from tests.preprocess.official import DEPTH_ANYTHING, METRIC3D, MIDAS, depth_pro_spec, sam_spec

SIDES = {"l0": 512, "l1": 512, "l2": 512, "xl0": 1024, "xl1": 1024}
STATED = {
    "midas_small": (MIDAS_SMALL.spec, MIDAS),
    **{model.name: (model.spec, DEPTH_ANYTHING) for model in DEPTH_ANYTHING_MODELS if "_v2_" in model.name},
    **{
        model.name: (model.spec, replace(DEPTH_ANYTHING, restore="linear"))
        for model in DEPTH_ANYTHING_MODELS
        if "_v1_" in model.name
    },
    **{model.name: (model.spec, METRIC3D) for model in METRIC3D_MODELS},
    "depth_pro": (DEPTH_PRO.spec, depth_pro_spec(1536)),
    **{model.name: (model.spec, sam_spec(SIDES[model.name.split("_")[-1]])) for model in EFFICIENTVIT_SAM},
}


@pytest.mark.parametrize("name", STATED)
def test_a_network_states_its_authors_rule(name: str) -> None:
    """Size, place, border, filters both ways and normalisation: all of it."""
    stated, tested = STATED[name]
    assert stated == tested
