"""Reads a folder in diffusers' layout: text encoders, UNet, autoencoder, the scheduler's settings, hash."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pseudoword.errors import BadModel
from pseudoword.files import HashCache
from pseudoword.models.difference import add_difference
from pseudoword.models.folder import ModelFolder
from pseudoword.models.protocols import ModelHashes, Parts, TextEncoder

SHORT_HASH = 10


def read_folder(folder: ModelFolder, dtype: torch.dtype, cache: HashCache) -> Parts:
    """All parts on the CPU: the autoencoder in float32, the others in `dtype`.

    Raises:
        BadModel: a part is damaged or of another kind.
    """
    encoders = _load_encoders(folder, dtype)
    return Parts(
        name=folder.name,
        path=folder.path,
        encoders=encoders,
        unet=_load_unet(folder, dtype, cache),
        vae=load_part(folder, "vae", "AutoencoderKL"),
        scheduler_config=folder.config("scheduler"),
        zeros_for_empty=len(encoders) > 1 and bool(folder.index().get("force_zeros_for_empty_prompt", True)),
        hashes=ModelHashes(sha256=folder_digest(folder, cache)),
    )


def _load_encoders(folder: ModelFolder, dtype: torch.dtype) -> tuple[TextEncoder, ...]:
    two = "text_encoder_2" in folder.parts
    first = _load_encoder(folder, "text_encoder", "tokenizer", dtype, two=two)
    if not two:
        return (first,)
    return (first, _load_encoder(folder, "text_encoder_2", "tokenizer_2", dtype, two=True))


def _load_encoder(folder: ModelFolder, part: str, tokenizer: str, dtype: torch.dtype, *, two: bool) -> TextEncoder:
    config = folder.config(part)
    second = part.endswith("_2")
    loaded = load_part(folder, part, "CLIPTextModelWithProjection" if second else "CLIPTextModel", dtype)
    return TextEncoder(
        slot="clip_g" if second else first_slot(config, two=two),
        module=loaded,
        tokenizer=load_tokenizer(folder, tokenizer, loaded.config.vocab_size),
        width=loaded.config.hidden_size,
        vocabulary_size=loaded.config.vocab_size,
        num_positions=loaded.config.max_position_embeddings,
        penultimate=two,
        pools=second,
    )


def first_slot(config: dict[str, Any], *, two: bool) -> str:
    """SD2's lone encoder is OpenCLIP's ViT-H, which has another activation than OpenAI's ViT-L."""
    is_open_clip = config.get("hidden_size") == 1024 or config.get("hidden_act") == "gelu"
    return "clip_h" if is_open_clip and not two else "clip_l"


def load_tokenizer(folder: ModelFolder, part: str, vocabulary_size: int) -> Any:
    """The tokenizer of a part, checked against its text encoder's number of rows.

    Raises:
        BadModel: its files are damaged, or it knows another number of tokens.
    """
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder.path / part)
    except Exception as problem:  # tokenizers raises bare ones for damaged files
        raise damaged(folder.path / part, problem) from problem
    if len(tokenizer) != vocabulary_size:
        raise BadModel(
            f"{folder.path / part} knows {len(tokenizer)} tokens",
            expected=f"the {vocabulary_size} of its text encoder",
            next_move="Fetch the model again",
        )
    return tokenizer


def _load_unet(folder: ModelFolder, dtype: torch.dtype, cache: HashCache) -> Any:
    if folder.difference is None:
        return load_part(folder, "unet", "UNet2DConditionModel", dtype)
    unet = load_part(folder, "unet", "UNet2DConditionModel")
    add_difference(unet, folder.difference, model_hash(replace(folder, difference=None), cache))
    return unet.to(dtype)


def load_part(folder: ModelFolder, part: str, class_name: str, dtype: torch.dtype = torch.float32) -> Any:
    """One part; both libraries check the weights' names and shapes against the configuration.

    They bring it into `dtype` tensor by tensor: it is never in memory as a whole in float32 as well.
    """
    import diffusers
    import transformers

    library: Any = transformers if class_name.startswith("CLIP") else diffusers
    variant = folder.weights(part)[1]
    dtype_word = "dtype" if library is transformers and int(transformers.__version__[0]) >= 5 else "torch_dtype"
    try:
        loaded, report = getattr(library, class_name).from_pretrained(
            folder.path / part,
            use_safetensors=True,
            variant=variant,
            output_loading_info=True,
            **{dtype_word: dtype},
        )
    except Exception as problem:  # both libraries raise many kinds for damaged folders
        raise damaged(folder.path / part, problem) from problem
    if missing := [key for key in report["missing_keys"] if "position_ids" not in key]:
        raise damaged(folder.path / part, ValueError(f"weights missing: {', '.join(sorted(missing)[:3])} …"))
    return loaded


def damaged(path: Path, problem: Exception) -> BadModel:
    """The error for a part that a library does not take."""
    first_line = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
    return BadModel(f"{path} cannot be loaded ({first_line})", next_move="Fetch the model again")


def model_hash(folder: ModelFolder, cache: HashCache) -> str:
    """First ten digits of `folder_digest`."""
    return folder_digest(folder, cache)[:SHORT_HASH]


def folder_digest(folder: ModelFolder, cache: HashCache) -> str:
    """sha256 over the hex digests of the weight files in the order of their paths.

    A difference comes last, after the files of the model that it is added to.
    """
    parts = [part for part in folder.parts if part.startswith(("text_encoder", "unet", "vae"))]
    weights = sorted(file for part in parts for file in folder.weights(part)[0])
    if folder.difference is not None:
        weights.append(folder.difference)
    return joint_digest(weights, cache)


def joint_digest(files: Iterable[Path], cache: HashCache) -> str:
    """sha256 over the hex digests of several files."""
    return hashlib.sha256("".join(cache.sha256(file) for file in files).encode()).hexdigest()
