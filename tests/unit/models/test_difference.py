"""A model stored as a difference is the model that ships plus that difference, and nothing else."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pseudoword.errors import BadModel
from pseudoword.models.difference import FORMAT, add_difference, summed
from pseudoword.models.load import load_model

LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
CONVOLUTION = "conv_in.weight"
BIAS = "conv_out.bias"


@pytest.fixture
def written(load, tmp_path):
    """`written(tensors, **header)` makes a model folder that holds only a difference to the bundled model."""

    def write(tensors: dict[str, torch.Tensor], **header: str) -> Path:
        folder = tmp_path / "other"
        folder.mkdir(exist_ok=True)
        whole = {"format": FORMAT, "base": load("bundled").hash, **header}
        save_file(tensors, folder / "difference.safetensors", metadata=whole)
        return folder

    return write


def opened(folder: Path):
    return load_model(str(folder), device="cpu", precision="fp32", hash_cache=folder / "hashes.json")


def test_pairs_are_multiplied_and_the_rest_is_taken_as_it_is():
    tensors = {
        "a.up": torch.tensor([[1.0, 2.0], [0.0, 1.0]]),
        "a.down": torch.tensor([[1.0, 0.0, 3.0], [2.0, 1.0, 0.0]]),
        "b.add": torch.tensor([0.5, -0.5]),
    }
    added = summed(tensors)
    assert added["a"].tolist() == [[5.0, 2.0, 3.0], [2.0, 1.0, 0.0]]
    assert added["b"].tolist() == [0.5, -0.5]
    assert set(added) == {"a", "b"}


def test_a_difference_changes_the_weights_that_it_names_and_no_other(load, written):
    base = load("bundled")
    before = dict(base.unet.named_parameters())
    draws = torch.Generator().manual_seed(0)
    rows, columns = before[CONVOLUTION].shape[0], before[CONVOLUTION][0].numel()
    up, down = torch.randn(rows, 2, generator=draws), torch.randn(2, columns, generator=draws)
    add = torch.ones(before[BIAS].shape)
    model = opened(written({f"{CONVOLUTION}.up": up, f"{CONVOLUTION}.down": down, f"{BIAS}.add": add}))
    for name, weight in model.unet.named_parameters():
        if name == CONVOLUTION:  # each entry as the sum of products that the format's description gives
            expected = before[name] + torch.einsum("or,ri->oi", up, down).reshape(before[name].shape)
            torch.testing.assert_close(weight, expected)
        elif name == BIAS:
            torch.testing.assert_close(weight, before[name] + 1)
        else:
            assert torch.equal(weight, before[name]), name
    assert model.name == "other"
    assert model.family.key == "bundled"


def test_it_has_a_hash_of_its_own_that_follows_its_content(load, written):
    add = torch.zeros(load("bundled").unet.conv_out.bias.shape)
    folder = written({f"{BIAS}.add": add})  # once: safetensors orders its header anew at every writing
    first, again = opened(folder).hash, opened(folder).hash
    second = opened(written({f"{BIAS}.add": add + 1})).hash
    assert first == again
    assert len({first, second, load("bundled").hash}) == 3


def test_a_difference_to_other_weights_is_refused_with_how_to_make_it_anew(written):
    folder = written({f"{BIAS}.add": torch.zeros(8)}, base="0123456789")
    with pytest.raises(BadModel, match=r"0123456789.*base_model sibling"):
        opened(folder)


@pytest.mark.parametrize(
    "tensors",
    [
        {"nowhere.add": torch.zeros(3)},
        {f"{BIAS}.add": torch.zeros(7)},
        {f"{LINEAR}.up": torch.zeros(256, 2)},
        {f"{LINEAR}.down": torch.zeros(2, 256)},
        {f"{LINEAR}.up": torch.zeros(256, 2), f"{LINEAR}.down": torch.zeros(3, 256)},
        {f"{LINEAR}.times": torch.zeros(2)},
        {},
    ],
)
def test_a_difference_that_does_not_fit_is_refused(load, written, tensors):
    with pytest.raises(BadModel, match="difference"):
        add_difference(load("sd1").unet, written(tensors) / "difference.safetensors", load("bundled").hash)


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_one_clear_error(written, content):
    folder = written({f"{BIAS}.add": torch.zeros(8)})
    (folder / "difference.safetensors").write_bytes(content)
    with pytest.raises(BadModel, match="difference"):
        opened(folder)
