"""Style closeness: cosine of Gram matrices of the autoencoder's encoder blocks.

Gram matrices as a description of style: Gatys, Ecker & Bethge 2015 (arXiv 1508.06576, eq. 3); here on the
down blocks of the model's own autoencoder, each matrix brought to unit length before they are joined, because
no classifier network can be had for the world that the bundled model draws.
"""

from typing import Any

import torch
from torch.nn.functional import normalize


@torch.no_grad()
def gram_features(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """One row [n, f] per picture of `pixels` [n, 3, H, W] in -1 … 1."""
    captured: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _module, _inputs, output: captured.append(output))
        for block in vae.encoder.down_blocks
    ]
    try:
        vae.encoder(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat([_unit_gram(features) for features in captured], dim=1)


def _unit_gram(features: torch.Tensor) -> torch.Tensor:
    flat = features.flatten(2)
    return normalize((flat @ flat.transpose(1, 2) / flat.shape[-1]).flatten(1), dim=1)


def style_closeness(features: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Cosine [n] of each row of `features` [n, f] to the mean of `references` [m, f]."""
    centre = normalize(references.mean(0, keepdim=True), dim=1)
    return (normalize(features, dim=1) @ centre.T).squeeze(1)
