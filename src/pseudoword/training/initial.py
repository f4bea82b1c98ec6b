"""The rows that a word starts from."""

from typing import Any, cast

import torch

from pseudoword.errors import BadOption
from pseudoword.models.protocols import BaseModel


def initial_rows(model: BaseModel, text: str, num_vectors: int) -> dict[str, torch.Tensor]:
    """Slot → rows [num_vectors, width] in float32: the token embeddings of `text`, spread over the vectors.

    Vector i takes token ⌊i·n/V⌋ of n, as A1111 does: a short text is repeated, a long one sampled.

    Raises:
        BadOption: the text has no token.
    """
    rows: dict[str, torch.Tensor] = {}
    for encoder in model.encoders:
        ids = encoder.tokenizer(text, add_special_tokens=False).input_ids
        if not ids:
            raise BadOption(f"initial text {text!r}", expected="at least one word")
        table = cast("Any", encoder.module).get_input_embeddings().weight
        chosen = [ids[i * len(ids) // num_vectors] for i in range(num_vectors)]
        rows[encoder.slot] = table[torch.tensor(chosen, device=table.device)].detach().float().cpu().clone()
    return rows
