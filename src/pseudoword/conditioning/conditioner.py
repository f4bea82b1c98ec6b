"""Encodes prompts with learned words in them, for one or for two text encoders.

Per encoder: text → token ids → learned words found → chunks of 77 ids, words' ids above the vocabulary →
hidden states, chunks laid end to end. The pooled vector (SDXL) is read at the position where *we* put the
first end token: transformers looks for it with `argmax` over the ids when `eos_token_id` is 2, as the
published configurations have it, and would find a learned row instead.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch

from pseudoword.conditioning.bank import Bank
from pseudoword.conditioning.chunks import Chunk, Item, fill_chunks
from pseudoword.conditioning.encoding import Words, check_clip_skip, encode_chunks, stack_words
from pseudoword.conditioning.guidance import Guidance, PromptOptions
from pseudoword.conditioning.matching import Placement, words_in
from pseudoword.conditioning.reader import Reader
from pseudoword.conditioning.request import read_request
from pseudoword.conditioning.vocabulary import ExtendedVocabulary, extend
from pseudoword.models.protocols import BaseModel, Conditioning, TextEncoder

__all__ = ["Conditioner", "Words"]


class Conditioner:
    """Turns prompts into conditioning for one model; holds no words of its own."""

    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self._vocabularies: dict[str, ExtendedVocabulary] = {e.slot: extend(e) for e in model.encoders}
        self._readers = {encoder.slot: Reader(encoder) for encoder in model.encoders}

    def encode(self, prompts: Sequence[str], words: Words) -> Conditioning:
        """Plain texts: hidden states [len(prompts), 77·k, d] and the pooled vector; gradients flow into the rows.

        There is no syntax here but the words' names: what training learns from is a caption, in which a bracket
        is a bracket. Prompts shorter than the longest are filled up with empty chunks. Equal ones are encoded once.

        Raises:
            WrongFamily: a word that is used does not have this model's slots and widths.
        """
        distinct = list(dict.fromkeys(prompts))
        places = _places(words)
        split = [self._plain_chunks(encoder, distinct, places) for encoder in self.model.encoders]
        num_chunks = max(len(own) for of_encoder in split for own in of_encoder)
        hidden: list[torch.Tensor] = []
        pooled: torch.Tensor | None = None
        for encoder, of_encoder in zip(self.model.encoders, split, strict=True):
            chunks = [chunk for own in of_encoder for chunk in [*own, *[()] * (num_chunks - len(own))]]
            used = words_in(item.piece for chunk in chunks for item in chunk if item.piece is not None)
            stacked = stack_words(used, words, encoder.slot, self.model)
            encoded = encode_chunks(encoder, self._vocabularies[encoder.slot], chunks, stacked, self.model.device)
            hidden.append(encoded.hidden.reshape(len(distinct), -1, encoded.hidden.shape[-1]))
            pooled = encoded.pooled[::num_chunks] if encoded.pooled is not None else pooled
        return Conditioning(torch.cat(hidden, dim=-1), pooled).select([distinct.index(prompt) for prompt in prompts])

    @torch.no_grad()
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
            BadOption: clip skip is beyond the text encoder's layers.
            WrongFamily: a word that is used does not have this model's slots and widths.
        """
        for encoder in self.model.encoders:
            check_clip_skip(encoder, options.clip_skip)
        request = read_request(
            list(self._readers.values()),
            (prompt, negative_prompt),
            _places(words),
            options,
            num_calls=num_calls,
            num_steps=num_steps,
            hires_calls=hires_calls,
        )
        bank = Bank(self.model, self._vocabularies, words, options)
        passes = [bank.encode(planned) for planned in request.passes]
        return Guidance(
            words=request.words,
            warnings=request.warnings,
            weights=request.weights,
            base=passes[0],
            hires=passes[1] if hires_calls else None,
        )

    def words_in(self, prompt: str, names: Iterable[str]) -> list[str]:
        """Those of `names` that this prompt calls at any time, in order of appearance."""
        reader = next(iter(self._readers.values()))
        places = dict.fromkeys(names, 1)
        request = read_request(
            [reader], (prompt, ""), places, PromptOptions(), num_calls=_MANY, num_steps=_MANY, hires_calls=_MANY
        )
        return list(request.words)

    def pads(self, prompt: str, negative_prompt: str, words: Words, options: PromptOptions) -> bool:
        """Whether prompts of different lengths are made alike with empty chunks; nothing is encoded."""
        request = read_request(
            list(self._readers.values()),
            (prompt, negative_prompt),
            _places(words),
            options,
            num_calls=_MANY,
            num_steps=_MANY,
        )
        return any(len({part.num_chunks for part in planned}) > 1 for planned in request.passes)

    def count(self, text: str, name: str) -> int:
        """How often a plain text, such as a caption, calls the word `name`; the least over the text encoders."""
        found = (reader.plain(text, reader.index({name: 1})) for reader in self._readers.values())
        return min(sum(isinstance(piece, Placement) for piece in pieces) for pieces in found)

    def fits(self, vectors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these vectors have exactly this model's slots and widths."""
        return {slot: rows.shape[-1] for slot, rows in vectors.items()} == self.model.widths()

    def token_ids(self, encoder: TextEncoder, text: str) -> tuple[int, ...]:
        """Ids of `text` without start and end token."""
        return self._readers[encoder.slot].token_ids(text)

    def _plain_chunks(self, encoder: TextEncoder, texts: Sequence[str], places: Mapping[str, int]) -> list[list[Chunk]]:
        reader = self._readers[encoder.slot]
        index = reader.index(places)
        return [fill_chunks([Item(piece) for piece in reader.plain(text, index)], reader.comma) for text in texts]


_MANY = 150
"""Calls enough for every text of a schedule with fractions and step numbers to show."""


def _places(words: Words) -> dict[str, int]:
    return {name: len(next(iter(vectors.values()))) for name, vectors in words.items()}
