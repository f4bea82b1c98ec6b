"""Encodes prompts with learned words in them, for one or for two text encoders.

Per encoder: text → token ids → learned words found → chunks of 77 ids, words' ids above the vocabulary →
hidden states, chunks laid end to end. The pooled vector (SDXL) is read at the position where *we* put the
first end token: transformers looks for it with `argmax` over the ids when `eos_token_id` is 2, as the
published configurations have it, and would find a learned row instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from pseudoword.conditioning.guidance import Course, Guidance, PromptOptions
from pseudoword.conditioning.matching import Piece, Placement, Trigger, find_words, split_chunks, words_in
from pseudoword.conditioning.vocabulary import ExtendedVocabulary, extend, extra_rows
from pseudoword.errors import WrongFamily
from pseudoword.families import describe
from pseudoword.models.protocols import BaseModel, Conditioning, TextEncoder

_REMEMBERED = 4096
"""Texts whose token ids are kept: captions come back often, prompts of a long-lived program do not."""
Words = Mapping[str, Mapping[str, torch.Tensor]]
"""Name → slot → rows [n, width]; the names are what is written in prompts."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    hidden: torch.Tensor
    pooled: torch.Tensor | None


class Conditioner:
    """Turns prompts into conditioning for one model; holds no words of its own."""

    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self._vocabularies: dict[str, ExtendedVocabulary] = {e.slot: extend(e) for e in model.encoders}
        self._ids: dict[tuple[str, str], tuple[int, ...]] = {}

    def encode(self, prompts: Sequence[str], words: Words) -> Conditioning:
        """Hidden states [len(prompts), 77·k, d] and the pooled vector; gradients flow into the words' rows.

        Prompts shorter than the longest are filled up with empty chunks. Equal prompts are encoded once.

        Raises:
            WrongFamily: a word that is used does not have this model's slots and widths.
        """
        distinct = list(dict.fromkeys(prompts))
        places = {name: len(next(iter(vectors.values()))) for name, vectors in words.items()}
        encoders = self.model.encoders
        split = [[split_chunks(self._pieces(encoder, prompt, places)) for prompt in distinct] for encoder in encoders]
        num_chunks = max(len(own) for of_encoder in split for own in of_encoder)
        parts = [
            self._encode_with(encoder, of_encoder, words, num_chunks)
            for encoder, of_encoder in zip(encoders, split, strict=True)
        ]
        pooled = next((part.pooled for part in parts if part.pooled is not None), None)
        encoded = Conditioning(torch.cat([part.hidden for part in parts], dim=-1), pooled)
        return encoded.select([distinct.index(prompt) for prompt in prompts])

    def guide(
        self,
        prompt: str,
        negative_prompt: str,
        words: Words,
        *,
        num_calls: int,
        num_steps: int,
        hires_calls: int = 0,
        options: PromptOptions = PromptOptions(),  # noqa: B008  # frozen
    ) -> Guidance:
        """Read both prompts and encode every text that some model call needs, each once.

        Args:
            prompt: in A1111's language.
            negative_prompt: the same, without `AND`.
            words: learned words that may be used.
            num_calls: how often the sampler calls the UNet: 2 · `num_steps` for samplers of second order.
            num_steps: steps as the user counts them.
            hires_calls: calls of the hires pass, 0 without one.
            options: emphasis, clip skip, comma backtracking.

        Raises:
            WrongFamily: a word that is used does not have this model's slots and widths.
        """
        with torch.no_grad():
            both = self.encode([negative_prompt, prompt], words)
        if self.model.zeros_for_empty and not negative_prompt:
            both = both.zeroed(0)
        courses = tuple(Course(((num_calls, row),)) for row in (0, 1))
        used = dict.fromkeys(name for text in (prompt, negative_prompt) for name in self.words_in(text, words))
        return Guidance(
            words=tuple(used),
            warnings=(),
            padded=False,
            weights=(1.0,),
            bank=both,
            courses=courses,
            hires_courses=courses if hires_calls else (),
        )

    def words_in(self, prompt: str, names: Iterable[str]) -> list[str]:
        """Those of `names` that this prompt calls, in order of appearance."""
        return words_in(self._pieces(self.model.encoders[0], prompt, dict.fromkeys(names, 1)))

    def count(self, prompt: str, name: str) -> int:
        """How often this prompt calls the word `name`; the least over the text encoders."""
        pieces = (self._pieces(encoder, prompt, {name: 1}) for encoder in self.model.encoders)
        return min(sum(isinstance(piece, Placement) for piece in found) for found in pieces)

    def fits(self, vectors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these vectors have exactly this model's slots and widths."""
        return {slot: rows.shape[-1] for slot, rows in vectors.items()} == self.model.widths()

    def token_ids(self, encoder: TextEncoder, text: str) -> tuple[int, ...]:
        """Ids of `text` without start and end token."""
        key = (encoder.slot, text)
        if len(self._ids) > _REMEMBERED:
            self._ids.clear()
        if key not in self._ids:
            self._ids[key] = tuple(encoder.tokenizer(text, add_special_tokens=False).input_ids)
        return self._ids[key]

    def _pieces(self, encoder: TextEncoder, prompt: str, places: Mapping[str, int]) -> list[Piece]:
        triggers = [Trigger(name, self.token_ids(encoder, name), number) for name, number in places.items()]
        return find_words(self.token_ids(encoder, prompt), triggers)

    def _encode_with(
        self, encoder: TextEncoder, prompts: Sequence[list[list[Piece]]], words: Words, num_chunks: int
    ) -> _Encoded:
        chunks: list[list[Piece]] = []
        for own in prompts:
            chunks += own + [[] for _ in range(num_chunks - len(own))]
        rows, first_row = self._rows(encoder, words_in([piece for chunk in chunks for piece in chunk]), words)
        laid = [_lay_out(encoder, chunk, first_row) for chunk in chunks]
        ids = torch.tensor([ids for ids, _ in laid], device=self.model.device)
        with extra_rows(self._vocabularies[encoder.slot], rows):
            output = cast("Any", encoder.module)(ids, output_hidden_states=encoder.penultimate)
        hidden = output.hidden_states[-2] if encoder.penultimate else output.last_hidden_state
        pooled = None
        if encoder.pools:
            ends = torch.tensor([end for _, end in laid[::num_chunks]], device=self.model.device)
            pooled = _pool(encoder, output.last_hidden_state[::num_chunks], ends)
        return _Encoded(hidden.reshape(len(prompts), -1, hidden.shape[-1]), pooled)

    def _rows(
        self, encoder: TextEncoder, used: Iterable[str], words: Words
    ) -> tuple[torch.Tensor | None, dict[str, int]]:
        first_row: dict[str, int] = {}
        stacked: list[torch.Tensor] = []
        num_rows = 0
        for name in used:
            if not self.fits(words[name]):
                widths = {slot: rows.shape[-1] for slot, rows in words[name].items()}
                raise WrongFamily(
                    f"{name!r} was made for {describe(widths)}",
                    expected=f"an embedding for {describe(self.model.widths())}",
                    next_move="Train the word on this model, or load the model that it was made for",
                )
            first_row[name] = num_rows
            rows = words[name][encoder.slot]
            stacked.append(rows.to(self.model.device))
            num_rows += len(rows)
        return (torch.cat(stacked) if stacked else None), first_row


def _lay_out(encoder: TextEncoder, chunk: Sequence[Piece], first_row: Mapping[str, int]) -> tuple[list[int], int]:
    """77 ids (start, content, end, padding) and the position of the end token."""
    tokenizer = encoder.tokenizer
    ids = [tokenizer.bos_token_id]
    for piece in chunk:
        if isinstance(piece, Placement):
            start = encoder.vocabulary_size + first_row[piece.word]
            ids += range(start, start + piece.num_vectors)
        else:
            ids.append(piece)
    end = len(ids)
    if end >= encoder.num_positions:
        raise WrongFamily(
            f"a word of {end - 1} vectors",
            expected=f"at most {encoder.num_positions - 2}, which is what one pass of the text encoder takes",
        )
    padding = [tokenizer.pad_token_id] * (encoder.num_positions - end - 1)
    return [*ids, tokenizer.eos_token_id, *padding], end


def _pool(encoder: TextEncoder, hidden: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    at_end = hidden[torch.arange(len(hidden), device=hidden.device), ends]
    return cast("Any", encoder.module).text_projection(at_end)
