"""Weights with a restrictive licence are downloaded only after the user has accepted it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.models.base import DepthModel, HasWeights
from stream.models.cache import acceptance_path
from stream.models.catalog import MODELS, SEGMENTERS
from stream.models.download.fetch import pull
from stream.models.download.licences import UNKNOWN_TERMS, accepted_at, allows_commercial_use, terms_of

Offer = Callable[..., DepthModel]
NON_COMMERCIAL = {"licence": "CC-BY-NC-4.0", "requires_acceptance": True}


def refused(model: DepthModel) -> str:
    with pytest.raises(UsageError) as caught:
        pull(model)
    return str(caught.value)


def test_nothing_is_fetched_before_the_licence_is_accepted(offered: Offer, site, cache: Path) -> None:
    """One line names the licence, what it forbids, its text and the flag; the server gets no request."""
    message = refused(offered(**NON_COMMERCIAL))
    for words in ("tiny", "CC-BY-NC-4.0", "forbids commercial use", "creativecommons.org", "--accept-licence"):
        assert words in message
    assert "\n" not in message
    assert not site.asked
    assert not cache.exists()


def test_an_accepted_licence_is_remembered(offered: Offer, site, cache: Path) -> None:
    """It is recorded next to the file, with the time; the next pull needs no flag."""
    model, before = offered(**NON_COMMERCIAL), datetime.now(UTC) - timedelta(seconds=1)
    path = pull(model, accept_licence=True)
    note = json.loads((cache / "weights" / "tiny.pt.licence.json").read_text())
    assert note["licence"] == "CC-BY-NC-4.0"
    assert before <= datetime.fromisoformat(note["accepted"]) <= datetime.now(UTC)
    path.unlink()
    assert pull(model).read_bytes() == site.content


def test_a_licence_stays_accepted_when_the_download_fails(offered: Offer, site) -> None:
    """The same command needs no flag the second time."""
    site.status = 500
    with pytest.raises(Exception, match="answered 500"):
        pull(offered(**NON_COMMERCIAL), accept_licence=True)
    site.status = None
    pull(offered(**NON_COMMERCIAL))


def test_another_licence_must_be_accepted_anew(offered: Offer) -> None:
    """What was accepted is a licence, not a file name."""
    pull(offered(**NON_COMMERCIAL), accept_licence=True).unlink()
    assert "apple-ascl" in refused(offered(licence="apple-ascl", requires_acceptance=True))


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"licence": "CC-BY-NC-4.0"}', '"CC-BY-NC-4.0"', "\ud800"])
def test_a_note_that_says_nothing_accepts_nothing(offered: Offer, note: str) -> None:
    """An empty or damaged one."""
    model = offered(**NON_COMMERCIAL)
    acceptance_path(model).parent.mkdir(parents=True)
    acceptance_path(model).write_bytes(note.encode("utf-8", "surrogatepass"))
    assert accepted_at(model) is None
    refused(model)


def test_weights_that_are_here_are_not_asked_about(offered: Offer, site, cache: Path) -> None:
    """The user has put them there by hand."""
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt").write_bytes(site.content)
    assert pull(offered(**NON_COMMERCIAL)).read_bytes() == site.content


def test_a_free_licence_is_neither_asked_about_nor_remembered(offered: Offer, cache: Path) -> None:
    """With the flag or without."""
    pull(offered(), accept_licence=True)
    assert not acceptance_path(offered()).exists()


@pytest.mark.parametrize("model", [*MODELS, *SEGMENTERS], ids=lambda model: model.name)
def test_every_licence_that_must_be_accepted_is_explained(model: HasWeights) -> None:
    """We know what it forbids; and what forbids commerce must be accepted."""
    if model.weights.requires_acceptance:
        assert terms_of(model.weights.licence) is not UNKNOWN_TERMS
    assert allows_commercial_use(model) or model.weights.requires_acceptance


def test_an_unknown_licence_forbids_something() -> None:
    """An unknown licence that must be accepted does not count as a free one."""
    assert terms_of("Unheard-of-1.0").forbids == "some uses"
    assert not terms_of("CC-BY-NC-4.0").commercial
    assert terms_of("Apache-2.0").commercial
    assert terms_of("apple-ascl").url


@pytest.mark.parametrize("model", [*MODELS, *SEGMENTERS], ids=lambda model: model.name)
def test_the_documentation_names_every_file_and_its_licence(model: HasWeights) -> None:
    """One row for each network in docs/reference/models/index.md, with its hash's state and its restrictions."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "models" / "index.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if row[0] == model.name]
    weights, mark = model.weights, "" if allows_commercial_use(model) else " *"
    assert row[1].split()[0] == weights.filename
    assert row[4].startswith("yes" if weights.sha256 else "no")
    assert row[5] == weights.licence + (mark or " +" if weights.requires_acceptance else "")
    if weights.size_bytes:
        assert abs(float(row[3]) - weights.size_bytes / 1e6) < 1
