"""From a model's folder to a frozen `DiffusersModel`: text encoders, UNet, autoencoder, noise schedule, hash."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pseudoword.errors import BadModel
from pseudoword.families import FAMILIES, Family, family_of
from pseudoword.files import HashCache
from pseudoword.models.device import choose_device, choose_dtype
from pseudoword.models.difference import add_difference
from pseudoword.models.diffusers_model import DiffusersModel, prepare, tune_unet
from pseudoword.models.folder import ModelFolder, find_model
from pseudoword.models.protocols import NoiseSchedule, TextEncoder

_SHORT_HASH = 10


def load_model(source: str, *, device: str, precision: str, hash_cache: Path) -> DiffusersModel:
    """Load a bundled model, a folder in diffusers' layout or a hub id, frozen and ready.

    Args:
        source: as the user gave it.
        device: `auto`, `cuda`, `mps` or `cpu`.
        precision: `auto`, `fp32`, `bf16` or `fp16`; for UNet and text encoders. The autoencoder stays in
            float32: it runs once per picture, and half precision there shows as banding.
        hash_cache: JSON file in which weight files' digests are remembered.

    Raises:
        BadModel: there is no such model, or its files are damaged or of another kind.
        BadOption: the device or precision is unknown or not there.
    """
    folder = find_model(source)
    where = choose_device(device)
    dtype = choose_dtype(precision, where)
    _quieten_libraries()
    encoders = _load_encoders(folder, where, dtype)
    cache = HashCache(hash_cache)
    unet = tune_unet(prepare(_load_unet(folder, cache), where, dtype), where)
    scheduler_config = folder.config("scheduler")
    widths = {encoder.slot: encoder.width for encoder in encoders}
    vae = prepare(_load(folder, "vae", "AutoencoderKL"), where, torch.float32)
    _check_sizes(folder, unet, vae)
    return DiffusersModel(
        name=folder.name,
        hash=model_hash(folder, cache),
        source=source,
        family=_family(widths),
        encoders=encoders,
        unet=unet,
        vae=vae,
        zeros_for_empty=len(encoders) > 1 and bool(folder.index().get("force_zeros_for_empty_prompt", True)),
        schedule=_noise_schedule(folder, scheduler_config),
        scheduler_config=scheduler_config,
        device=where,
        dtype=dtype,
    )


def _check_sizes(folder: ModelFolder, unet: Any, vae: Any) -> None:
    if unet.config.sample_size is None or len(vae.config.block_out_channels) < 2:
        raise _damaged(folder, "unet", ValueError("no sample_size, or an autoencoder that does not shrink"))
    channels = vae.config.latent_channels
    if unet.config.in_channels not in (channels, 2 * channels + 1) or unet.config.out_channels != channels:
        raise _damaged(folder, "unet", ValueError("UNet and autoencoder have different latent channels"))


def _load_encoders(folder: ModelFolder, device: torch.device, dtype: torch.dtype) -> tuple[TextEncoder, ...]:
    two = "text_encoder_2" in folder.parts
    first = _load_encoder(folder, "text_encoder", "tokenizer", device, dtype, two=two)
    if not two:
        return (first,)
    return (first, _load_encoder(folder, "text_encoder_2", "tokenizer_2", device, dtype, two=True))


def _load_encoder(
    folder: ModelFolder, part: str, tokenizer: str, device: torch.device, dtype: torch.dtype, *, two: bool
) -> TextEncoder:
    config = folder.config(part)
    second = part.endswith("_2")
    loaded = _load(folder, part, "CLIPTextModelWithProjection" if second else "CLIPTextModel")
    return TextEncoder(
        slot="clip_g" if second else first_slot(config, two=two),
        module=prepare(loaded, device, dtype),
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
        raise _damaged(folder, part, problem) from problem
    if len(tokenizer) != vocabulary_size:
        raise BadModel(
            f"{folder.path / part} knows {len(tokenizer)} tokens",
            expected=f"the {vocabulary_size} of its text encoder",
            next_move="Fetch the model again",
        )
    return tokenizer


def _load_unet(folder: ModelFolder, cache: HashCache) -> Any:
    unet = _load(folder, "unet", "UNet2DConditionModel")
    if folder.difference is not None:
        add_difference(unet, folder.difference, model_hash(replace(folder, difference=None), cache))
    return unet


def _load(folder: ModelFolder, part: str, class_name: str) -> Any:
    """One part as float32; both libraries check the weights' names and shapes against the configuration."""
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
            **{dtype_word: torch.float32},
        )
    except Exception as problem:  # both libraries raise many kinds for damaged folders
        raise _damaged(folder, part, problem) from problem
    if missing := [key for key in report["missing_keys"] if "position_ids" not in key]:
        raise _damaged(folder, part, ValueError(f"weights missing: {', '.join(sorted(missing)[:3])} …"))
    return loaded


def _damaged(folder: ModelFolder, part: str, problem: Exception) -> BadModel:
    first_line = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
    return BadModel(f"{folder.path / part} cannot be loaded ({first_line})", next_move="Fetch the model again")


def _noise_schedule(folder: ModelFolder, config: dict[str, Any]) -> NoiseSchedule:
    """Betas as the model's own scheduler settings give them; DDPM (Ho et al. 2020) is only their calculator."""
    from diffusers import DDPMScheduler

    keys = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    given = {key: config[key] for key in keys if config.get(key) is not None}
    zero_snr = bool(config.get("rescale_betas_zero_snr", False))
    prediction = str(config.get("prediction_type", "epsilon"))
    if prediction not in ("epsilon", "v_prediction"):
        raise BadModel(f"a model that predicts {prediction!r}", expected="epsilon or v_prediction")
    try:
        calculator = DDPMScheduler(**given, rescale_betas_zero_snr=zero_snr)
        alphas = calculator.alphas_cumprod.float()
        if not (len(alphas) > 1 and bool(((alphas >= 0) & (alphas <= 1)).all())):
            raise ValueError("its noise levels make no schedule")
    except Exception as problem:  # diffusers raises what its arithmetic raises
        raise _damaged(folder, "scheduler", problem) from problem
    return NoiseSchedule(alphas_cumprod=alphas, prediction_type=prediction)


def _family(widths: dict[str, int]) -> Family:
    """By widths; a model of unknown widths takes the defaults of the family whose slots it has."""
    known = family_of(widths)
    if known is not None:
        return known
    alike = next(f for f in FAMILIES.values() if f.key != "bundled" and set(f.widths) == set(widths))
    return replace(alike, key="unknown", label="an unknown model", widths=widths)


def model_hash(folder: ModelFolder, cache: HashCache) -> str:
    """sha256 over the hex digests of the weight files in the order of their paths; first ten digits.

    A difference comes last, after the files of the model that it is added to.
    """
    parts = [part for part in folder.parts if part.startswith(("text_encoder", "unet", "vae"))]
    weights = sorted(file for part in parts for file in folder.weights(part)[0])
    if folder.difference is not None:
        weights.append(folder.difference)
    digests = "".join(cache.sha256(file) for file in weights)
    return hashlib.sha256(digests.encode()).hexdigest()[:_SHORT_HASH]


def _quieten_libraries() -> None:
    """Their bars and notices would tear the one progress bar that the command line draws."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
