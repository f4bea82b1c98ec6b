"""What a run with several words does for each of them: its calling in captions, its start, its checks, its files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadOption
from pseudoword.models.protocols import BaseModel
from pseudoword.services.pictures import called
from pseudoword.services.run_checks import check_captions, check_free, check_name
from pseudoword.training.captions import Templates, load_templates
from pseudoword.training.draws import Calling
from pseudoword.training.initial import starting_rows
from pseudoword.training.options import TrainOptions, default_text
from pseudoword.training.other_words import OtherWord, table_key
from pseudoword.training.pictures import Picture


def options_of(word: OtherWord, options: TrainOptions) -> TrainOptions:
    """The options of the run as they are for one of its further words."""
    return replace(
        options,
        name=word.name,
        other_words=(),
        init=initial_text(word, options),
        init_from="text",
        vectors=word.vectors or options.vectors,
        template=word.template or options.template,
        noun=word.noun,
    )


def initial_text(word: OtherWord, options: TrainOptions | None = None) -> str:
    """What a further word starts from: its own text, or the default of its template."""
    return word.init or default_text(word.template or (options.template if options else "style"))


def calling_of(picture: Picture, options: TrainOptions, templates: Templates) -> Calling:
    """How captions of this picture call the word of its folder."""
    for word in options.words():
        if word.source is not None and word.source.folder == picture.path.parent:
            own = load_templates(word.template) if word.template else templates
            return Calling(own, f"{word.name} {word.noun}".strip())
    return Calling(templates, called(options, options.name))


def is_own(picture: Picture, options: TrainOptions) -> bool:
    """Whether a picture is of the run's own word, and not of a further one."""
    return all(word.source is None or word.source.folder != picture.path.parent for word in options.words())


def all_starting_rows(model: BaseModel, options: TrainOptions) -> dict[str, torch.Tensor]:
    """Tables of all words of the run, as `starting_rows` makes them for each."""
    tables = starting_rows(model, options)
    for word in options.words():
        rows = starting_rows(model, options_of(word, options))
        tables |= {table_key(slot, word.name): values for slot, values in rows.items()}
    return tables


def check_other_words(conditioner: Conditioner, templates: Templates, options: TrainOptions, target: Path) -> None:
    """Names of further words must be free, and read as such by the tokenizer."""
    for word in options.words():
        own = options_of(word, options)
        check_free(own, target.with_name(f"{word.name}.safetensors"))
        check_name(conditioner, load_templates(word.template) if word.template else templates, own)


def check_all_captions(
    conditioner: Conditioner, templates: Templates, options: TrainOptions, pictures: Sequence[Picture]
) -> None:
    """Every picture's captions must call the word of its folder, and every word must be called somewhere."""
    by_word: dict[str, list[Picture]] = {}
    callings: dict[str, Calling] = {}
    for picture in pictures:
        calling = calling_of(picture, options, templates)
        by_word.setdefault(calling.name, []).append(picture)
        callings[calling.name] = calling
    check_captions(conditioner, templates, options, by_word.pop(called(options, options.name), []))
    for word in options.words():
        name = f"{word.name} {word.noun}".strip()
        if name in by_word:
            check_captions(conditioner, callings[name].templates, options_of(word, options), by_word[name])
        elif not any(conditioner.count(picture.words, word.name) for picture in pictures):
            raise BadOption(
                f"--and {word.name!r}, which has no folder and is in no caption",
                expected="pictures of its own, or its name in the captions of others",
            )


def beside(path: Path, own: str, name: str) -> Path:
    """The file of the word `name` that belongs to the file `path` of the run's own word."""
    return path if name == own else path.with_name(name + path.name.removeprefix(own))
