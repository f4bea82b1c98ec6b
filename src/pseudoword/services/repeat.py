"""Draw a picture again from what it says about itself, and tell in words what is not as it was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pseudoword.errors import BadFile
from pseudoword.events import Warned
from pseudoword.generation.metadata import read_picture
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.repeat import Repeat, repeat, request_from
from pseudoword.models.folder import BUNDLED, BUNDLED_MODELS
from pseudoword.models.protocols import BaseModel
from pseudoword.services.generate import Studio
from pseudoword.services.words import same_model

_LEAST_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A picture's request, with what the user asked for on top."""

    picture: Path
    request: GenerateOptions
    repeated: Repeat

    @property
    def prediction(self) -> str:
        """What it was drawn with, as `--prediction` has it."""
        return self.repeated.prediction

    @property
    def model(self) -> str:
        """The bundled model that drew it; the first of them where another one did."""
        return self.repeated.model if self.repeated.model in BUNDLED_MODELS else BUNDLED


def read_request(picture: Path, overrides: Mapping[str, Any]) -> Recorded:
    """The request that a picture records.

    Args:
        picture: PNG, JPEG, WebP, AVIF or GIF.
        overrides: options to take instead of the recorded ones, by the names of `GenerateOptions`' fields.

    Raises:
        BadFile: it is no picture, or does not say how it was made.
        BadOption: a value is out of range here, or it was drawn from another picture, which is not given.
    """
    info = read_picture(picture)
    if info.infotext is None:
        raise BadFile(
            f"{picture} does not say how it was made",
            expected="a picture with an infotext",
            next_move=f"See what it holds: pseudoword info {picture}",
        )
    repeated = repeat(info.infotext, info.program)
    return Recorded(picture=picture, request=request_from(repeated, overrides), repeated=repeated)


def differences(studio: Studio, recorded: Recorded) -> Iterator[Warned]:
    """What is here and what the picture was drawn with, wherever the two differ."""
    repeated = recorded.repeated
    for note in repeated.notes:
        yield Warned(message=f"{recorded.picture.name}: {note}")
    model = studio.conditioner.model
    told = (
        _model_differs(repeated, model),
        _vae_differs(repeated, model),
        _prediction_differs(repeated, studio),
        _lengths_differ(recorded, studio),
    )
    for sentence in filter(None, told):
        yield Warned(message=f"{recorded.picture.name} {sentence}")
    for message in _word_differences(studio, recorded):
        yield Warned(message=message)


def _model_differs(repeated: Repeat, model: BaseModel) -> str:
    if not repeated.model_hash:
        return "does not say which model drew it" if not repeated.model else ""
    if same_model(repeated.model_hash, model):
        return ""
    return (
        f"was drawn with the model {repeated.model or '(no name)'} [{repeated.model_hash}], and this is "
        f"{model.name} [{model.hash}]: the picture will differ"
    )


def _vae_differs(repeated: Repeat, model: BaseModel) -> str:
    here = model.hashes.vae
    if here == repeated.vae_hash:
        return ""
    drew = f"{repeated.vae or 'a VAE of its own'} [{repeated.vae_hash}]" if repeated.vae_hash else "the model's own VAE"
    uses = f"{model.hashes.vae_name} [{here}]" if here else "the model's own"
    move = "give its file with --vae" if repeated.vae_hash else "leave --vae out"
    return f"was drawn with {drew}, and this is {uses}: {move}"


def _prediction_differs(repeated: Repeat, studio: Studio) -> str:
    if repeated.prediction == studio.prediction:
        return ""
    drew, here = (
        "what the model's files say" if word == "auto" else f"--prediction {word}"
        for word in (repeated.prediction, studio.prediction)
    )
    return f"was drawn with {drew}, and this is {here}: the picture may differ"


def _lengths_differ(recorded: Recorded, studio: Studio) -> str:
    request, conditioner = recorded.request, studio.conditioner
    entries = studio.library.refresh().entries.values()
    words = {e.embedding.name: e.embedding.vectors for e in entries if conditioner.fits(e.embedding.vectors)}
    if recorded.repeated.padded or not conditioner.pads(request.prompt, request.negative_prompt, words, request):
        return ""
    return (
        "was drawn with prompts of different lengths kept apart; here the shorter one is filled up, as with A1111's "
        "'Pad conds': the picture will differ"
    )


def _word_differences(studio: Studio, recorded: Recorded) -> Iterator[str]:
    entries = {name.casefold(): entry for name, entry in studio.library.refresh().entries.items()}
    names = {_cleaned(name): name for name in entries}
    for name, digits in recorded.repeated.words.items():
        entry = entries.get(names.get(_cleaned(name.casefold()), ""))
        if entry is None:
            folder = studio.settings.embeddings_dir
            yield f"the picture used the embedding {name!r} [{digits}], which is not in {folder}"
        elif len(digits) >= _LEAST_DIGITS and not entry.sha256.startswith(digits):
            yield f"{entry.path} has the hash {entry.short}; the picture used another {name!r} [{digits}]"
    used = {_cleaned(name.casefold()) for name in recorded.repeated.words}
    prompts = (recorded.request.prompt, recorded.request.negative_prompt)
    called = {name for prompt in prompts for name in studio.conditioner.words_in(prompt, entries)}
    original = (str(recorded.repeated.options["prompt"]), str(recorded.repeated.options["negative_prompt"]))
    if prompts != original:
        return  # the words of another prompt are the user's own
    for name in sorted(called):
        if _cleaned(name) not in used:
            yield f"the embedding {name!r} is here and the prompt names it; the picture was drawn without it"


def _cleaned(name: str) -> str:
    """As `TI hashes` writes names."""
    return name.replace(",", "").replace(":", "")
