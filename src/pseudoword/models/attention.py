"""Attention on a CPU, written as matrix products over tiles of rows; forward and backward in little memory.

O = P·V with P = softmax(s·Q·Kᵀ), s = 1/√d. Of the n × m numbers in P none is kept; the way back computes them again,
tile by tile (Dao 2023, FlashAttention-2, arXiv 2307.08691, §2.2 and Algorithm 2):

    D = rowsum(dO ∘ O)        dV = Pᵀ·dO
    dS = P ∘ (dO·Vᵀ - D)      dQ = s·dS·K      dK = s·dSᵀ·Q

In half precision torch's fused operator reaches about a third of a processor's matrix-product speed with the narrow
heads of SD1; these products reach over two fifths (docs/experiments.md). Scores come out of a product rounded to half
precision: so that large ones lose nothing that matters, about the row's greatest is subtracted *inside* the product,
as two more columns, and so is D. A softmax does not change by what is subtracted, so the greatest of some keys is
good enough.
"""

from collections.abc import Iterator
from typing import Any

import torch

MAX_PLAIN_TOKENS = 256
"""Up to so many keys CPU attention is quicker written out than fused or in tiles (docs/experiments.md)."""
_TILE_SCORES = 1 << 20
"""Scores of one tile: in half precision 2 MiB, so that they are still in the processor's cache when used again."""
_LEAST_ROWS = 64
_SAMPLED_KEYS = 64
"""At least so many keys are asked for a row's greatest score."""


class _TiledAttention(torch.autograd.Function):
    """Queries [g, n, d], keys and values [g, m, d], g heads of all pictures → [g, n, d]."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        wide_query = _below_zero(query, key)
        wide_key = _with_ones(key).transpose(1, 2)
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        room = _room(query, key)
        for head, rows in _tiles(query, key):
            p = _weights(wide_query[head, rows], wide_key[head], room)
            torch.bmm(p, value[head], out=output[head, rows])
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, output = ctx.saved_tensors
        [gradient] = gradients
        exact = _exact(query.dtype)
        wide_query = _below_zero(query, key)
        wide_gradient = _with_columns(gradient, -(gradient * output).sum(dim=-1, dtype=exact))
        wide_key, wide_value = _with_ones(key).transpose(1, 2), _with_ones(value).transpose(1, 2)
        d_query = torch.empty_like(query, memory_format=torch.contiguous_format) if ctx.needs_input_grad[0] else None
        d_key, d_value = (torch.zeros_like(tensor, dtype=exact) for tensor in (key, value))
        room, other_room = _room(query, key), _room(query, key)
        for head, rows in _tiles(query, key):
            p = _weights(wide_query[head, rows], wide_key[head], room)
            d_value[head] += torch.bmm(p.transpose(1, 2), gradient[head, rows])
            ds = torch.bmm(wide_gradient[head, rows], wide_value[head], out=other_room[:, : p.shape[1]]).mul_(p)
            d_key[head] += torch.bmm(ds.transpose(1, 2), query[head, rows])
            if d_query is not None:
                torch.bmm(ds, key[head], out=d_query[head, rows])
        scale = query.shape[-1] ** -0.5
        d_query = None if d_query is None else d_query.mul_(scale)
        return d_query, d_key.mul_(scale).to(key.dtype), d_value.to(value.dtype)


def tiled_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention of `query` [b, h, n, d] over `key` and `value` [b, h, m, d], [b, h, n, d]; differentiable once."""
    flat = (tensor.flatten(0, 1) for tensor in (query, key, value))
    return _TiledAttention.apply(*flat).unflatten(0, query.shape[:2])  # pyright: ignore[reportAttributeAccessIssue]


def _written_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return torch.softmax(scores, dim=-1) @ value


class TiledProcessor:
    """Attention of diffusers' UNets, by the way that is quickest for the number of keys."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Tokens [b, n, c], looking at themselves or at `encoder_hidden_states` [b, m, c'], without a mask."""
        assert attention_mask is None
        assert attn.spatial_norm is None
        assert attn.group_norm is None
        assert hidden_states.ndim == 3
        del temb
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        parts = (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        query, key, value = (part.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for part in parts)
        few = context.shape[1] <= MAX_PLAIN_TOKENS
        looked = (_written_out if few else tiled_attention)(query, key, value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](looked))


def _tiles(query: torch.Tensor, key: torch.Tensor) -> Iterator[tuple[slice, slice]]:
    """One head and some rows at a time."""
    rows = _rows(key)
    for head in range(query.shape[0]):
        for start in range(0, query.shape[1], rows):
            yield slice(head, head + 1), slice(start, min(start + rows, query.shape[1]))


def _rows(key: torch.Tensor) -> int:
    return max(_LEAST_ROWS, _TILE_SCORES // key.shape[1])


def _room(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    return query.new_empty(1, min(_rows(key), query.shape[1]), key.shape[1])


def _weights(wide_query: torch.Tensor, wide_key: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    """P of one tile, [1, rows, m], in `room`."""
    scores = torch.bmm(wide_query, wide_key, out=room[:, : wide_query.shape[1]])
    return torch.softmax(scores, dim=-1, out=scores)


def _below_zero(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """s·Q with columns that bring the greatest of each row's scores to about 0, [g, n, d + 2]."""
    scaled = query * query.shape[-1] ** -0.5
    some = key[:, :: max(1, key.shape[1] // _SAMPLED_KEYS)]
    greatest = torch.bmm(scaled, some.transpose(1, 2)).amax(dim=-1)
    return _with_columns(scaled, -greatest.to(_exact(query.dtype)))


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _with_columns(rows: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """`rows` [g, n, d] with two columns that add up to `added` [g, n] in spite of their coarse type."""
    high = added.to(rows.dtype)
    low = (added - high.to(added.dtype)).to(rows.dtype)
    return torch.cat([rows, high.unsqueeze(-1), low.unsqueeze(-1)], dim=-1)


def _with_ones(rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([rows, rows.new_ones(*rows.shape[:-1], 2)], dim=-1)
