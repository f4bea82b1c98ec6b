"""Weights put on what a text encoder says (reference a1111.md §2.5). Pure mathematics on tensors."""

import torch

_NOISE = 1e-6
"""A mean this small beside the values is rounding: there is nothing to go back to, and dividing by it is harm."""


def emphasise(hidden: torch.Tensor, weights: torch.Tensor, counts: torch.Tensor, *, keep_mean: bool) -> torch.Tensor:
    """Hidden states [n, 77, d] times the weight of each position [n, 77].

    Args:
        hidden: one chunk of the n texts that a prompt is while a picture is drawn (n is 1 without editing).
        weights: of every position; 1 for start, end and padding.
        counts: how often each text stands in the prompt's schedule [n].
        keep_mean: scale the whole tensor, which upstream takes over the prompt's whole schedule, back to the
            mean that it had.
    """
    if bool((weights == 1).all()):
        return hidden
    exact = hidden.float()
    weighted = exact * weights.to(exact).unsqueeze(-1)
    if keep_mean:
        share = (counts / counts.sum()).to(exact)
        mean = weighted.mean(dim=(1, 2)) @ share
        if mean.abs() > _NOISE * weighted.square().mean().sqrt():
            weighted = weighted * ((exact.mean(dim=(1, 2)) @ share) / mean)
    return weighted.to(hidden.dtype)
