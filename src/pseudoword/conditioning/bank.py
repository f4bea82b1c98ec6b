"""Encodes what a request needs: every distinct chunk once, then weights, then chunks laid end to end."""

from collections.abc import Iterable, Mapping, Sequence

import torch

from pseudoword.conditioning.chunks import CHUNK_TOKENS, Chunk
from pseudoword.conditioning.emphasis import emphasise
from pseudoword.conditioning.encoding import Words, encode_chunks, stack_words
from pseudoword.conditioning.guidance import Course, Pass, PromptOptions
from pseudoword.conditioning.matching import Piece, words_in
from pseudoword.conditioning.request import PlannedPart
from pseudoword.conditioning.vocabulary import ExtendedVocabulary
from pseudoword.models.protocols import BaseModel, Conditioning, TextEncoder

_AT_ONCE = 16
"""Chunks in one call of a text encoder."""
_Key = tuple[str, tuple[Piece | None, ...]]
_Row = tuple[torch.Tensor, torch.Tensor | None]


class Bank:
    """Encoded chunks of one request by encoder and content; weights do not matter to them."""

    def __init__(
        self,
        model: BaseModel,
        vocabularies: Mapping[str, ExtendedVocabulary],
        words: Words,
        options: PromptOptions,
    ) -> None:
        self._model, self._vocabularies, self._words, self._options = model, vocabularies, words, options
        self._known: dict[_Key, _Row] = {}

    def encode(self, parts: Sequence[PlannedPart]) -> Pass:
        """One pass: the rows of all its parts, made equally long with empty chunks, and who takes which when."""
        num_chunks = max(part.num_chunks for part in parts)
        rows: list[Conditioning] = []
        courses: list[Course] = []
        first = 0
        for number, part in enumerate(parts):
            encoded = self._encode_part(part, num_chunks)
            if number == 0 and self._model.zeros_for_empty and all(text.blank for text in part.texts):
                encoded = _zeros(encoded)
            rows.append(encoded)
            courses.append(Course(tuple((end, first + index) for end, index in part.stretches)))
            first += len(part.texts)
        return Pass(
            bank=_cat(rows),
            courses=tuple(courses),
            padded=len({part.num_chunks for part in parts}) > 1,
        )

    def _encode_part(self, part: PlannedPart, num_chunks: int) -> Conditioning:
        hidden: list[torch.Tensor] = []
        pooled: torch.Tensor | None = None
        for number, encoder in enumerate(self._model.encoders):
            chunks = [_filled(text.layouts[number].chunks, num_chunks) for text in part.texts]
            self._learn(encoder, [chunk for own in chunks for chunk in own])
            columns = [self._column(encoder, [own[i] for own in chunks], part) for i in range(num_chunks)]
            hidden.append(torch.cat(columns, dim=1))
            firsts = [self._known[_key(encoder, own[0])][1] for own in chunks]
            pooled = torch.stack([vector for vector in firsts if vector is not None]) if encoder.pools else pooled
        return Conditioning(torch.cat(hidden, dim=-1), pooled)

    def _column(self, encoder: TextEncoder, chunks: Sequence[Chunk], part: PlannedPart) -> torch.Tensor:
        """The states [n, 77, d] of the n texts' chunks of one number, weighted."""
        hidden = torch.stack([self._known[_key(encoder, chunk)][0] for chunk in chunks])
        if self._options.emphasis not in ("Original", "No norm"):
            return hidden
        weights = torch.tensor([_weights(chunk) for chunk in chunks], device=hidden.device)
        counts = torch.tensor([text.count for text in part.texts], device=hidden.device)
        return emphasise(hidden, weights, counts, keep_mean=self._options.emphasis == "Original")

    def _learn(self, encoder: TextEncoder, chunks: Iterable[Chunk]) -> None:
        """Encode those of the chunks that are new."""
        new = {_key(encoder, chunk): chunk for chunk in chunks}
        wanted = [item for item in new.items() if item[0] not in self._known]
        for start in range(0, len(wanted), _AT_ONCE):
            group = wanted[start : start + _AT_ONCE]
            used = words_in(piece for (_, pieces), _ in group for piece in pieces if piece is not None)
            stacked = stack_words(used, self._words, encoder.slot, self._model)
            encoded = encode_chunks(
                encoder,
                self._vocabularies[encoder.slot],
                [chunk for _, chunk in group],
                stacked,
                self._model.device,
                self._options.clip_skip,
            )
            for index, (key, _) in enumerate(group):
                pooled = None if encoded.pooled is None else encoded.pooled[index]
                self._known[key] = (encoded.hidden[index], pooled)


def _key(encoder: TextEncoder, chunk: Chunk) -> _Key:
    return encoder.slot, tuple(item.piece for item in chunk)


def _filled(chunks: Sequence[Chunk], number: int) -> list[Chunk]:
    return [*chunks, *[()] * (number - len(chunks))]


def _weights(chunk: Chunk) -> list[float]:
    weights = [1.0] * (CHUNK_TOKENS + 2)
    position = 1
    for item in chunk:
        weights[position : position + item.places] = [item.weight] * item.places
        position += item.places
    return weights


def _zeros(conditioning: Conditioning) -> Conditioning:
    pooled = conditioning.pooled
    return Conditioning(torch.zeros_like(conditioning.hidden), None if pooled is None else torch.zeros_like(pooled))


def _cat(rows: Sequence[Conditioning]) -> Conditioning:
    pooled = [row.pooled for row in rows if row.pooled is not None]
    return Conditioning(torch.cat([row.hidden for row in rows]), torch.cat(pooled) if pooled else None)
