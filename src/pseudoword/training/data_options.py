"""What can be asked of the pictures of a training, and of `pseudoword dataset`; importing it loads no torch."""

from dataclasses import dataclass, field
from pathlib import Path

from pseudoword.errors import BadOption
from pseudoword.files import check_name
from pseudoword.models.folder import BUNDLED
from pseudoword.training.sources import Source, parse_source

CROPS = ("bucket", "centre", "random", "focal")
MASKS = ("none", "alpha", "files")
CACHES = ("memory", "disk")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """Which pictures are learned from, and how they and their captions are prepared."""

    pictures: str = field(
        metadata={
            "help": "Folder with the pictures to learn from, or FOLDER:REPEATS:WEIGHT.",
            "metavar": "PICTURES_DIR",
        }
    )
    more_pictures: tuple[str, ...] = field(
        default=(), metadata={"help": "A further folder, or FOLDER:REPEATS:WEIGHT; may be given several times."}
    )
    template: str = field(
        default="style", metadata={"help": "style, subject, or a text file with one prompt per line."}
    )
    noun: str = field(default="", metadata={"help": "Class noun that stands behind the word in captions, such as dog."})
    crop: str = field(
        default="bucket",
        metadata={"help": "bucket: sizes by proportions, little cut off; or a square: centre | random | focal."},
    )
    flip: bool = field(default=False, metadata={"help": "Show every picture's mirror image too."})
    masks: str = field(
        default="none",
        metadata={"help": "Weights of places in the loss: none | alpha channel | files (NAME-masklabel.png)."},
    )
    shuffle_tags: bool = field(default=False, metadata={"help": "Put a caption's tags in a new order each step."})
    drop_tags: float = field(default=0.0, metadata={"help": "Share of a caption's tags to leave out, 0 to 1."})
    cache_latents: str = field(
        default="memory",
        metadata={"help": "Where encoded pictures are kept: memory | disk (for large sets)."},
    )

    def sources(self) -> tuple[Source, ...]:
        """The folders.

        Raises:
            BadOption: repeats or weight of one are out of range.
        """
        return tuple(parse_source(text) for text in (self.pictures, *self.more_pictures))

    def check_data(self) -> None:
        """Raises: BadOption: a value that is not known or out of range."""
        for name, value, known in (
            ("crop", self.crop, CROPS),
            ("masks", self.masks, MASKS),
            ("cache-latents", self.cache_latents, CACHES),
        ):
            if value not in known:
                raise BadOption(f"--{name} {value!r}", expected=" | ".join(known))
        if not 0 <= self.drop_tags <= 1:
            raise BadOption(f"--drop-tags {self.drop_tags:g}", expected="0 to 1")
        self.sources()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions(DataOptions):
    """What to show of some folders of pictures, or to make of them."""

    name: str = field(default="word", metadata={"help": "The word, as it will stand in the captions."})
    model: str = field(default=BUNDLED, metadata={"help": "The model whose picture sizes count; as for train."})
    seed: int = field(default=0, metadata={"help": "Seed of the training: of its captions and random crops."})
    sheet: Path | None = field(
        default=None, metadata={"help": "File of the contact sheet (PNG). Default: below the outputs folder."}
    )
    write: Path | None = field(
        default=None, metadata={"help": "Write copies with captions there; --flip and --split-long show in them."}
    )
    split_long: bool = field(default=False, metadata={"help": "With --write: cut long pictures into several."})

    def __post_init__(self) -> None:
        check_name(self.name)
        self.check_data()
        if self.split_long and self.write is None:
            raise BadOption("--split-long", expected="--write FOLDER beside it")
