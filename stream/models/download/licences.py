"""Licences that forbid something: what they forbid, who accepted them, and when.

The table is a reading aid for the person who decides; what holds is the licence's own text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from stream.errors import UsageError
from stream.models.base import Trained
from stream.models.cache import acceptance_path


@dataclass(frozen=True, slots=True)
class Terms:
    """What somebody must know of a licence before it binds them."""

    forbids: str
    """In a few words, to follow "which forbids"."""
    url: str | None
    """Its text."""
    commercial: bool = True
    """False: no commercial use."""


TERMS: Mapping[str, Terms] = {
    "CC-BY-NC-4.0": Terms("commercial use", "https://creativecommons.org/licenses/by-nc/4.0/", commercial=False),
    "Apple": Terms(
        "what it does not grant, patents above all, and advertising with Apple's name",
        "https://github.com/apple/ml-depth-pro/blob/main/LICENSE",
    ),
}
"""By the beginning of the licence's name."""
UNKNOWN = Terms("some uses", None)


def terms_of(licence: str) -> Terms:
    """What the licence of that name forbids; of one that we do not know, that it forbids something."""
    return next((terms for name, terms in TERMS.items() if licence.lower().startswith(name.lower())), UNKNOWN)


def for_commerce(model: Trained) -> bool:
    """Whether the model's weights may be used commercially, as far as we know."""
    return terms_of(model.weights.licence).commercial


def accepted_at(model: Trained) -> str | None:
    """When the licence of the model's weights was accepted on this machine (ISO 8601, UTC); None: it was not."""
    try:
        note = json.loads(acceptance_path(model).read_text(encoding="utf-8"))
        return str(note["accepted"]) if note["licence"] == model.weights.licence else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def accept(model: Trained) -> None:
    """Remember, beside the weights, that their licence was accepted. Raises OSError."""
    path = acceptance_path(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    note = {"licence": model.weights.licence, "accepted": datetime.now(UTC).isoformat(timespec="seconds")}
    path.write_text(json.dumps(note), encoding="utf-8")


def check_accepted(model: Trained) -> None:
    """Raises UsageError naming the licence and what it forbids, if it must be accepted and nobody did."""
    licence = model.weights.licence
    if not model.weights.must_accept or accepted_at(model):
        return
    terms = terms_of(licence)
    where = f" ({terms.url})" if terms.url else ""
    raise UsageError(
        f"{model.name}: its weights are under {licence}, which forbids {terms.forbids}{where}; if you accept that, "
        f"run: depthstream models pull {model.name} --accept-licence"
    )
