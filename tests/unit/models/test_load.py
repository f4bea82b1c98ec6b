"""Models of every kind come out of their folders with the right slots; what is no model is named."""

import json
import shutil

import pytest
import torch

from pseudoword.errors import BadModel, BadOption
from pseudoword.models.device import bf16_speed_ratio, choose_device, choose_dtype, precision_name
from pseudoword.models.folder import find_model
from pseudoword.models.load import load_model
from pseudoword.models.protocols import Conditioning
from pseudoword.training.pictures import Preparation, load_pictures
from pseudoword.training.sources import Source


@pytest.mark.parametrize(
    ("kind", "widths", "prediction"),
    [
        ("sd1", {"clip_l": 32}, "epsilon"),
        ("sd2", {"clip_h": 48}, "v_prediction"),
        ("sdxl", {"clip_l": 32, "clip_g": 40}, "epsilon"),
        ("bundled", {"clip_l": 256}, "v_prediction"),
    ],
)
def test_slots_widths_and_prediction_come_from_the_configurations(load, kind, widths, prediction):
    model = load(kind)
    assert model.widths() == widths
    assert model.schedule.prediction_type == prediction
    assert model.schedule.num_timesteps == 1000
    assert model.resolution == (128 if kind == "bundled" else 64)


def test_the_bundled_model_is_a_family_of_its_own(load):
    model = load("bundled")
    assert (model.family.key, model.name, model.source) == ("bundled", "bundled", "bundled")


def test_nothing_in_a_loaded_model_wants_a_gradient(load):
    model = load("sdxl")
    modules = [model.unet, model.vae, *(encoder.module for encoder in model.encoders)]
    assert not any(parameter.requires_grad for module in modules for parameter in module.parameters())


def test_the_hash_follows_the_weights_and_nothing_else(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder("sd1"), tmp_path / "other name")

    def hash_of(folder):
        return load_model(str(folder), device="cpu", precision="fp32", hash_cache=tmp_path / "hashes.json").hash

    first = hash_of(tiny_folder("sd1"))
    assert hash_of(copy) == first
    assert len(first) == 10
    weights = copy / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert hash_of(copy) != first


def test_the_alphas_are_those_of_the_scaled_linear_schedule(load):
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = torch.cumprod(1 - betas, 0)
    torch.testing.assert_close(load("sd1").schedule.alphas_cumprod.double(), expected, rtol=1e-4, atol=1e-6)


def test_latents_of_a_picture_come_back_as_that_picture(load, project_root):
    model = load("bundled")
    folder = project_root / "src/pseudoword/samples/high-contrast/held-back"
    *_, pictures = load_pictures([Source(folder=folder)], Preparation(resolution=128))
    pixels = pictures[0].pixels[None]
    mean, deviation = model.encode_pictures(pixels)
    assert mean.shape == deviation.shape == (1, 8, 16, 16)
    error = (model.decode_latents(mean).clamp(-1, 1) - pixels).square().mean() / 4
    assert -10 * torch.log10(error) > 20  # decibels; a wrong scaling factor gives less than 10


def test_predict_is_the_unet_in_float32(load):
    model = load("sdxl")
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    hidden, pooled = torch.ones(2, 77, 72), torch.ones(2, 24)
    times = torch.tensor([10, 500])
    out = model.predict(latents, times, Conditioning(hidden, pooled))
    sizes = torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)
    expected = model.unet(latents, times, hidden, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}).sample
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected)


