"""An autoencoder given beside the model (`--vae`): a file of either layout, or a folder in diffusers' layout."""

import re
from dataclasses import replace

from pseudoword.errors import BadModel
from pseudoword.families import Family
from pseudoword.files import HashCache
from pseudoword.models.folder import ModelFolder, look
from pseudoword.models.folder_parts import SHORT_HASH, joint_digest, load_part
from pseudoword.models.keys import vae_place
from pseudoword.models.protocols import Parts
from pseudoword.models.shapes import FACTS
from pseudoword.models.single_file import make_vae
from pseudoword.models.weights import Weights, open_weights

_OLD_WORDS = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""diffusers' names of an attention's layers until 2023."""
_LEVEL = re.compile(r"encoder\.down_blocks\.(\d+)\.")


def read_vae(given: str, parts: Parts, family: Family, cache: HashCache) -> Parts:
    """The parts with the autoencoder at `given` in place of their own.

    A file says nothing of the latents' scale: it is that of the model's own autoencoder, or of its family.

    Raises:
        BadModel: there is no autoencoder; the message names what is there.
    """
    path, exists = look(given)
    if not exists:
        raise BadModel(f"no VAE {given!r} here", expected="a file or folder", next_move="Check the path given to --vae")
    if path.is_dir():
        inner = path / "vae" if (path / "vae").is_dir() else path
        folder = ModelFolder(path=inner.parent, name=inner.name, parts=(inner.name,))
        vae = load_part(folder, inner.name, "AutoencoderKL")
        digest = joint_digest(folder.weights(inner.name)[0], cache)
    else:
        weights = _original_names(open_weights(path))
        vae = make_vae(weights, family.key if family.key in FACTS else "sd1")
        if parts.vae is not None:
            vae.register_to_config(scaling_factor=parts.vae.config.scaling_factor)
        digest = cache.sha256(path)
    hashes = replace(parts.hashes, vae=digest[:SHORT_HASH], vae_name=path.resolve().name)
    return replace(parts, vae=vae, hashes=hashes)


def _original_names(weights: Weights) -> Weights:
    """A file with diffusers' names (its own folders' files) under the original ones; others as they are."""
    levels = [int(match[1]) for name in weights.shapes if (match := _LEVEL.search(name))]
    if not levels:
        return weights
    actual: dict[str, str] = {}
    for name in weights.shapes:
        modern = name
        for old, new in _OLD_WORDS.items():
            modern = modern.replace(old, new)
        actual[vae_place(modern, max(levels) + 1).name] = name
    shapes = {original: weights.shapes[name] for original, name in actual.items()}
    return replace(weights, shapes=shapes, read=lambda original: weights.read(actual[original]))
