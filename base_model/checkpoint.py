"""The saved state of a training stage: one safetensors file, tensors by name and JSON facts in its header.

Invariant: the file is replaced atomically, so a killed run leaves the last whole state. No pickle is read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pseudoword.files import atomic_path

_ADAM = ("exp_avg", "exp_avg_sq", "step")


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Replace the state at `path`."""
    with atomic_path(path) as temporary:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(whole, temporary, metadata={"facts": json.dumps(facts)})


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the facts of a saved state."""
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a mapping)


def load_group(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    """Only the tensors whose name begins with `prefix`, which is taken off."""
    with safe_open(path, "pt") as file:
        chosen = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 (not a mapping)
        return {name.removeprefix(prefix): file.get_tensor(name) for name in chosen}


def adam_tensors(optimiser: torch.optim.AdamW) -> dict[str, torch.Tensor]:
    """AdamW's moments and counters by name; empty before the first step."""
    return {
        f"adam/{index}/{part}": optimiser.state[weight][part]
        for index, weight in enumerate(_weights(optimiser))
        if weight in optimiser.state
        for part in _ADAM
    }


def restore_adam(optimiser: torch.optim.AdamW, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give AdamW the moments and counters of a saved state."""
    for index, weight in enumerate(_weights(optimiser)):
        if f"adam/{index}/step" in tensors:
            optimiser.state[weight] = {part: tensors[f"adam/{index}/{part}"].clone() for part in _ADAM}


def _weights(optimiser: torch.optim.AdamW) -> list[torch.Tensor]:
    return [weight for group in optimiser.param_groups for weight in group["params"]]
