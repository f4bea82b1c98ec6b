"""A fine-tuned UNet stored as a small difference to the one that ships: one safetensors file.

For each weight `W` that differs, by its name in the UNet:
    `<name>.up` [o, r] and `<name>.down` [r, i]:   W + up · down, for matrices and for convolutions flattened to
                                                   [o, i · h · w] (LoRA: Hu et al. 2021, arXiv 2106.09685, eq. 3)
    `<name>.add` of W's shape:                     W + add, for biases, norms and whatever is smaller whole
The header names the hash of the model that it was trained on; on other weights the sum would mean nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pseudoword.errors import BadModel

FORMAT = "pseudoword-difference-1"


def read_difference(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors by name, in float32, and the header.

    Raises:
        BadModel: it is no such file, or it is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as problem:
        raise BadModel(f"{path} cannot be read ({problem})", next_move="Install Pseudoword again") from problem
    if header.get("format") != FORMAT or "base" not in header:
        raise BadModel(f"{path} is no difference to a model", expected=f"a header with format={FORMAT} and base")
    return tensors, header


@torch.no_grad()
def add_difference(unet: Any, path: Path, base_hash: str) -> None:
    """Change the float32 `unet` in place, from the model whose hash is `base_hash` to its sibling.

    Raises:
        BadModel: the file is for another model, or names weights that the UNet does not have.
    """
    tensors, header = read_difference(path)
    if header["base"] != base_hash:
        raise BadModel(
            f"{path} is a difference to the model {header['base']}",
            expected=f"one to the model here, {base_hash}",
            next_move="Make it anew: python -m base_model sibling --again",
        )
    weights = dict(unet.named_parameters())
    summands = summed(tensors)
    wrong = [name for name, value in summands.items() if name not in weights or weights[name].numel() != value.numel()]
    if wrong or not summands:
        raise BadModel(f"{path} does not fit the UNet ({', '.join(sorted(wrong)[:3]) or 'it is empty'})")
    for name, value in summands.items():
        weights[name].add_(value.view_as(weights[name]))


def summed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What is added to each weight: `up · down` [o, i] of each pair, and `add` as it is.

    Raises:
        BadModel: a pair is not whole, its shapes do not multiply, or a name is of no known kind.
    """
    added: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        name, _, kind = key.rpartition(".")
        other = tensors.get(f"{name}.down")
        if kind == "add":
            added[name] = value
        elif kind == "up" and other is not None and value.shape[-1] == len(other):
            added[name] = value @ other
        elif kind != "down" or f"{name}.up" not in tensors:
            raise BadModel(f"a difference with {key!r}", expected="names ending in .up and .down, or in .add")
    return added
