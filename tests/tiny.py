"""Tiny random-weight models with the module structure of SD1, SD2 and SDXL, built in the test process.

Small widths, about 10⁵ weights, written as folders in diffusers' layout so that they take the same road through
the code as real ones. The tokenizer is the bundled model's, or CLIP's own where a single file is made of the model
(`original_layout.py`). The SDXL-shaped one has `eos_token_id=2` in both text encoders' configurations, as the
published models have it. Heads: eight in the UNet of SD1, one for 64 channels elsewhere, as in the published models.
"""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pseudoword.models.clip_tokenizer import VOCABULARY_SIZE, write_tokenizer

KINDS = ("sd1", "sd2", "sdxl")
INPAINTING = "-inpainting"
"""Behind a kind's name: the same with the nine input channels of inpainting models."""
BUNDLED = Path(str(files("pseudoword"))) / "models" / "bundled"
VOCABULARY = 4316
EOS = 4315


def write_tiny_model(kind: str, folder: Path, *, whole_vocabulary: bool = False) -> Path:
    """Write a model of this kind, such as `sd1` or `sd1-inpainting`; the weights are the same every time."""
    masks = kind.endswith(INPAINTING)
    kind = kind.removesuffix(INPAINTING)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(KINDS.index(kind))
        folder.mkdir(parents=True)
        _write_encoders(kind, folder, VOCABULARY_SIZE if whole_vocabulary else VOCABULARY)
        cross = {"sd1": 32, "sd2": 48, "sdxl": 32 + 40}[kind]
        UNet2DConditionModel(**_unet_config(kind, cross) | {"in_channels": 9 if masks else 4}).save_pretrained(
            folder / "unet"
        )
        AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=64,
            scaling_factor=0.13025 if kind == "sdxl" else 0.18215,
        ).save_pretrained(folder / "vae")
    _write_json(folder / "scheduler" / "scheduler_config.json", _scheduler_config(kind))
    pipeline = f"StableDiffusion{'XL' if kind == 'sdxl' else ''}{'Inpaint' if masks else ''}Pipeline"
    _write_json(folder / "model_index.json", {"_class_name": pipeline})
    return folder


def _write_encoders(kind: str, folder: Path, size: int) -> None:
    width = 48 if kind == "sd2" else 32
    first = _text_config(size, width, "gelu" if kind == "sd2" else "quick_gelu", 2 if kind == "sdxl" else size - 1)
    CLIPTextModel(first).save_pretrained(folder / "text_encoder")
    _write_tokenizer(folder / "tokenizer", size, pad="!" if kind == "sd2" else None)
    if kind == "sdxl":
        second = _text_config(size, 40, "gelu", 2)
        CLIPTextModelWithProjection(second).save_pretrained(folder / "text_encoder_2")
        _write_tokenizer(folder / "tokenizer_2", size, pad="!")


def _text_config(size: int, width: int, activation: str, eos: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=24,
        num_hidden_layers=3,
        num_attention_heads=1,
        hidden_act=activation,
        bos_token_id=size - 2,
        eos_token_id=eos,
        pad_token_id=size - 1,
        initializer_factor=4.0,
    )


def _unet_config(kind: str, cross: int) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if kind == "sdxl":
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + 24,
        }
    return {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": cross,
        "attention_head_dim": 8 if kind == "sd1" else 1,
        "norm_num_groups": 8,
        **extra,
    }


def _scheduler_config(kind: str) -> dict[str, Any]:
    return {
        "_class_name": "DDIMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction" if kind == "sd2" else "epsilon",
        "steps_offset": 1,
        "clip_sample": False,
        "set_alpha_to_one": False,
    }


def _write_tokenizer(folder: Path, size: int, pad: str | None) -> None:
    if size == VOCABULARY_SIZE:
        write_tokenizer(folder, pad or "<|endoftext|>")
        return
    shutil.copytree(BUNDLED / "tokenizer", folder)
    if pad is not None:
        config = json.loads((folder / "tokenizer_config.json").read_text())
        _write_json(folder / "tokenizer_config.json", {**config, "pad_token": pad})


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
