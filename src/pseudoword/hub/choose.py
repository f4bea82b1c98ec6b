"""Which of an offer's files are the embedding, and what it is called. Pure; no network."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pseudoword.errors import BadFile, BadOption
from pseudoword.files import check_name
from pseudoword.hub.values import Offer, RemoteFile

_SUFFIXES = (".safetensors", ".pt", ".bin", ".pti", ".png", ".webp", ".avif", ".jxl")
"""In the order of preference where one word lies there in several forms."""

_PLAIN = _SUFFIXES[:4]
_NOT = re.compile(
    r"(optimizer|scheduler|random_states|training_args|pytorch_model|pytorch_lora_weights|diffusion_pytorch_model"
    r"|model|lora|adapter_model|vae|unet|text_encoder)([-_.\d].*)?",
    re.IGNORECASE,
)
"""What trainers leave in a repository beside the embedding."""

_STEP = re.compile(r"(.*?)[-_]?(?:steps?[-_]?)?(\d{2,6})$")
_SECOND = re.compile(r"learned_embeds_2|.*[-_](?:te|text_encoder)_?2", re.IGNORECASE)
_GENERIC = re.compile(
    r"learned_embeds?(_2)?([-_]steps?[-_]\d+)?|embeddings?|embeds?|emb|ti|concept|token", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to download of an offer."""

    files: tuple[RemoteFile, ...]
    """One file; or the two of a pair for SDXL, that of the first text encoder first."""
    name: str
    """What it is called here, and so what is typed into a prompt."""
    left: tuple[RemoteFile, ...] = ()
    """Other embeddings that lie beside it."""


def choose(offer: Offer, *, file: str | None = None, name: str | None = None) -> Choice:
    """The embedding of an offer.

    Args:
        offer: what lies behind the id.
        file: a name that the user gave; nothing is guessed then.
        name: what the user wants to call it.

    Raises:
        BadFile: there is no embedding in it.
        BadOption: there are several and none was named, or `name` cannot be a word's name.
    """
    if file is not None:
        files: tuple[RemoteFile, ...] = tuple(found for found in offer.files if found.name == file)
        return Choice(files=files, name=_name(offer, files[0], name))
    words = _words([found for found in offer.files if _may_be(found)])
    if not words:
        some = ", ".join(found.name for found in offer.files[:8]) or "no files at all"
        raise BadFile(f"{offer.id} has no embedding ({some})", expected=f"a file with suffix {', '.join(_PLAIN)}")
    taken = _taken(offer, words)
    left = tuple(found for found in words if found != taken)
    if second := _second_of(taken, left):
        return Choice(files=(taken, second), name=_name(offer, taken, name))
    if left and offer.primary is None and not _is_generic(taken):
        names = ", ".join(found.name for found in words[:8])
        raise BadOption(
            f"{offer.id} has {len(words)} embeddings ({names})",
            expected="one of them",
            next_move=f"pseudoword pull {offer.id}/{words[0].name}",
        )
    return Choice(files=(taken,), name=_name(offer, taken, name), left=left)


def _may_be(file: RemoteFile) -> bool:
    path = PurePosixPath(file.name)
    return len(path.parts) == 1 and path.suffix.lower() in _PLAIN and not _NOT.fullmatch(path.stem)


def _words(files: list[RemoteFile]) -> list[RemoteFile]:
    """One file for each stem, in the preferred form; states of a training only where the end is missing."""
    best: dict[str, RemoteFile] = {}
    for file in sorted(files, key=lambda file: (_SUFFIXES.index(_suffix(file)), file.name)):
        best.setdefault(_stem(file), file)
    finals = [stem for stem in best if (match := _STEP.fullmatch(stem)) is None or match[1] not in best]
    return sorted((best[stem] for stem in finals), key=lambda file: (_step(file), file.name))


def _step(file: RemoteFile) -> int:
    """Later states first."""
    match = _STEP.fullmatch(_stem(file))
    return -int(match[2]) if match and _GENERIC.match(_stem(file)) else 0


def _taken(offer: Offer, words: list[RemoteFile]) -> RemoteFile:
    stem = PurePosixPath(offer.primary).stem if offer.primary else None
    for file in words:
        if _stem(file) == stem:
            return file
    generic = [file for file in words if _is_generic(file) and not _SECOND.fullmatch(_stem(file))]
    return (generic or words)[0]


def _second_of(first: RemoteFile, others: tuple[RemoteFile, ...]) -> RemoteFile | None:
    """The file with the vectors of SDXL's second text encoder, as diffusers' trainer calls it."""
    second = re.sub(r"(-steps-\d+)?$", r"_2\1", _stem(first), count=1)
    return next((file for file in others if _stem(file) == second), None)


def _is_generic(file: RemoteFile) -> bool:
    return _GENERIC.fullmatch(_stem(file)) is not None


def _suffix(file: RemoteFile) -> str:
    return PurePosixPath(file.name).suffix.lower()


def _stem(file: RemoteFile) -> str:
    return PurePosixPath(file.name).stem


def _name(offer: Offer, file: RemoteFile, wanted: str | None) -> str:
    if wanted is not None:
        return check_name(wanted)
    stem = _stem(file)
    source = offer.title if _is_generic(file) else re.sub(r"_emb$", "", stem)
    for text in (source, offer.title, stem):
        cleaned = re.sub(r"[^\w .-]+", "-", text).strip("-_. ")
        try:
            return check_name(cleaned[:60].rstrip(" ."))
        except BadOption:
            continue
    raise BadOption(f"{offer.id} has no name that a file can have", next_move="Give one with --name")
