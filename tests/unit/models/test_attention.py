"""Attention in tiles against torch's own, in value and gradient."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from pseudoword.models import attention
from pseudoword.models.attention import tiled_attention

SHAPES = [(2, 3, 37, 37, 8), (1, 2, 200, 77, 40), (1, 1, 64, 300, 16)]
"""Pictures, heads, queries, keys, width."""


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Several tiles, the last one smaller, at sizes that a test can afford."""
    monkeypatch.setattr(attention, "_TILE_SCORES", 16 * 300)
    monkeypatch.setattr(attention, "_LEAST_ROWS", 16)


def drawn(shape, dtype, spread=1.0):
    pictures, heads, queries, keys, width = shape
    generator = torch.Generator().manual_seed(0)
    sizes = [queries, keys, keys]
    q, k, v = (torch.randn(pictures, heads, n, width, generator=generator, dtype=torch.float64) for n in sizes)
    upstream = torch.randn(q.shape, generator=generator, dtype=torch.float64)
    rounded = [tensor.to(dtype) for tensor in (q * spread, k, v, upstream)]
    return [tensor.requires_grad_() for tensor in rounded[:3]], rounded[3]


def results(function, inputs, upstream):
    out = function(*inputs)
    return [out.detach(), *torch.autograd.grad(out, inputs, upstream)]


def exact(inputs, upstream):
    return results(
        scaled_dot_product_attention,
        [tensor.detach().double().requires_grad_() for tensor in inputs],
        upstream.double(),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_torch(shape):
    inputs, upstream = drawn(shape, torch.float64)
    for got, wanted in zip(results(tiled_attention, inputs, upstream), exact(inputs, upstream), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


def test_gradients_are_differences_of_the_value():
    inputs, _ = drawn((1, 2, 21, 19, 4), torch.float64)
    assert torch.autograd.gradcheck(tiled_attention, inputs)


@pytest.mark.parametrize("spread", [1.0, 8.0, 30.0], ids=["flat", "peaked", "nearly one-hot"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_rounding_stays_in_the_size_of_the_type(shape, dtype, spread):
    """Relative to float64 on the same rounded inputs, and never much worse than torch's fused operator."""
    inputs, upstream = drawn(shape, dtype, spread)
    wanted = exact(inputs, upstream)
    ours, fused = (results(f, inputs, upstream) for f in (tiled_attention, scaled_dot_product_attention))
    allowed = 6 * torch.finfo(dtype).eps
    for got, other, true in zip(ours, fused, wanted, strict=True):
        error, usual = ((tensor.double() - true).norm() / true.norm() for tensor in (got, other))
        assert error < max(allowed, 3 * usual)


def test_queries_that_need_no_gradient_get_none():
    (q, k, v), upstream = drawn(SHAPES[1], torch.float64)
    expected = torch.autograd.grad(scaled_dot_product_attention(q, k, v), (k, v), upstream)
    got = torch.autograd.grad(tiled_attention(q.detach(), k, v), (k, v), upstream)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cross", [False, True])
def test_the_processor_does_what_diffusers_own_does(cross, monkeypatch):
    """Above and below the number of keys up to which it is written out."""
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    generator = torch.Generator().manual_seed(0)
    module = Attention(query_dim=32, cross_attention_dim=24 if cross else None, heads=4, dim_head=8).requires_grad_(
        False
    )
    tokens = torch.randn(2, 50, 32, generator=generator, requires_grad=True)
    context = torch.randn(2, 20, 24, generator=generator, requires_grad=True) if cross else None
    learned = [tensor for tensor in (tokens, context) if tensor is not None]

    def run(processor, most):
        monkeypatch.setattr(attention, "MAX_PLAIN_TOKENS", most)
        module.set_processor(processor)
        out = module(tokens, encoder_hidden_states=context)
        return [out, *torch.autograd.grad(out.square().sum(), learned)]

    wanted = run(AttnProcessor2_0(), 0)
    for most in (0, 256):
        for got, true in zip(run(attention.TiledProcessor(), most), wanted, strict=True):
            torch.testing.assert_close(got, true, rtol=1e-4, atol=1e-5)
