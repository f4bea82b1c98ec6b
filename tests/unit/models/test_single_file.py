"""A single file in the original layout gives the same latents as the folder that it was made from."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.original_layout import averaged_only, vae_state

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadModel, UnsafePickle
from pseudoword.models.load import load_model

KINDS = ("sd1", "sd2", "sdxl", "sd1-inpainting")
PROMPTS = ["a photo of a cat", "", "a photo of " + "many words " * 40]


def opened(source, tmp_path, precision="fp32", **more):
    return load_model(str(source), device="cpu", precision=precision, hash_cache=tmp_path / "hashes.json", **more)


@torch.no_grad()
def denoised(model, steps=4):
    """Latents after some DDIM steps with guidance; written out here, so that only the model is under test."""
    both = Conditioner(model).encode(["a blurred thing", PROMPTS[0]], {})
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    alphas = model.schedule.alphas_cumprod
    times = torch.linspace(999, 0, steps).long()
    for now, then in zip(times, [*times[1:], None], strict=True):
        out = model.predict(torch.cat([latents, latents]), now.expand(2), both)
        out = out[:1] + 5 * (out[1:] - out[:1])
        a = alphas[now]
        b = alphas[then] if then is not None else torch.tensor(1.0)
        if model.schedule.prediction_type == "v_prediction":
            out = a.sqrt() * out + (1 - a).sqrt() * latents
        clean = (latents - (1 - a).sqrt() * out) / a.sqrt()
        latents = b.sqrt() * clean + (1 - b).sqrt() * out
    return latents


def differs(got, expected):
    return (got - expected).norm() / expected.norm()


@pytest.mark.parametrize("container", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_those_of_the_folder(whole_folder, write_file, tmp_path, kind, container):
    ours = opened(write_file(kind, container), tmp_path)
    theirs = opened(whole_folder(kind), tmp_path)
    assert ours.widths() == theirs.widths()
    assert ours.schedule.prediction_type == theirs.schedule.prediction_type
    assert ours.takes_mask == theirs.takes_mask
    encoded = [Conditioner(model).encode(PROMPTS, {}) for model in (ours, theirs)]
    torch.testing.assert_close(encoded[0].hidden, encoded[1].hidden)
    if kind == "sdxl":
        torch.testing.assert_close(encoded[0].pooled, encoded[1].pooled)
    expected = denoised(theirs)
    assert differs(denoised(ours), expected) < 1e-5
    torch.testing.assert_close(ours.decode_latents(expected), theirs.decode_latents(expected))
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    torch.testing.assert_close(ours.encode_pictures(pixels), theirs.encode_pictures(pixels))


def test_weights_in_half_precision_are_taken(whole_folder, write_file, tmp_path):
    def halved(state):
        return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}

    expected = denoised(opened(whole_folder("sd1"), tmp_path))
    for container in ("safetensors", "zip"):
        got = denoised(opened(write_file("sd1", container, halved), tmp_path))
        assert differs(got, expected) < 0.02


def test_the_running_average_is_taken_only_where_nothing_else_is_there(whole_folder, write_file, tmp_path):
    expected = denoised(opened(whole_folder("sd1"), tmp_path))
    only = write_file("sd1", change=averaged_only)
    assert differs(denoised(opened(only, tmp_path)), expected) < 1e-5

    def both(state):
        doubled = {name: value * 2 for name, value in averaged_only(state).items() if name.startswith("model_ema")}
        return {**state, **doubled, "model_ema.decay": torch.tensor(0.9999)}

    full = write_file("sd1", change=both, name="full")
    assert differs(denoised(opened(full, tmp_path)), expected) < 1e-5


def test_what_trainers_leave_in_a_full_checkpoint_is_left_alone(whole_folder, write_file, tmp_path):
    def with_rest(state):
        rest = {"betas": torch.ones(1000), "alphas_cumprod": torch.ones(1000), "cond_stage_model.logit": torch.ones(1)}
        return {**state, **rest, "first_stage_model.loss.logvar": torch.zeros(())}

    model = opened(write_file("sd1", "zip", with_rest), tmp_path)
    assert differs(denoised(model), denoised(opened(whole_folder("sd1"), tmp_path))) < 1e-5


def test_early_checkpoints_lack_a_word_in_the_text_encoders_names(whole_folder, write_file, tmp_path):
    def shorter(state):
        return {name.replace(".transformer.text_model.", ".transformer."): value for name, value in state.items()}

    model = opened(write_file("sd1", change=shorter), tmp_path)
    assert differs(denoised(model), denoised(opened(whole_folder("sd1"), tmp_path))) < 1e-5


def test_the_block_of_sd2s_encoder_that_nothing_reads_is_left_out(original, write_file, tmp_path):
    """OpenCLIP's ViT-H has 24 blocks; SD2 takes the output of the 23rd, which is where the folder's encoder ends."""
    start = "cond_stage_model.model.transformer.resblocks."

    def of_24(state):
        block = {name: value for name, value in state.items() if name.startswith(f"{start}0.")}
        more = {f"{start}{n}.{name.removeprefix(start + '0.')}": v for n in range(3, 24) for name, v in block.items()}
        return {**state, **more}

    module = opened(write_file("sd2", "zip", of_24), tmp_path).encoders[0].module
    assert module.config.num_hidden_layers == 23


def without_vae(state):
    return {name: value for name, value in state.items() if not name.startswith("first_stage_model.")}


def test_a_checkpoint_without_autoencoder_asks_for_one(write_file, tmp_path):
    with pytest.raises(BadModel, match=r"no autoencoder.*--vae FILE"):
        opened(write_file("sd1", change=without_vae), tmp_path)


@pytest.mark.parametrize(
    "form", ["bare names", "with prefix", "diffusers' names", "2022's names", ".pt", "folder", "pipeline"]
)
def test_an_autoencoder_of_its_own_is_taken_in_every_form(whole_folder, write_file, original, tmp_path, form):
    folder = whole_folder("sd1")
    path = tmp_path / "other.vae.safetensors"
    own = {name: value for name, value in original("sd1").items() if name.startswith("first_stage_model.")}
    bare = {name.removeprefix("first_stage_model."): value.contiguous() for name, value in own.items()}
    theirs = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    if form == "bare names":
        save_file(bare, path)
    elif form == "with prefix":
        save_file({name: value.contiguous() for name, value in own.items()}, path)
    elif form == "diffusers' names":
        save_file(theirs, path)
    elif form == "2022's names":
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        for new, word in old.items():
            theirs = {name.replace(f"attentions.0.{new}.", f"attentions.0.{word}."): v for name, v in theirs.items()}
        save_file(theirs, path)
    elif form == ".pt":
        path = tmp_path / "other.vae.pt"
        torch.save({"state_dict": bare}, path)
    else:
        path = folder / "vae" if form == "folder" else folder
    model = opened(write_file("sd1", change=without_vae), tmp_path, vae=str(path))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(model.decode_latents(latents), opened(folder, tmp_path).decode_latents(latents))
    assert model.hashes.vae_name == path.name
    if path.is_file():
        assert model.hashes.vae == hashlib.sha256(path.read_bytes()).hexdigest()[:10]
    assert len(model.hashes.vae) == 10


def test_a_given_autoencoder_goes_before_the_models_own_and_keeps_its_scale(whole_folder, original, tmp_path):
    path = tmp_path / "zero.safetensors"
    own = {n.removeprefix("first_stage_model."): v for n, v in original("sd1").items() if "first_stage" in n}
    save_file({name: torch.zeros_like(value).contiguous() for name, value in own.items()}, path)
    model = opened(whole_folder("sdxl"), tmp_path, vae=str(path))
    assert not model.decode_latents(torch.ones(1, 4, 8, 8)).any()
    assert model.vae.config.scaling_factor == opened(whole_folder("sdxl"), tmp_path).vae.config.scaling_factor


def test_sdxl_checkpoints_scale_their_latents_as_sdxl_does(write_file, tmp_path):
    assert opened(write_file("sdxl"), tmp_path).vae.config.scaling_factor == 0.13025
    assert opened(write_file("sd1"), tmp_path).vae.config.scaling_factor == 0.18215


def test_no_vae_there_or_something_else_is_said(whole_folder, tmp_path):
    with pytest.raises(BadModel, match="no VAE"):
        opened(whole_folder("sd1"), tmp_path, vae="nowhere.safetensors")
    save_file({"lora_unet_x.lora_up.weight": torch.ones(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(BadModel, match=r"a LoRA.*expected a VAE"):
        opened(whole_folder("sd1"), tmp_path, vae=str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(
    ("beside", "prediction", "expected"),
    [
        (None, "auto", "epsilon"),
        (None, "v", "v_prediction"),
        ("model: {params: {parameterization: v, linear_start: 0.00085}}", "auto", "v_prediction"),
        ("model: {params: {parameterization: eps}}", "v", "v_prediction"),
        ("model: {params: {parameterization: v}}", "epsilon", "epsilon"),
        (
            "model: {params: {denoiser_config: {params: {scaling_config: "
            "{target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling}}}}}",
            "auto",
            "v_prediction",
        ),
        (
            "model: {params: {denoiser_config: {params: {scaling_config: "
            "{target: sgm.modules.diffusionmodules.denoiser_scaling.EpsScaling}}}}}",
            "auto",
            "epsilon",
        ),
        ("model: {params: {}}", "auto", "epsilon"),
    ],
)
def test_the_prediction_comes_from_the_flag_then_the_yaml_beside_it(write_file, tmp_path, beside, prediction, expected):
    path = write_file("sd1")
    if beside:
        path.with_suffix(".yaml").write_text(beside)
    model = opened(path, tmp_path, prediction=prediction)
    assert model.schedule.prediction_type == model.scheduler_config["prediction_type"] == expected


def test_header_and_markers_tell_the_prediction(write_file, original, tmp_path):
    path = tmp_path / "header.safetensors"
    save_file({n: v.contiguous() for n, v in original("sdxl").items()}, path, {"modelspec.prediction_type": "v"})
    assert opened(path, tmp_path).schedule.prediction_type == "v_prediction"

    def marked(state):
        return {**state, "v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}

    model = opened(write_file("sdxl", change=marked), tmp_path)
    assert model.schedule.prediction_type == "v_prediction"
    assert model.schedule.alphas_cumprod[-1] == 0  # zero terminal SNR (Lin et al. 2023, arXiv 2305.08891)


def test_a_yaml_that_cannot_be_read_is_named(write_file, tmp_path):
    path = write_file("sd1")
    path.with_suffix(".yaml").write_text("model: [")
    with pytest.raises(BadModel, match=r"model.yaml cannot be read.*--prediction"):
        opened(path, tmp_path)


def test_an_sd2_model_is_looked_at_to_tell_its_prediction(write_file, tmp_path, monkeypatch):
    """Random weights give no noise back, so that they count as v; an UNet that does is one that predicts epsilon."""
    from diffusers import UNet2DConditionModel

    path = write_file("sd2")
    model = opened(path, tmp_path)
    assert (model.schedule.prediction_type, model.resolution) == ("v_prediction", 768)
    monkeypatch.setattr(UNet2DConditionModel, "forward", lambda _, sample, *args, **more: (sample * 0.9,))
    model = opened(path, tmp_path)
    assert (model.schedule.prediction_type, model.resolution) == ("epsilon", 512)


def test_the_bundled_model_is_told_to_predict_v_by_the_same_look(load):
    from pathlib import Path

    from pseudoword.models.prediction import predicts_v
    from pseudoword.models.protocols import Parts

    model = load("bundled")
    parts = Parts(
        name="",
        path=Path(),
        encoders=model.encoders,
        unet=model.unet,
        vae=model.vae,
        scheduler_config=model.scheduler_config,
        zeros_for_empty=False,
        hashes=model.hashes,
    )
    assert predicts_v(parts, model.device)


def test_both_hash_kinds_are_those_of_a1111(write_file, tmp_path):
    path = write_file("sd1")
    content = path.read_bytes()
    model = opened(path, tmp_path)
    assert len(content) > (1 << 20) + (1 << 16)
    assert model.hash == model.hashes.new == hashlib.sha256(content).hexdigest()[:10]
    assert model.hashes.old == hashlib.sha256(content[1048576 : 1048576 + 65536]).hexdigest()[:8]
    assert model.name == "model"
    cached = json.loads((tmp_path / "hashes.json").read_text())
    assert cached[str(path.resolve())][0] == f"{path.stat().st_size}:{path.stat().st_mtime_ns}"


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(1)}, "hook": print}, tmp_path / "bad.ckpt")
    with pytest.raises(UnsafePickle, match="nothing of it was run"):
        opened(tmp_path / "bad.ckpt", tmp_path)


def missing_one(state):
    return {name: value for name, value in state.items() if name != "model.diffusion_model.out.2.bias"}


def with_another(state):
    return {**state, "model.diffusion_model.output_blocks.9.0.x": torch.ones(1)}


def of_another_shape(state):
    return {**state, "model.diffusion_model.time_embed.0.bias": torch.ones(3)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (missing_one, r"lacks model.diffusion_model.out.2.bias"),
        (with_another, r"output_blocks.9.0.x"),
        (of_another_shape, r"time_embed.0.bias is \[3\]; expected \[64\]"),
    ],
)
def test_a_checkpoint_with_missing_or_foreign_weights_is_refused_by_their_name(write_file, tmp_path, change, words):
    with pytest.raises(BadModel, match=words):
        opened(write_file("sd1", change=change), tmp_path)


def vae_names(folder):
    from diffusers import AutoencoderKL

    return vae_state(AutoencoderKL.from_pretrained(folder / "vae"))


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["lora_unet_down_blocks_0.lora_down.weight", "lora_unet_down_blocks_0.lora_up.weight"], "a LoRA"),
        (["unet.down_blocks.0.attn.to_q.lora_A.weight"], "a LoRA"),
        (["emb_params"], "an embedding"),
        (["clip_g", "clip_l"], "an embedding"),
        (["<cat-toy>"], "an embedding"),
        (["encoder.conv_in.weight", "decoder.conv_in.weight", "quant_conv.weight"], "a VAE"),
        (["control_model.input_hint_block.0.weight"], "a ControlNet"),
        (["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"], "a ControlNet"),
        (["model.diffusion_model.double_blocks.0.img_attn.qkv.weight"], "a Flux checkpoint"),
        (["double_blocks.0.img_mod.lin.weight"], "a Flux checkpoint"),
        (["model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight"], "a Stable Diffusion 3 checkpoint"),
        (
            ["model.diffusion_model.input_blocks.0.0.weight", "conditioner.embedders.0.model.ln_final.weight"],
            "a refiner of SDXL",
        ),
        (["down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"], "a UNet without the other parts"),
        (["model.diffusion_model.input_blocks.0.0.weight"], "a UNet without the other parts"),
        (["text_model.encoder.layers.0.layer_norm1.weight", "a"], "a text encoder"),
        (["image_proj.latents", "ip_adapter.1.to_k_ip.weight"], "an IP-Adapter"),
        (["conv_first.weight", "body.0.weight"], "an upscaler"),
        (["something.else", "entirely"], "no checkpoint of a kind known here"),
    ],
)
@pytest.mark.parametrize("container", ["safetensors", "ckpt"])
def test_other_files_are_named_for_what_they_are(tmp_path, names, what, container):
    path = tmp_path / f"file.{container}"
    tensors = {name: torch.ones(2, 4, 3, 3) if "conv" in name else torch.ones(2, 4) for name in names}
    save_file(tensors, path) if container == "safetensors" else torch.save(tensors, path)
    with pytest.raises(BadModel, match=f"file.{container} is {what}; expected a whole SD1, SD2 or SDXL checkpoint"):
        opened(path, tmp_path)


def test_an_embedding_as_a1111_saves_it_is_named(tmp_path):
    content = {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(1, 768)}, "name": "x", "step": 1}
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(BadModel, match=r"is an embedding"):
        opened(tmp_path / "x.pt", tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a text\n", "a text file"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG picture"),
        (b"GGUF" + bytes(100), "a GGUF file"),
        (bytes(range(256)) * 4, "no file of weights by its content"),
        (b"", "an empty file"),
    ],
)
def test_files_without_weights_are_named_for_what_they_are(tmp_path, content, what):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadModel, match=f"is {what}"):
        opened(path, tmp_path)


@pytest.mark.parametrize("kept", [20, 20_000, 3_000_000])
@pytest.mark.parametrize("container", ["safetensors", "zip"])
def test_half_a_file_is_named_as_such(write_file, tmp_path, kept, container):
    path = write_file("sd1", container)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadModel, match=r"only a part of a file|damaged"):
        opened(path, tmp_path)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_its_vocabulary_and_widths_are_read_without_the_rest(whole_folder, write_file, kind):
    from pseudoword.models.vocabulary import load_vocabulary, read_widths

    path, folder = write_file(kind, change=without_vae), whole_folder(kind)
    ours, theirs = load_vocabulary(str(path)), load_vocabulary(str(folder))
    assert read_widths(str(path)) == ("model", ours.widths())
    for mine, yours in zip(ours.tables, theirs.tables, strict=True):
        assert mine.slot == yours.slot
        assert torch.equal(mine.table, yours.table)
        assert mine.ids("a photo of a cat") == [320, 1125, 539, 320, 2368]