def test_an_inpainting_model_is_shown_an_even_grey_under_a_full_mask_unless_told_otherwise(load):
    model = load("sd1-inpainting")
    assert model.takes_mask and not load("sd1").takes_mask
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    conditioning, times = Conditioning(torch.ones(2, 77, 32)), torch.tensor([10, 500])
    grey = model.vae.encode(torch.zeros(2, 3, 64, 64)).latent_dist.mean * model.vae.config.scaling_factor
    shown = torch.cat([torch.ones(2, 1, 8, 8), grey], dim=1)
    expected = model.unet(torch.cat([latents, shown], dim=1), times, conditioning.hidden).sample
    torch.testing.assert_close(model.predict(latents, times, conditioning), expected)
    torch.testing.assert_close(model.predict(latents, times, conditioning, shown), expected)
    other = model.predict(latents, times, conditioning, torch.zeros_like(shown))
    assert not torch.allclose(other, expected)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("no/such/folder/here", "no model"),
        ("someone/some-model", "could not be fetched"),
        ("", "no model"),
    ],
)
def test_a_source_that_is_no_model_is_named_with_the_next_move(source, words):
    with pytest.raises(BadModel, match=words):
        find_model(source or "nowhere")


def test_a_folder_that_lacks_a_part_is_refused_by_the_parts_name(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder("sdxl"), tmp_path / "model")
    shutil.rmtree(copy / "text_encoder_2")
    with pytest.raises(BadModel, match="lacks text_encoder_2"):
        find_model(str(copy))


def test_a_pipeline_of_another_kind_is_refused_by_its_name(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(BadModel, match="FluxPipeline"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("damage", ["cut", "emptied", "another part's"])
def test_damaged_weights_end_in_one_clear_error(tiny_folder, tmp_path, damage):
    copy = shutil.copytree(tiny_folder("sd1"), tmp_path / "model")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif damage == "emptied":
        weights.write_bytes(b"")
    else:
        shutil.copyfile(copy / "vae" / "diffusion_pytorch_model.safetensors", weights)
    with pytest.raises(BadModel, match="unet"):
        load_model(str(copy), device="cpu", precision="fp32", hash_cache=tmp_path / "h.json")


def test_a_tokenizer_of_another_size_than_its_encoder_is_refused(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder("sd1"), tmp_path / "model")
    for file in (copy / "tokenizer").iterdir():
        file.unlink()
    with pytest.raises(BadModel, match="tokenizer"):
        load_model(str(copy), device="cpu", precision="fp32", hash_cache=tmp_path / "h.json")


def test_a_schedule_that_is_none_is_refused(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder("sd1"), tmp_path / "model")
    config = copy / "scheduler" / "scheduler_config.json"
    for change in ({"beta_schedule": "zigzag"}, {"num_train_timesteps": 0}):
        config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
        with pytest.raises(BadModel, match="scheduler"):
            load_model(str(copy), device="cpu", precision="fp32", hash_cache=tmp_path / "h.json")


def test_pickled_weights_are_not_read(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder("sd1"), tmp_path / "model")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(BadModel, match="pickled"):
        load_model(str(copy), device="cpu", precision="fp32", hash_cache=tmp_path / "h.json")


def test_a_device_that_is_not_there_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(BadOption, match="cuda"):
            choose_device("cuda")
    with pytest.raises(BadOption, match="toaster"):
        choose_device("toaster")


@pytest.mark.parametrize(
    ("requested", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_requested_precision_is_taken_as_it_is(requested, dtype):
    assert choose_dtype(requested, torch.device("cpu")) == dtype
    assert precision_name(dtype) == requested


def test_on_a_cpu_auto_takes_bf16_only_where_it_was_measured_faster(monkeypatch):
    from pseudoword.models import device

    cpu = torch.device("cpu")
    monkeypatch.setattr(device, "bf16_speed_ratio", lambda: 3.0)
    assert choose_dtype("auto", cpu) == torch.bfloat16
    monkeypatch.setattr(device, "bf16_speed_ratio", lambda: 0.01)
    assert choose_dtype("auto", cpu) == torch.float32
    assert bf16_speed_ratio(32) > 0


def test_an_unknown_precision_is_refused_with_the_list():
    with pytest.raises(BadOption, match="auto \\| fp32 \\| bf16 \\| fp16"):
        choose_dtype("fp8", torch.device("cpu"))
