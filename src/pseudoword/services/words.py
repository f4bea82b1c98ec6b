"""Which learned words a request may use on a model, and what to tell about the others and about strangers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.embeddings import Provenance
from pseudoword.events import Warned
from pseudoword.generation.infotext import hash_list
from pseudoword.library import Snapshot
from pseudoword.models.protocols import BaseModel
from pseudoword.services.library import misfit_reason

_LEAST_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UsableWords:
    """What the library holds for one model."""

    words: Words
    hashes: Mapping[str, str]
    """Name → short hash of its file."""
    warnings: tuple[Warned, ...] = ()
    trained_on: Mapping[str, str] = field(default_factory=dict[str, str])
    """Words of the prompts that were trained on another checkpoint → `name hash` of that one."""

    def notes(self) -> dict[str, str | None]:
        """For the infotext: A1111 passes over a key that it does not know."""
        return {"TI trained on": hash_list(self.trained_on)}


def usable_words(conditioner: Conditioner, snapshot: Snapshot, prompts: Sequence[str]) -> UsableWords:
    """The words that fit the model. What the prompts name is told of if it does not fit, or if it fits and was
    trained on another checkpoint of the same family: there it often works, and looks different."""
    snapshot = snapshot.for_model(lambda embedding: conditioner.fits(embedding.vectors))
    entries = snapshot.entries.values()
    fitting = {e.embedding.name: e for e in entries if conditioner.fits(e.embedding.vectors)}
    refused = _named(conditioner, prompts, _reasons(conditioner, snapshot, set(fitting)))
    warnings = [f"{name!r} is not used: {reason}" for name, reason in refused.items()]
    strangers = {
        name: entry.embedding.provenance
        for name, entry in fitting.items()
        if is_stranger(entry.embedding.provenance, conditioner.model)
    }
    strangers = _named(conditioner, prompts, strangers)
    warnings += [_stranger_in_words(name, origin, conditioner.model) for name, origin in strangers.items()]
    return UsableWords(
        words={name: entry.embedding.vectors for name, entry in fitting.items()},
        hashes={name: entry.short for name, entry in fitting.items()},
        warnings=tuple(Warned(message=message) for message in warnings),
        trained_on={name: _origin(origin) for name, origin in strangers.items()},
    )


def is_stranger(origin: Provenance, model: BaseModel) -> bool:
    """Whether an embedding says that it was trained on another checkpoint than this; False where it does not say."""
    digits = (origin.base_model_hash or "").strip()
    return len(digits) >= _LEAST_DIGITS and not same_model(digits, model)


def same_model(digits: str, model: BaseModel) -> bool:
    """Whether a hash in a file, of A1111's old kind or of the new one in any length, is this model's."""
    wanted = digits.strip().lower()
    known = [one for one in (model.hashes.sha256, model.hashes.old) if one]
    return any(one.startswith(wanted) for one in known)


def _reasons(conditioner: Conditioner, snapshot: Snapshot, fitting: set[str]) -> dict[str, str]:
    widths = conditioner.model.widths()
    reasons = {skip.path.stem: skip.reason for skip in snapshot.skipped if skip.path.stem not in fitting}
    for entry in snapshot.entries.values():
        if entry.embedding.name not in fitting:
            reasons[entry.embedding.name] = misfit_reason(entry.embedding, widths)
    return reasons


def _named(conditioner: Conditioner, prompts: Sequence[str], things: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `things` whose names the prompts call, in the order of the alphabet."""
    named = {name for prompt in prompts for name in conditioner.words_in(prompt, things)}
    return {name: things[name] for name in sorted(named)}


def _stranger_in_words(name: str, origin: Provenance, model: BaseModel) -> str:
    return (
        f"{name!r} was trained on {origin.base_model or 'a model'} [{origin.base_model_hash}], and this is "
        f"{model.name} [{model.hash}]: another checkpoint, on which it may look different"
    )


def _origin(origin: Provenance) -> str:
    return f"{origin.base_model or 'unknown'} {origin.base_model_hash}"
