"""Our files under the documented rules of A1111 and ComfyUI, as small readers of their own, and in diffusers.

A1111: reference a1111.md §1.2 and §1.6. ComfyUI: trainers.md §3 (weights-only loading; the encoder's key, else the
first tensor; `string_to_param`'s first value).
"""

import base64
import io
import json
import pickletools
import re
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load
from tests.embedding_files import T5, G, H, L
from tests.unit.embeddings.test_pictures import slow_extract

from pseudoword.embeddings import LAYOUTS, Embedding, Provenance, embedding_to_bytes
from pseudoword.embeddings.writing import SUFFIXES
from pseudoword.errors import BadOption

KNOWN = Provenance(step=500, base_model="v1-5", base_model_hash="cc6cb27103", product="pseudoword")
WORDS = {
    "SD1": Embedding(name="zorp", vectors={"clip_l": L}, provenance=KNOWN),
    "SD2": Embedding(name="zorp", vectors={"clip_h": H}, provenance=KNOWN),
    "SDXL": Embedding(name="zorp", vectors={"clip_l": L, "clip_g": G}, provenance=KNOWN),
    "SD3": Embedding(name="zorp", vectors={"clip_l": L, "clip_g": G, "t5xxl": T5}, provenance=KNOWN),
    "Flux": Embedding(name="zorp", vectors={"clip_l": L, "t5xxl": T5}, provenance=KNOWN),
}


def written() -> dict[str, tuple[bytes, str, str]]:
    """Everything that can be written: id → (content, suffix, word)."""
    found = {}
    for word, embedding in WORDS.items():
        for layout in LAYOUTS:
            for suffix in SUFFIXES:
                if layout != "sdxl-pair":
                    try:
                        content = embedding_to_bytes(embedding, suffix, layout=layout)
                    except BadOption:
                        continue
                    found[f"{word} {layout} {suffix}"] = (content, suffix, word)
    return found


FILES = written()

KEY = "TORCHTENSOR"
MEMBERS = re.compile(r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.data/serialization_id)")
GLOBALS = {
    *("collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"),
    *("torch FloatStorage", "torch HalfStorage", "torch IntStorage", "torch LongStorage", "torch DoubleStorage"),
    *("torch ByteStorage", "torch BFloat16Storage", "torch.nn.modules.container ParameterDict", "builtins set"),
}


def a1111_pickle(content: bytes) -> object:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert all(MEMBERS.fullmatch(name) for name in names)
        assert sum(name.endswith("/data.pkl") for name in names) == 1
        pickled = archive.read(next(name for name in names if name.endswith("/data.pkl")))
    for opcode, argument, _ in pickletools.genops(pickled):
        assert "GLOBAL" not in opcode.name or argument in GLOBALS
    return torch.load(io.BytesIO(content), weights_only=True)


def a1111_picture(content: bytes) -> object:
    with Image.open(io.BytesIO(content)) as picture:
        text = getattr(picture, "text", {}).get("sd-ti-embedding")
        found = base64.b64decode(text) if text else slow_extract(np.asarray(picture.convert("RGB")))
    return json.loads(
        found, object_hook=lambda held: torch.tensor(held["TORCHTENSOR"]) if "TORCHTENSOR" in held else held
    )


def a1111(content: bytes, suffix: str) -> dict[str, torch.Tensor]:
    """Tables by encoder, "" for a lone one; an AssertionError where A1111 refuses the file."""
    if suffix == ".safetensors":
        data = load(content)
    else:
        data = a1111_picture(content) if suffix in (".png", ".webp") else a1111_pickle(content)
    if "string_to_param" in data:
        assert len(data["string_to_param"]) == 1
        return {"": next(iter(data["string_to_param"].values()))}
    assert type(data) is dict
    if "clip_g" in data and "clip_l" in data:
        assert all(isinstance(value, torch.Tensor) for value in data.values())
        return data
    assert len(data) == 1, "multiple terms"
    return {"": next(iter(data.values()))}


A1111 = {
    title: file
    for title, file in FILES.items()
    if file[1] not in (".ckpt", ".jxl") and file[2] in ("SD1", "SD2", "SDXL")
}


@pytest.mark.parametrize("title", [title for title in A1111 if "per-layer" not in title])
def test_a1111_takes_every_file_for_the_models_that_it_knows(title: str) -> None:
    content, suffix, word = A1111[title]
    found = a1111(content, suffix)
    expected = WORDS[word].vectors
    if set(found) == {""}:
        found = {next(iter(expected)): found[""]}
    assert set(found) == set(expected)
    assert all(torch.equal(found[slot].float(), rows) for slot, rows in expected.items())


def comfyui(content: bytes, suffix: str, key: str) -> torch.Tensor:
    """What ComfyUI takes for the encoder `key`."""
    data = load(content) if suffix == ".safetensors" else torch.load(io.BytesIO(content), weights_only=True)
    if "string_to_param" in data:
        return next(iter(data["string_to_param"].values()))
    return data[key] if key in data else next(iter(data.values()))


COMFYUI = {title: file for title, file in FILES.items() if file[1] in (".safetensors", ".pt", ".bin")}


@pytest.mark.parametrize("title", [title for title in COMFYUI if "onetrainer" not in title])
def test_comfyui_takes_every_encoder_from_every_file_with_a_suffix_that_it_looks_for(title: str) -> None:
    content, suffix, word = COMFYUI[title]
    for slot, rows in WORDS[word].vectors.items():
        assert torch.equal(comfyui(content, suffix, slot), rows)


def test_rinongals_code_finds_token_ids_as_tensors_and_parameters_by_the_same_key() -> None:
    data = torch.load(io.BytesIO(FILES["SD1 original .pt"][0]), weights_only=True)
    assert {key: int(token) for key, token in data["string_to_token"].items()} == {"*": 265}
    assert all(token.ndim == 0 for token in data["string_to_token"].values())
    assert torch.equal(data["string_to_param"]["*"], L)


def test_onetrainer_finds_its_own_keys() -> None:
    assert set(load(FILES["SD1 onetrainer .safetensors"][0])) == {"emp_params"}
    assert set(load(FILES["SDXL onetrainer .safetensors"][0])) == {"clip_l", "clip_g"}
    assert set(load(FILES["Flux onetrainer .safetensors"][0])) == {"clip_l", "t5"}
