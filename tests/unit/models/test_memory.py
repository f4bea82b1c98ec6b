"""Memory modes change where weights lie and how much is worked on at once, not what comes out."""

import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadOption
from pseudoword.models.load import load_model
from pseudoword.models.memory import save_memory
from pseudoword.models.protocols import Parts


def opened(source, tmp_path, memory):
    return load_model(str(source), device="cpu", precision="fp32", hash_cache=tmp_path / "hashes.json", memory=memory)


def parts_of(model):
    fields = {name: getattr(model, name) for name in ("name", "encoders", "unet", "vae", "scheduler_config", "hashes")}
    return Parts(**fields, path=None, zeros_for_empty=False)


def everything(model):
    """Conditioning, prediction, encoded and decoded picture, and the gradient of a word's rows."""
    conditioner = Conditioner(model)
    generator = torch.Generator().manual_seed(0)
    edge = model.resolution // model.downscale
    latents = torch.randn(2, model.latent_channels, edge, edge, generator=generator)
    pixels = torch.rand(2, 3, model.resolution, model.resolution, generator=generator) * 2 - 1
    rows = {
        slot: (torch.randn(2, width, generator=generator) / width**0.5).requires_grad_()
        for slot, width in model.widths().items()
    }
    with torch.no_grad():
        both = conditioner.encode(["a photo of a cat", ""], {})
        out = [both.hidden, model.predict(latents, torch.tensor([5, 800]), both)]
        out += [*model.encode_pictures(pixels), model.decode_latents(latents)]
    learned = conditioner.encode(["a photo of zzz"] * 2, {"zzz": rows})
    model.predict(latents, torch.tensor([5, 800]), learned).square().mean().backward()
    return [*out, *(row.grad for row in rows.values())]


@pytest.mark.parametrize("memory", ["medium", "low"])
@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl", "bundled"])
def test_results_are_those_of_the_normal_mode(load, tiny_folder, tmp_path, kind, memory):
    source = kind if kind == "bundled" else tiny_folder(kind)
    expected = everything(load(kind))
    for got, wanted in zip(everything(opened(source, tmp_path, memory)), expected, strict=True):
        assert wanted.abs().sum() > 0
        assert (got - wanted).norm() / wanted.norm() < 1e-3


@pytest.fixture
def watched(load, tiny_folder, tmp_path):
    """A tiny SDXL in a mode, with the names of the parts on the device after each step: watched("medium")."""

    def make(mode):
        model = opened(tiny_folder("sdxl"), tmp_path, "normal")
        return model, save_memory(parts_of(model), mode, torch.device("cpu"))

    return make


def test_in_medium_only_the_part_that_works_is_on_the_device(watched):
    model, state = watched("medium")
    assert state.there == set()
    with torch.no_grad():
        both = Conditioner(model).encode(["a"], {})
        assert state.there == {"text encoders"}
        model.predict(torch.zeros(1, 4, 8, 8), torch.tensor([1]), both)
        assert state.there == {"unet"}
        model.decode_latents(torch.zeros(1, 4, 8, 8))
        assert state.there == {"autoencoder"}


def test_in_low_only_one_block_of_the_unet_is_on_the_device(watched):
    model, state = watched("low")
    seen = []
    for block in (*model.unet.down_blocks, model.unet.mid_block, *model.unet.up_blocks):
        block.register_forward_hook(lambda *_: seen.append(frozenset(state.there)))
    with torch.no_grad():
        model.predict(torch.zeros(1, 4, 8, 8), torch.tensor([1]), Conditioner(model).encode(["a"], {}))
    assert len(seen) == len(set(seen)) == 5
    assert all(len(there) == 2 and "unet" in there for there in seen)


def test_what_learns_stays_on_the_device_until_the_way_back_is_done(watched):
    model, state = watched("low")
    model.encode_pictures(torch.zeros(1, 3, 64, 64))
    rows = {slot: torch.ones(1, width, requires_grad=True) for slot, width in model.widths().items()}
    learned = Conditioner(model).encode(["zzz"], {"zzz": rows})
    loss = model.predict(torch.zeros(1, 4, 8, 8), torch.tensor([1]), learned).sum()
    there = set(state.there)
    loss.backward()
    assert {"text encoders", "unet"} < there
    assert "autoencoder" not in there
    assert len(there) == 7
    assert state.there == there


def test_weights_come_home_to_where_they_were(watched):
    """The home is kept and not written to; what leaves the device is dropped."""
    model, state = watched("medium")
    weight = model.unet.conv_in.weight
    home = weight.data_ptr()
    with torch.no_grad():
        state.need("unet")
        weight.data = weight.data.clone()  # as a device's copy is
        assert weight.data_ptr() != home
        state.need("autoencoder")
    assert weight.data_ptr() == home


def test_small_pictures_are_not_cut_into_tiles_and_large_ones_are(load, tiny_folder, tmp_path):
    model, normal = opened(tiny_folder("sd1"), tmp_path, "low"), load("sd1")
    assert model.vae.use_tiling
    assert model.vae.tile_latent_min_size == 8
    own = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.decode_latents(own), normal.decode_latents(own))
    large = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    assert model.decode_latents(large).shape == (1, 3, 128, 128)
    assert not torch.equal(model.decode_latents(large), normal.decode_latents(large))


def test_an_unknown_mode_is_refused_with_the_list(tiny_folder, tmp_path):
    with pytest.raises(BadOption, match=r"normal \| medium \| low"):
        opened(tiny_folder("sd1"), tmp_path, "tiny")
