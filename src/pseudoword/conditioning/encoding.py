"""Chunks through one text encoder: ids laid out, learned rows in place, the layer that the family takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from pseudoword.conditioning.chunks import Chunk
from pseudoword.conditioning.matching import Placement
from pseudoword.conditioning.vocabulary import ExtendedVocabulary, extra_rows
from pseudoword.errors import BadOption, WrongFamily
from pseudoword.families import describe
from pseudoword.models.protocols import BaseModel, TextEncoder

Words = Mapping[str, Mapping[str, torch.Tensor]]
"""Name → slot → rows [n, width]; the names are what is written in prompts."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """`hidden` [n, 77, d] of n chunks and, where the family wants it, `pooled` [n, p]."""

    hidden: torch.Tensor
    pooled: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Stacked:
    """The rows of some words for one slot, one below the other, and where each word's begin."""

    rows: torch.Tensor | None
    first: Mapping[str, int]


def stack_words(used: Iterable[str], words: Words, slot: str, model: BaseModel) -> Stacked:
    """Rows of the words `used` for this slot, where the model works.

    Raises:
        WrongFamily: a word does not have exactly the slots and widths of the model.
    """
    widths = model.widths()
    first: dict[str, int] = {}
    stacked: list[torch.Tensor] = []
    num_rows = 0
    for name in used:
        own = {slot: rows.shape[-1] for slot, rows in words[name].items()}
        if own != widths:
            raise WrongFamily(
                f"{name!r} was made for {describe(own)}",
                expected=f"an embedding for {describe(widths)}",
                next_move="Train the word on this model, or load the model that it was made for",
            )
        first[name] = num_rows
        stacked.append(words[name][slot].to(model.device))
        num_rows += len(stacked[-1])
    return Stacked(torch.cat(stacked) if stacked else None, first)


def check_clip_skip(encoder: TextEncoder, clip_skip: int) -> None:
    """Refuse to skip more layers than there are.

    Raises:
        BadOption: the encoder has fewer layers.
    """
    layers = cast("Any", encoder.module).config.num_hidden_layers
    if encoder.skips and clip_skip > layers:
        raise BadOption(f"--clip-skip {clip_skip}", expected=f"1 to {layers}, the layers of this model's text encoder")


def encode_chunks(
    encoder: TextEncoder,
    vocabulary: ExtendedVocabulary,
    chunks: Sequence[Chunk],
    stacked: Stacked,
    device: torch.device,
    clip_skip: int = 1,
) -> Encoded:
    """Each chunk by itself through the encoder; gradients flow into the stacked rows.

    The encoder may be elsewhere than on `device` until it is called (`models/memory.py`).
    """
    laid = [_lay_out(encoder, chunk, stacked.first) for chunk in chunks]
    module = cast("Any", encoder.module)
    ids = torch.tensor([ids for ids, _ in laid], device=device)
    skips = encoder.skips and clip_skip > 1
    with extra_rows(vocabulary, stacked.rows):
        output = module(ids, output_hidden_states=encoder.penultimate or skips)
    if encoder.penultimate:
        hidden = output.hidden_states[-2]
    elif skips:
        hidden = _final_norm(module)(output.hidden_states[-clip_skip])
    else:
        hidden = output.last_hidden_state
    if not encoder.pools:
        return Encoded(hidden, None)
    ends = torch.tensor([end for _, end in laid], device=device)
    at_end = output.last_hidden_state[torch.arange(len(ends), device=device), ends]
    return Encoded(hidden, module.text_projection(at_end))


def _lay_out(encoder: TextEncoder, chunk: Chunk, first: Mapping[str, int]) -> tuple[list[int], int]:
    """77 ids (start, content, end, padding) and the position of the end token."""
    tokenizer = encoder.tokenizer
    ids: list[int] = [tokenizer.bos_token_id]
    for item in chunk:
        piece = item.piece
        if isinstance(piece, Placement):
            start = encoder.vocabulary_size + first[piece.word] + piece.first
            ids += range(start, start + piece.num_vectors)
        elif piece is not None:
            ids.append(piece)
    end = len(ids)
    padding = [tokenizer.pad_token_id] * (encoder.num_positions - end - 1)
    return [*ids, tokenizer.eos_token_id, *padding], end


def _final_norm(module: Any) -> torch.nn.Module:
    """Where transformers keeps it: in `text_model` before version 5, in the model itself since."""
    return getattr(module, "text_model", module).final_layer_norm
