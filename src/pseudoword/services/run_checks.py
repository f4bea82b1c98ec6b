"""What is looked at before a training begins or goes on, so that nothing is found out an hour later."""

from collections.abc import Sequence
from pathlib import Path

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadOption, BadPictures, NameTaken
from pseudoword.library.walk import find_files
from pseudoword.services.pictures import called
from pseudoword.training.captions import NAME, Templates, stands_alone
from pseudoword.training.options import TrainOptions
from pseudoword.training.pictures import Picture
from pseudoword.training.run import digests


def check_free(options: TrainOptions, target: Path) -> None:
    """A word must be found under one file only, whatever its case, suffix or subfolder."""
    files = [Path(file) for file in find_files(str(target.parent))]
    taken = [file for file in files if file.stem.casefold() == options.name.casefold()]
    if taken and not options.overwrite:
        raise NameTaken(f"{taken[0]} already exists", next_move="Choose another name, or add --overwrite")
    others = [file for file in taken if file.absolute() != target]
    if others:
        raise NameTaken(
            f"{others[0]} would be found under the same name as {target.name}",
            next_move="Move it away, or choose another name",
        )


def check_name(conditioner: Conditioner, templates: Templates, options: TrainOptions) -> None:
    """Every line must call the word as often as it says, or nothing could be learned, or the wrong thing."""
    name = options.name
    for line in templates.lines:
        filled = templates.fill(line, "", called(options, name))
        found = conditioner.count(filled, name)
        if found != line.count(NAME):
            raise BadOption(
                f"{name!r} is read {found} times in {filled!r} by the model's tokenizer",
                expected=f"{line.count(NAME)}",
                next_move="Choose a name that is no ordinary word and does not end in punctuation",
            )


def check_captions(
    conditioner: Conditioner, templates: Templates, options: TrainOptions, pictures: Sequence[Picture]
) -> None:
    """Every caption of every picture must call the word: one without it teaches nothing and stops other trainers."""
    by_words = {picture.words: picture.name for picture in pictures}
    for words, picture in by_words.items():
        for line in templates.lines_for(words):
            if stands_alone(line):
                continue
            caption = templates.fill(line, words, called(options, options.name))
            if not conditioner.count(caption, options.name):
                raise BadOption(
                    f"the caption {caption!r} of {picture} does not call {options.name!r}",
                    expected=f"{NAME} in every template line, or in the caption of every picture",
                )
            if NAME not in line and options.drop_tags:
                raise BadOption(
                    f"--drop-tags with the template line {line!r}",
                    expected=f"{NAME} in every template line: as a tag it could be dropped",
                )


def check_same(what: str, found: Sequence[Picture], recorded: tuple[tuple[str, str], ...], folder: str) -> None:
    """The pictures of a run must be, with their captions, those that it began with."""
    now, then = dict(digests(found)), dict(recorded)
    changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    if changed:
        raise BadPictures(
            f"the {what} in {folder} are not those that the run began with ({', '.join(changed[:5])})",
            next_move="Put them back as they were, or start a new run",
        )
