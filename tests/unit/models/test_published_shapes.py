"""Real names and shapes: the published SD1.5, SD2.1 and SDXL, on the meta device, which takes no memory.

Oracles: configurations as published with the models in diffusers' layout (written down below), diffusers' own
converters for single files, and the numbers of tensors in the published files.
"""

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from tests.original_layout import open_clip_state, openai_state, unet_state, vae_state
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pseudoword.models.kinds import family_key
from pseudoword.models.shapes import FACTS
from pseudoword.models.single_file import Checkpoint, Part, text_parts
from pseudoword.models.weights import Weights

CROSS = "CrossAttnDownBlock2D"
UNETS = {
    "sd1": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "down_block_types": (CROSS, CROSS, CROSS, "DownBlock2D"),
        "use_linear_projection": False,
    },
    "sd2": {
        "sample_size": 96,
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "down_block_types": (CROSS, CROSS, CROSS, "DownBlock2D"),
        "use_linear_projection": True,
        "upcast_attention": True,
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "down_block_types": ("DownBlock2D", CROSS, CROSS),
        "use_linear_projection": True,
        "transformer_layers_per_block": (1, 2, 10),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
VIT_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
VIT_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
VIT_BIG_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
NUM_TENSORS = {"sd1": (686, 248), "sd2": (686, 248), "sdxl": (1680, 248)}
"""UNet and autoencoder."""


def text_config(widths, **more):
    return CLIPTextConfig(vocab_size=49408, hidden_act="gelu", **widths, **more)


def published(kind):
    """Meta tensors under the names of the published file."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**_unet(kind))
        vae = AutoencoderKL(**VAE)
        first = CLIPTextModel(text_config(VIT_H if kind == "sd2" else VIT_L))
        second = CLIPTextModelWithProjection(text_config(VIT_BIG_G, projection_dim=1280)) if kind == "sdxl" else None
    parts = {"model.diffusion_model.": unet_state(unet), "first_stage_model.": vae_state(vae)}
    if second is not None:
        parts["conditioner.embedders.0.transformer.text_model."] = openai_state(first)
        parts["conditioner.embedders.1.model."] = open_clip_state(second)
    elif kind == "sd2":
        parts["cond_stage_model.model."] = open_clip_state(first)
    else:
        parts["cond_stage_model.transformer.text_model."] = openai_state(first)
    return parts, unet, vae


def _unet(kind):
    given = UNETS[kind]
    return {**given, "up_block_types": tuple(k.replace("Down", "Up") for k in reversed(given["down_block_types"]))}


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def case(request):
    parts, unet, vae = published(request.param)
    state = {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    weights = Weights(path=None, shapes=shapes, read=state.__getitem__)
    return request.param, parts, unet, vae, Checkpoint(weights=weights, family=family_key(weights))


def test_the_exporter_writes_as_many_tensors_as_the_published_files_have(case):
    kind, parts, *_ = case
    unet, vae, *_ = (len(part) for part in parts.values())
    assert (unet, vae) == NUM_TENSORS[kind]


def test_the_family_is_told_by_the_names(case):
    assert case[4].family == case[0]


def test_the_unets_configuration_is_the_published_one(case):
    from pseudoword.models.shapes import unet_config

    kind, _, unet, _, checkpoint = case
    part = Part(checkpoint.weights, ("model.diffusion_model.",))
    config = unet_config(part.shape_of, kind, 1280 if kind == "sdxl" else None)
    with torch.device("meta"):
        made = UNet2DConditionModel(**config)
    for key, value in unet.config.items():
        if key not in ("_use_default_values", "_class_name", "_diffusers_version"):
            got = made.config[key]
            levels = len(unet.config.block_out_channels)
            assert got == value or got == (value,) * levels, key


def test_every_weight_of_the_unet_has_the_place_that_diffusers_gives_it(case):
    from pseudoword.models.keys import unet_place

    kind, parts, unet, _, _ = case
    names = parts["model.diffusion_model."]
    marked = {f"model.diffusion_model.{name}": name for name in names}
    config = {**unet.config, "layers_per_block": 2, "class_embed_type": None}
    theirs = convert_ldm_unet_checkpoint(dict(marked), config)
    attention = tuple("Cross" in block for block in UNETS[kind]["down_block_types"])
    ours = {name: unet_place(name, 2, attention).name for name in unet.state_dict()}
    assert ours == theirs
    assert set(ours.values()) == set(names)


def test_every_weight_of_the_autoencoder_has_the_place_that_diffusers_gives_it(case):
    from pseudoword.models.keys import vae_place

    _, parts, _, vae, _ = case
    names = parts["first_stage_model."]
    ours = {name: vae_place(name, 4).name for name in vae.state_dict()}
    marked = {f"first_stage_model.{name}": torch.full((1, 1, 1, 1), float(i)) for i, name in enumerate(names)}
    converted = convert_ldm_vae_checkpoint(marked, dict(vae.config))
    theirs = {name: list(names)[int(value.flatten()[0])] for name, value in converted.items()}
    assert ours == theirs
    assert set(ours.values()) == set(names)


def test_every_weight_has_its_place_and_shape(case):
    """The whole road of the loader on the file's real names and shapes; only values are missing."""
    from pseudoword.models import single_file

    kind, _, unet, vae, checkpoint = case
    made = single_file.make_unet(checkpoint, torch.float16)
    assert {n: v.shape for n, v in made.state_dict().items()} == {n: v.shape for n, v in unet.state_dict().items()}
    made = single_file.make_vae(checkpoint.weights, kind)
    assert made.config.scaling_factor == FACTS[kind].latents_scale
    assert {n: v.shape for n, v in made.state_dict().items()} == {n: v.shape for n, v in vae.state_dict().items()}
    layers = {"sd1": [12], "sd2": [23], "sdxl": [12, 32]}[kind]
    heads = {"sd1": [12], "sd2": [16], "sdxl": [12, 20]}[kind]
    encoders = single_file.make_encoders(checkpoint, torch.float16)
    assert [encoder.module.config.num_hidden_layers for encoder in encoders] == layers
    assert [encoder.module.config.num_attention_heads for encoder in encoders] == heads
    assert [encoder.slot for encoder in encoders] == [slot for slot, *_ in text_parts(checkpoint)]
    if kind == "sdxl":
        assert encoders[1].module.text_projection.weight.shape == (1280, 1280)
