"""Models of the published shapes with random weights, for measurements of time and memory; never in the repository.

Written once, in half precision as the published files are, below ~/.cache/pseudoword/bench, so that both programs of a
comparison load the same files by their own ways.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pseudoword.models.clip_tokenizer import write_tokenizer

CACHE = Path("~/.cache/pseudoword/bench").expanduser()
_VAE: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
}
_SCHEDULER: dict[str, Any] = {
    "_class_name": "DDPMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}


def random_model(kind: str) -> Path:
    """Folder of a model shaped like `sd15` or `sdxl`, in diffusers' layout; made at the first call."""
    folder = CACHE / kind
    done = folder / "model_index.json"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"sd15": _sd15, "sdxl": _sdxl}[kind]()
    for name, make in parts.items():
        _filled(make).save_pretrained(folder / name)
    write_tokenizer(folder / "tokenizer")
    if kind == "sdxl":
        write_tokenizer(folder / "tokenizer_2", pad="!")
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(_SCHEDULER))
    pipeline = f"StableDiffusion{'XL' if kind == 'sdxl' else ''}Pipeline"
    done.write_text(json.dumps({"_class_name": pipeline}))
    return folder


def _sd15() -> dict[str, Any]:
    return {
        "unet": lambda: UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        "vae": lambda: AutoencoderKL(**_VAE, sample_size=512, scaling_factor=0.18215),
        "text_encoder": lambda: CLIPTextModel(_text(768, 3072, 12, 12, "quick_gelu")),
    }


def _sdxl() -> dict[str, Any]:
    return {
        "unet": lambda: UNet2DConditionModel(
            sample_size=128,
            cross_attention_dim=2048,
            attention_head_dim=(5, 10, 20),
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ),
        "vae": lambda: AutoencoderKL(**_VAE, sample_size=1024, scaling_factor=0.13025),
        "text_encoder": lambda: CLIPTextModel(_text(768, 3072, 12, 12, "quick_gelu")),
        "text_encoder_2": lambda: CLIPTextModelWithProjection(_text(1280, 5120, 32, 20, "gelu")),
    }


def _text(width: int, inner: int, layers: int, heads: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_act=activation,
        projection_dim=width,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )


def _filled(make: Any) -> Any:
    """Weights of a size that keeps activations near 1, whatever the depth; norms are left neutral."""
    with torch.device("meta"):
        module = make().half()
    module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.ndim > 1:
                reach = 0.02 if "embedding" in name else (3 / weight[0].numel()) ** 0.5
                weight.copy_(torch.empty(weight.shape).uniform_(-reach, reach, generator=generator))
            else:
                weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        for name, buffer in module.named_buffers():
            if name.endswith("position_ids"):
                buffer.copy_(torch.arange(buffer.shape[-1]).expand_as(buffer))
    return module
