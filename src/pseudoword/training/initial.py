"""The rows that a word starts from: a text's, those of an embedding, random ones, or zeros."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from pseudoword import rng
from pseudoword.embeddings import read_embedding
from pseudoword.errors import BadOption, WrongFamily
from pseudoword.families import describe
from pseudoword.models.protocols import BaseModel, TextEncoder
from pseudoword.training.options import MAX_VECTORS, TrainOptions


def with_vectors_of_file(options: TrainOptions) -> TrainOptions:
    """The options with the number of vectors of the file that is continued from, where one is and none is asked for.

    Raises:
        BadFile: the file is no embedding.
        BadOption: there is no such file, or another number of vectors was asked for.
    """
    if options.init_from in ("text", "random", "zeros"):
        return options
    if not Path(options.init_from).is_file():
        raise BadOption(f"--init-from {options.init_from!r}", expected="text, random, zeros, or an embedding file")
    count = read_embedding(Path(options.init_from)).num_vectors
    if options.vectors not in (None, count) or count > MAX_VECTORS:
        raise BadOption(f"{options.init_from} with {count} vectors", expected=f"{options.vectors or MAX_VECTORS}")
    return replace(options, vectors=count)


def starting_rows(model: BaseModel, options: TrainOptions) -> dict[str, torch.Tensor]:
    """Slot → rows [vectors, width] in float32, as `options.init_from` says.

    With the parameterisation `norm` every row has the length of the vocabulary's rows: the mean length of the
    initial text's own, or the vocabulary's median where there is no text.

    Raises:
        BadOption: the initial text has no token, or a row has no direction to keep.
        WrongFamily: the embedding that is continued from does not fit the model.
    """
    count = options.vectors
    assert count is not None
    if options.init_from == "text":
        rows = initial_rows(model, options.init, count)
    elif options.init_from == "random":
        rows = {encoder.slot: _random_rows(encoder, count, options.seed) for encoder in model.encoders}
    elif options.init_from == "zeros":
        rows = {encoder.slot: torch.zeros(count, encoder.width) for encoder in model.encoders}
    else:
        rows = _rows_of_file(model, Path(options.init_from))
    if options.parameterisation == "norm":
        return {encoder.slot: _at_length(rows[encoder.slot], encoder, options) for encoder in model.encoders}
    return rows


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
        table = vocabulary_rows(encoder)
        chosen = [ids[i * len(ids) // num_vectors] for i in range(num_vectors)]
        rows[encoder.slot] = table[torch.tensor(chosen, device=table.device)].detach().float().cpu().clone()
    return rows


def median_length(encoder: TextEncoder) -> float:
    """Median Euclidean length of the vocabulary's rows."""
    return float(vocabulary_rows(encoder).detach().float().norm(dim=1).median())


def vocabulary_rows(encoder: TextEncoder) -> torch.Tensor:
    """The encoder's token embeddings [vocabulary size, width]."""
    return cast("Any", encoder.module).get_input_embeddings().weight


def _random_rows(encoder: TextEncoder, count: int, seed: int) -> torch.Tensor:
    """Normal draws with the vocabulary's mean and deviation in each coordinate."""
    table = vocabulary_rows(encoder).detach().float().cpu()
    draws = rng.normal((count, encoder.width), seed, f"initial {encoder.slot}")[0]
    return table.mean(dim=0) + draws * table.std(dim=0)


def _rows_of_file(model: BaseModel, path: Path) -> dict[str, torch.Tensor]:
    embedding = read_embedding(path)
    if embedding.widths != model.widths():
        raise WrongFamily(
            f"{path.name} was made for {describe(embedding.widths)}",
            expected=f"an embedding for {describe(model.widths())}",
        )
    return {slot: table.clone() for slot, table in embedding.vectors.items()}


def _at_length(rows: torch.Tensor, encoder: TextEncoder, options: TrainOptions) -> torch.Tensor:
    lengths = rows.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all()):
        raise BadOption("an initial vector of zeros", expected="vectors with a direction, for --parameterisation norm")
    wanted = float(lengths.mean()) if options.init_from == "text" else median_length(encoder)
    return rows / lengths * wanted
