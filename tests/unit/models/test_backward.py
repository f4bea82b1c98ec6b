"""What a training step's way back computes, and what it does not: the only gradients of the program are the rows'."""

import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.models.load import load_model


def one_step(model):
    """The loss, and the learned rows."""
    rows = {
        slot: torch.randn(2, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
        for slot, width in model.widths().items()
    }
    conditioning = Conditioner(model).encode(["a zzz"], {"zzz": rows})
    latents = torch.randn(1, model.latent_channels, 8, 8, generator=torch.Generator().manual_seed(1))
    return model.predict(latents, torch.tensor([500]), conditioning).square().mean(), rows


def modules_of(model):
    return [model.unet, model.vae, *(encoder.module for encoder in model.encoders)]


def leaves_of(loss):
    """Tensors at which the graph ends."""
    seen, found, waiting = set(), [], [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found += [node.variable] if hasattr(node, "variable") else []
        waiting += [following for following, _ in node.next_functions]
    return found


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl", "bundled"])
def test_the_graph_ends_at_the_rows_and_nowhere_else(load, kind):
    loss, rows = one_step(load(kind))
    assert {id(leaf) for leaf in leaves_of(loss)} == {id(table) for table in rows.values()}


@pytest.mark.parametrize("memory", ["normal", "low"])
@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_no_weight_gets_a_gradient(tiny_folder, tmp_path, kind, memory):
    cache = tmp_path / "hashes.json"
    model = load_model(str(tiny_folder(kind)), device="cpu", precision="fp32", hash_cache=cache, memory=memory)
    loss, rows = one_step(model)
    loss.backward()
    weights = [weight for module in modules_of(model) for weight in module.parameters()]
    assert weights
    assert all(weight.grad is None and not weight.requires_grad for weight in weights)
    assert all(table.grad is not None and table.grad.abs().sum() > 0 for table in rows.values())


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_the_way_back_ends_at_the_first_cross_attention(load, kind):
    """Every layer before it works on numbers that need no gradient, so that autograd keeps nothing of them."""
    model = load(kind)
    recorded = []
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: recorded.append((name, out.requires_grad)))
        for name, module in model.unet.named_modules()
        if not list(module.children()) or name.endswith("attn2")
    ]
    try:
        one_step(model)
    finally:
        for hook in hooks:
            hook.remove()
    names = [name for name, _ in recorded]
    attention = next(name for name in names if name.endswith("attn2"))
    first = names.index(f"{attention}.to_k")
    assert names.index("conv_in") < first
    assert any("attn1" in name for name in names[:first])
    assert [name for name, needs in recorded[:first] if needs] == []
    assert dict(recorded)["conv_out"]
