"""Stage 5: the trained parts as one StableDiffusionPipeline folder in half precision.

The text encoder's tensors are named `text_model.…` whatever transformers calls them in memory: version 4
needs the prefix and version 5 reads it. The text encoder's configuration says `float32`: version 5 loads in the
precision that it names, diffusers' networks load in fp32, and a folder that says `float16` breaks when it is
loaded without a `dtype`. No safety checker: the training pictures are emoji.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from base_model.autoencoder import load_vae
from base_model.denoiser import load_denoiser, tokenizer_folder
from base_model.objective import BETA_END, BETA_START, NUM_TIMESTEPS
from base_model.work import Work
from pseudoword.files import atomic_path, write_json

SCHEDULER = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": NUM_TIMESTEPS,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
TEXT_PREFIX = "text_model."
TEXT_CONFIG = (
    *("attention_dropout", "bos_token_id", "eos_token_id", "hidden_act", "hidden_size", "initializer_factor"),
    *("initializer_range", "intermediate_size", "layer_norm_eps", "max_position_embeddings", "model_type"),
    *("num_attention_heads", "num_hidden_layers", "pad_token_id", "projection_dim", "vocab_size"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of `export`: none."""


def pipeline_folder(work: Work) -> Path:
    """Where the exported pipeline lies."""
    return work.folder("export") / "pipeline"


def run(work: Work, options: ExportOptions) -> None:
    """Write the pipeline folder; `model_index.json` comes last, so a folder with it is whole."""
    scale = work.facts("latents")["scaling_factor"]
    work.facts("denoiser")
    folder = pipeline_folder(work)
    text_encoder, unet = load_denoiser(work)
    vae = load_vae(work)
    vae.register_to_config(scaling_factor=round(scale, 6))
    _write_diffusers(vae, folder / "vae")
    _write_diffusers(unet, folder / "unet")
    _write_text_encoder(text_encoder, folder / "text_encoder")
    shutil.copytree(tokenizer_folder(work), folder / "tokenizer", dirs_exist_ok=True)
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)
    write_json(folder / "model_index.json", PIPELINE)
    networks = {"text_encoder": text_encoder, "unet": unet, "vae": vae}
    weights = {part: count(network) for part, network in networks.items()}
    work.finish("export", {"weights": weights, "bytes": _bytes(folder)})
    print(f"exported to {folder}")


def count(network: torch.nn.Module) -> int:
    """Number of weights."""
    return sum(weight.numel() for weight in network.parameters())


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write_diffusers(network: Any, folder: Path) -> None:
    config = json.loads(network.to_json_string())
    config.pop("_name_or_path", None)
    write_json(folder / "config.json", config)
    _write_weights(network.state_dict(), folder / "diffusion_pytorch_model.safetensors")


def _write_text_encoder(network: Any, folder: Path) -> None:
    config = network.config.to_dict()
    kept = {name: config[name] for name in TEXT_CONFIG}
    write_json(folder / "config.json", {"architectures": ["CLIPTextModel"], **kept, "torch_dtype": "float32"})
    named = {TEXT_PREFIX + name.removeprefix(TEXT_PREFIX): value for name, value in network.state_dict().items()}
    _write_weights(named, folder / "model.safetensors")


def _write_weights(tensors: dict[str, torch.Tensor], path: Path) -> None:
    halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(halves, temporary, metadata={"format": "pt"})
