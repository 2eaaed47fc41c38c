"""Licences with restrictions: what they forbid, and when the user of this machine accepted them.

The table is only a summary for the person who decides; the licence's own text is binding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from stream.errors import UsageError
from stream.models.base import HasWeights
from stream.models.cache import acceptance_path


@dataclass(frozen=True, slots=True)
class Terms:
    """What a user must know about a licence before accepting it."""

    forbids: str
    """A few words that complete the phrase "which forbids ..."."""
    url: str | None
    """Address of the licence's text."""
    commercial: bool = True
    """False: no commercial use."""


TERMS: Mapping[str, Terms] = {
    "CC-BY-NC-4.0": Terms("commercial use", "https://creativecommons.org/licenses/by-nc/4.0/", commercial=False),
    "Apple": Terms(
        "what it does not grant, patents above all, and advertising with Apple's name",
        "https://github.com/apple/ml-depth-pro/blob/main/LICENSE",
    ),
}
"""By the first letters of the licence's name."""
UNKNOWN_TERMS = Terms("some uses", None)
"""Assumed for a licence that is not in the table."""


def terms_of(licence: str) -> Terms:
    """What the licence of that name forbids; UNKNOWN_TERMS if it is not in the table."""
    return next((terms for name, terms in TERMS.items() if licence.lower().startswith(name.lower())), UNKNOWN_TERMS)


def allows_commercial_use(model: HasWeights) -> bool:
    """True unless the licence of the model's weights is known to forbid commercial use."""
    return terms_of(model.weights.licence).commercial


def accepted_at(model: HasWeights) -> str | None:
    """When the licence of the model's weights was accepted on this machine (ISO 8601, UTC); None: not accepted."""
    try:
        record = json.loads(acceptance_path(model).read_text(encoding="utf-8"))
        return str(record["accepted"]) if record["licence"] == model.weights.licence else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def accept(model: HasWeights) -> None:
    """Record, next to the weights, that their licence was accepted. Raises OSError."""
    path = acceptance_path(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"licence": model.weights.licence, "accepted": datetime.now(UTC).isoformat(timespec="seconds")}
    path.write_text(json.dumps(record), encoding="utf-8")


def check_accepted(model: HasWeights) -> None:
    """Raises UsageError, which names the licence and what it forbids, if it must be accepted and was not."""
    licence = model.weights.licence
    if not model.weights.requires_acceptance or accepted_at(model):
        return
    terms = terms_of(licence)
    where = f" ({terms.url})" if terms.url else ""
    raise UsageError(
        f"{model.name}: its weights are under {licence}, which forbids {terms.forbids}{where}; if you accept that, "
        f"run: depthstream models pull {model.name} --accept-licence"
    )
