"""What a model reads in a prompt: chunks, tokens, weights, learned words and their places, and the schedule.

Uses the very reader that generation uses, with the model's tokenizers and no weights, so it answers at once for
models of any size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pseudoword.conditioning.chunks import CHUNK_TOKENS, Chunk
from pseudoword.conditioning.guidance import PromptOptions
from pseudoword.conditioning.matching import Placement
from pseudoword.conditioning.reader import Layout, Reader
from pseudoword.conditioning.request import PlannedPart, read_request
from pseudoword.families import describe
from pseudoword.library import Library
from pseudoword.models.vocabulary import LoneTokenizer, load_tokenizers
from pseudoword.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A token, or a learned word with all its vectors."""

    place: int
    """First of its places in the chunk, from 1 to 75."""
    places: int
    text: str
    """The word's name, or the token as a reader writes it; a piece that goes on into the next ends in a hyphen."""
    id: int | None
    """None for a learned word."""
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchRow:
    """What a part is from one model call to another, both counted from 1."""

    first_call: int
    last_call: int
    used: int
    limit: int
    chunks: tuple[tuple[TokenRow, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """The negative prompt, or what stands between two `AND`s."""

    weight: float
    stretches: tuple[StretchRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensReport:
    """Both prompts as the model's first text encoder reads them."""

    model: str
    steps: int
    prompt: tuple[PartRow, ...]
    negative: PartRow | None
    """None where no negative prompt was given."""
    words: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read_tokens(
    prompt: str, negative: str, settings: Settings, *, model: str, steps: int, options: PromptOptions
) -> TokensReport:
    """Read both prompts with the words of the embeddings folder, for a sampler of `steps` model calls.

    Raises:
        BadModel: there is no such model.
    """
    name, tokenizers = load_tokenizers(model)
    readers = [Reader(tokenizer) for tokenizer in tokenizers]
    places, unfit = _words(tokenizers, settings)
    both = (prompt, negative)
    request = read_request(readers, both, places, options, num_calls=steps, num_steps=steps)
    named = read_request(readers[:1], both, dict.fromkeys(unfit, 1), options, num_calls=steps, num_steps=steps).words
    refused = tuple(f"{word!r} is not used: {unfit[word]}" for word in named)
    first = [_part(part, 1.0, readers[0], steps) for part in request.passes[0]]
    weighted = tuple(
        PartRow(weight=weight, stretches=row.stretches) for weight, row in zip(request.weights, first[1:], strict=True)
    )
    return TokensReport(
        model=name,
        steps=steps,
        prompt=weighted,
        negative=first[0] if negative else None,
        words=request.words,
        notes=refused + request.warnings,
    )


def _words(tokenizers: Sequence[LoneTokenizer], settings: Settings) -> tuple[Mapping[str, int], Mapping[str, str]]:
    """Words that fit with their numbers of vectors; those that do not, with the reason."""
    widths = {tokenizer.slot: tokenizer.width for tokenizer in tokenizers}
    places: dict[str, int] = {}
    unfit: dict[str, str] = {}
    snapshot = Library(settings.embeddings_dir).refresh()
    for name, entry in snapshot.entries.items():
        own = entry.embedding.widths
        if dict(own) == widths:
            places[name] = len(next(iter(entry.embedding.vectors.values())))
        else:
            unfit[name] = f"made for {describe(own)}, the model is {describe(widths)}"
    for skipped in snapshot.skipped:
        if skipped.path.stem not in places:
            unfit.setdefault(skipped.path.stem, skipped.reason)
    return places, unfit


def _part(part: PlannedPart, weight: float, reader: Reader, num_calls: int) -> PartRow:
    stretches: list[StretchRow] = []
    first = 1
    for end, index in part.stretches:
        last = min(end + 1, num_calls)  # calls count from 0, and the one numbered `end` still takes this text
        if first <= last:
            stretches.append(_stretch(part.texts[index].layouts[0], first, last, reader))
        first = last + 1
    return PartRow(weight=weight, stretches=tuple(stretches))


def _stretch(layout: Layout, first: int, last: int, reader: Reader) -> StretchRow:
    full = CHUNK_TOKENS * (len(layout.chunks) - 1)
    return StretchRow(
        first_call=first,
        last_call=last,
        used=full + sum(item.places for item in layout.chunks[-1]),
        limit=full + CHUNK_TOKENS,
        chunks=tuple(tuple(_rows(chunk, reader)) for chunk in layout.chunks),
    )


def _rows(chunk: Chunk, reader: Reader) -> list[TokenRow]:
    rows: list[TokenRow] = []
    place = 1
    for item in chunk:
        piece = item.piece
        if isinstance(piece, Placement):
            rows.append(TokenRow(place=place, places=item.places, text=piece.word, id=None, weight=item.weight))
        elif piece is not None:
            rows.append(TokenRow(place=place, places=1, text=reader.written(piece), id=piece, weight=item.weight))
        place += item.places
    return rows
