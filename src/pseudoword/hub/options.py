"""What can be said about a search, a download and a publication; the command line is made from these."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SOURCES: Final = ("all", "hub", "civitai")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindOptions:
    """A search."""

    words: list[str] = field(metadata={"help": "What to look for.", "metavar": "WORDS"})
    source: str = field(default="all", metadata={"help": " | ".join(SOURCES)})
    family: str | None = field(
        default=None, metadata={"help": "Only those for this model family: sd1, sd2, sdxl, flux, sd3."}
    )
    limit: int = field(default=20, metadata={"help": "At most so many, 1 to 100."})
    json: bool = field(default=False, metadata={"help": "Print a JSON array in place of the table."})


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOptions:
    """A download."""

    id: str = field(
        metadata={"help": "owner/name or owner/name/FILE of the hub, civitai:MODEL[@VERSION], or a page's address."}
    )
    name: str | None = field(default=None, metadata={"help": "What to call it. Default: from the file or repository."})
    max_size: float = field(default=64.0, metadata={"help": "MiB that are downloaded at most."})
    overwrite: bool = field(default=False, metadata={"help": "Replace a file of the same name."})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """A publication on the Hugging Face hub."""

    name: str = field(metadata={"help": "The word, as its file in the embeddings folder is called."})
    repo: str = field(
        metadata={"help": "owner/name of the repository, which is made if it is not there.", "option": True}
    )
    prompt: str | None = field(default=None, metadata={"help": "A prompt that shows the word, for the card."})
    pictures: Path | None = field(
        default=None, metadata={"help": "Folder of sample pictures; their prompts are read from the PNG files."}
    )
    licence: str | None = field(default=None, metadata={"help": "Licence as the hub writes it: cc-by-4.0, mit …"})
    base_model: str | None = field(
        default=None, metadata={"help": "Hub id of the model that it was trained on. Default: as the file says."}
    )
    private: bool = field(default=False, metadata={"help": "Make the repository private."})
    overwrite: bool = field(default=False, metadata={"help": "Replace the card and files of an existing repository."})
    dry_run: Path | None = field(
        default=None, metadata={"help": "Write what would be uploaded into this folder, and ask no server."}
    )
