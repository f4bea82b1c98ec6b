"""Embedding files as other programs write them, made with plain `torch.save` and the safetensors library.

Structures: reference trainers.md §3 (F1-F11) and a1111.md §1. Each entry is a value that the program saves; what
must be read from it is beside it, written down by hand.
"""

import collections
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from safetensors.torch import save as save_safetensors

Tensor = torch.Tensor


def rows(num: int, width: int, seed: int = 0) -> Tensor:
    """Vectors like a learned word's: small numbers that float32 holds exactly in any of the narrower types too."""
    generator = torch.Generator().manual_seed(1000 * num + width + 7 * seed)
    return torch.randn(num, width, generator=generator).mul(0.4).bfloat16().float()


def torch_zip(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def torch_legacy(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, _use_new_zipfile_serialization=False)
    return content.getvalue()


def torch_zip_of_1_6(value: object) -> bytes:
    """The zip as torch 1.6 to 2.0 wrote it: deflated nowhere, no `byteorder`, no `.data`, another folder's name."""
    import zipfile

    new = io.BytesIO(torch_zip(value))
    old = io.BytesIO()
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            member = name.split("/", 1)[1]
            if member == "data.pkl" or member == "version" or member.startswith("data/"):
                target.writestr(f"mignon-19500/{member}", source.read(name))
    return old.getvalue()


def safetensors(value: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    return save_safetensors({key: table.detach().contiguous().clone() for key, table in value.items()}, metadata)


PICKLES: dict[str, Callable[[object], bytes]] = {
    "torch-zip": torch_zip,
    "torch-zip of 1.6": torch_zip_of_1_6,
    "torch-legacy": torch_legacy,
}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What one embedding of a file must be."""

    layout: str
    family: str
    vectors: dict[str, Tensor]
    inner_key: str | None = None
    name: str = "mignon"
    dtypes: dict[str, str] = field(default_factory=dict)
    candidates: tuple[str, ...] | None = None


L, L1, H, G, B = rows(3, 768), rows(1, 768, 1), rows(2, 1024), rows(3, 1280), rows(2, 256)
T5 = rows(5, 4096)
STEP = {"name": "mignon", "step": 19500, "sd_checkpoint": "45dee52b", "sd_checkpoint_name": "wd-1.2"}
LAYER_NAMES = [f"IN{n:02}" for n in (1, 2, 4, 5, 7, 8)] + ["MID"] + [f"OUT{n:02}" for n in range(3, 12)]
LAYERS = {name: rows(2, 768, number) for number, name in enumerate(LAYER_NAMES)}
LORA = {f"lora_unet_down_blocks_{n}_to_q.{part}": rows(4, 8, n) for n in range(20) for part in ("lora_up.weight",)}


def parameters(*, with_keys: bool = True, **held: Tensor) -> torch.nn.ParameterDict:
    """What rinongal's code saves; older torch has no `_keys` in it."""
    made = torch.nn.ParameterDict({key: torch.nn.Parameter(table) for key, table in held.items()})
    if not with_keys:
        del made.__dict__["_keys"]
    return made


def _one(layout: str, family: str, inner_key: str | None, **vectors: Tensor) -> list[Expected]:
    return [Expected(layout=layout, family=family, vectors=vectors, inner_key=inner_key)]


A = {"string_to_token": {"*": 265}, "string_to_param": {"*": L}}

PICKLED: dict[str, tuple[object, list[Expected]]] = {
    "a1111 SD1": ({**A, **STEP}, _one("a1111", "sd1", "*", clip_l=L)),
    "a1111 SD2": ({"string_to_param": {"*": H}, **STEP}, _one("a1111", "sd2", "*", clip_h=H)),
    "a1111 without checkpoint": ({**A, "name": "x", "step": None}, _one("a1111", "sd1", "*", clip_l=L)),
    "a1111 without step": ({**A, "name": "x"}, _one("a1111", "sd1", "*", clip_l=L)),
    "a1111 without any field": (A, _one("a1111", "sd1", "*", clip_l=L)),
    "a1111 of October 2022": ({**A, "name": "x", "step": 3, "hash": "45dee52b"}, _one("a1111", "sd1", "*", clip_l=L)),
    "a1111 with a gradient": (
        {"string_to_param": {"*": torch.nn.Parameter(L)}, "string_to_token": {"*": 265}, **STEP},
        _one("a1111", "sd1", "*", clip_l=L),
    ),
    "a1111 in half": ({"string_to_param": {"*": L.half()}, **STEP}, _one("a1111", "sd1", "*", clip_l=L)),
    "a1111 with requires_grad": (
        {"string_to_param": {"*": L.clone().requires_grad_()}, **STEP},
        _one("a1111", "sd1", "*", clip_l=L),
    ),
    "a1111 as an OrderedDict": (collections.OrderedDict(**A, **STEP), _one("a1111", "sd1", "*", clip_l=L)),
    "original": (
        {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": parameters(**{"*": L})},
        _one("original", "sd1", "*", clip_l=L),
    ),
    "original without _keys": (
        {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": parameters(with_keys=False, **{"*": L})},
        _one("original", "sd1", "*", clip_l=L),
    ),
    "original LDM": (
        {"string_to_token": {"*": torch.tensor(1008)}, "string_to_param": parameters(**{"*": G})},
        _one("original", "ldm", "*", bert=G),
    ),
    "original with a mapping": ({"string_to_param": {"<x>": L}}, _one("original", "sd1", "<x>", clip_l=L)),
    "original merged": (
        {"string_to_token": {}, "string_to_param": parameters(**{"sculpture": L, "@": L1, "cat": L1})},
        [
            Expected(layout="original", family="sd1", vectors={"clip_l": L}, inner_key="sculpture", name="sculpture"),
            Expected(layout="original", family="sd1", vectors={"clip_l": L1}, inner_key="@", name="mignon_1"),
            Expected(layout="original", family="sd1", vectors={"clip_l": L1}, inner_key="cat", name="cat"),
        ],
    ),
    "notebook": ({"emb": L1[0], "emb2": G[0]}, _one("notebook", "sdxl", None, clip_l=L1, clip_g=G[:1])),
    "notebook, all steps": (
        [{"emb": L[n], "emb2": G[n]} for n in range(3)],
        _one("notebook", "sdxl", None, clip_l=L[2:], clip_g=G[2:]),
    ),
    "notebook, a list per key": (
        {"emb": list(L), "emb2": list(G)},
        _one("notebook", "sdxl", None, clip_l=L[2:], clip_g=G[2:]),
    ),
    "cloneofsimo's pivotal tuning": (
        {"unet:0:up": rows(8, 4), "unet:0:down": rows(4, 8), "<s1>": L1[0], "<s2>": L[0]},
        [
            Expected(layout="lora-bundle", family="sd1", vectors={"clip_l": L1}, inner_key="<s1>", name="<s1>"),
            Expected(layout="lora-bundle", family="sd1", vectors={"clip_l": L[:1]}, inner_key="<s2>", name="<s2>"),
        ],
    ),
}
"""Values that only a pickle can hold."""

FLAT: dict[str, tuple[dict[str, Tensor], list[Expected]]] = {
    "diffusers": ({"<cat-toy>": L}, _one("diffusers", "sd1", "<cat-toy>", clip_l=L)),
    "diffusers 1-D": ({"<cat-toy>": L1[0]}, _one("diffusers", "sd1", "<cat-toy>", clip_l=L1)),
    "diffusers SD2": ({"<cat-toy>": H}, _one("diffusers", "sd2", "<cat-toy>", clip_h=H)),
    "diffusers of the bundled model": ({"cat": B}, _one("diffusers", "bundled", "cat", clip_l=B)),
    "diffusers in double": ({"<cat-toy>": L.double()}, _one("diffusers", "sd1", "<cat-toy>", clip_l=L)),
    "diffusers in bfloat16": ({"<cat-toy>": L.bfloat16()}, _one("diffusers", "sd1", "<cat-toy>", clip_l=L)),
    "diffusers, several tokens": (
        {"<a>": L, "<b>": L1[0]},
        [
            Expected(layout="diffusers", family="sd1", vectors={"clip_l": L}, inner_key="<a>", name="<a>"),
            Expected(layout="diffusers", family="sd1", vectors={"clip_l": L1}, inner_key="<b>", name="<b>"),
        ],
    ),
    "diffusers, numbered": (
        {"tok": L[0], "tok_1": L[1], "tok_2": L[2]},
        _one("diffusers-numbered", "sd1", "tok", clip_l=L),
    ),
    "diffusers, numbered beyond ten": (
        {"tok" if not n else f"tok_{n}": row for n, row in enumerate(rows(12, 768))},
        _one("diffusers-numbered", "sd1", "tok", clip_l=rows(12, 768)),
    ),
    "diffusers, numbered 2-D": (
        {"<tok>": L[:1], "<tok>_1": L[1:2], "<tok>_2": L[2:]},
        _one("diffusers-numbered", "sd1", "<tok>", clip_l=L),
    ),
    "kohya": ({"emb_params": L}, _one("emb_params", "sd1", "emb_params", clip_l=L)),
    "kohya SD2": ({"emb_params": H.half()}, _one("emb_params", "sd2", "emb_params", clip_h=H)),
    "kohya 1-D": ({"emb_params": L1[0]}, _one("emb_params", "sd1", "emb_params", clip_l=L1)),
    "kohya, 1280 wide": (
        {"emb_params": G},
        [
            Expected(
                layout="emb_params",
                family="ambiguous",
                candidates=("ldm", "sdxl"),
                vectors={"clip_g": G},
                inner_key="emb_params",
            )
        ],
    ),
    "an unknown width": (
        {"emb_params": rows(2, 640)},
        [
            Expected(
                layout="emb_params",
                family="unknown",
                candidates=(),
                vectors={"clip_l": rows(2, 640)},
                inner_key="emb_params",
            )
        ],
    ),
    "SDXL": ({"clip_l": L, "clip_g": G}, _one("sdxl", "sdxl", None, clip_l=L, clip_g=G)),
    "SDXL in half": ({"clip_g": G.half(), "clip_l": L.half()}, _one("sdxl", "sdxl", None, clip_l=L, clip_g=G)),
    "SDXL, mixed types": (
        {"clip_g": G.bfloat16(), "clip_l": L.double()},
        _one("sdxl", "sdxl", None, clip_l=L, clip_g=G),
    ),
    "SD3": ({"clip_l": L, "clip_g": G, "t5xxl": T5}, _one("sdxl", "sd3", None, clip_l=L, clip_g=G, t5xxl=T5)),
    "OneTrainer": ({"emp_params": L}, _one("onetrainer", "sd1", "emp_params", clip_l=L)),
    "OneTrainer SD2": ({"emp_params": H}, _one("onetrainer", "sd2", "emp_params", clip_h=H)),
    "OneTrainer with output vectors": (
        {"emp_params": L, "emp_params_out": L * 2},
        _one("onetrainer", "sd1", "emp_params", clip_l=L),
    ),
    "OneTrainer SDXL with output vectors": (
        {"clip_l": L, "clip_l_out": L, "clip_g": G, "clip_g_out": G},
        _one("onetrainer", "sdxl", None, clip_l=L, clip_g=G),
    ),
    "OneTrainer Flux with output vectors": (
        {"clip_l": L, "clip_l_out": L, "t5": T5, "t5_out": T5},
        _one("onetrainer", "flux", None, clip_l=L, t5xxl=T5),
    ),
    "cog": ({"text_encoders_0": L, "text_encoders_1": G}, _one("cog", "sdxl", None, clip_l=L, clip_g=G)),
    "cog SD1": ({"text_encoders_0": L}, _one("cog", "sd1", "text_encoders_0", clip_l=L)),
    "Flux": ({"clip_l": L, "t5": T5}, _one("flux", "flux", None, clip_l=L, t5xxl=T5)),
    "Flux for ComfyUI": ({"clip_l": L.half(), "t5xxl": T5.bfloat16()}, _one("flux", "flux", None, clip_l=L, t5xxl=T5)),
    "XTI": (LAYERS, _one("per-layer", "sd1", None, **{f"clip_l.{n}": t for n, t in enumerate(LAYERS.values())})),
    "XTI 1-D": (
        {name: table[0] for name, table in LAYERS.items()},
        _one("per-layer", "sd1", None, **{f"clip_l.{n}": t[:1] for n, t in enumerate(LAYERS.values())}),
    ),
    "LoRA with tokens": (
        {**LORA, "<s1>": L1[0]},
        [Expected(layout="lora-bundle", family="sd1", vectors={"clip_l": L1}, inner_key="<s1>", name="<s1>")],
    ),
    "LoRA with a bundled SDXL word": (
        {**LORA, "bundle_emb.my.cat.clip_l": L, "bundle_emb.my.cat.clip_g": G},
        [
            Expected(
                layout="lora-bundle",
                family="sdxl",
                vectors={"clip_l": L, "clip_g": G},
                inner_key="my.cat",
                name="my.cat",
            )
        ],
    ),
    "LoRA with a bundled A1111 word": (
        {**LORA, "bundle_emb.cat.string_to_param.*": L},
        [Expected(layout="lora-bundle", family="sd1", vectors={"clip_l": L}, inner_key="cat", name="cat")],
    ),
    "LoRA with a bundled OneTrainer word": (
        {**LORA, "bundle_emb.cat.emp_params": L, "bundle_emb.cat.emp_params_out": L},
        [Expected(layout="lora-bundle", family="sd1", vectors={"clip_l": L}, inner_key="cat", name="cat")],
    ),
    "LoRA with several bundled words": (
        {**LORA, "bundle_emb.a.clip_l": L, "bundle_emb.a.t5": T5, "bundle_emb.b.clip_l": L1, "bundle_emb.b.t5": T5},
        [
            Expected(layout="lora-bundle", family="flux", vectors={"clip_l": L, "t5xxl": T5}, inner_key="a", name="a"),
            Expected(layout="lora-bundle", family="flux", vectors={"clip_l": L1, "t5xxl": T5}, inner_key="b", name="b"),
        ],
    ),
}
"""Values that safetensors can hold, and pickles as well."""


def all_files() -> dict[str, tuple[bytes, str, list[Expected]]]:
    """Every structure in every container that can hold it: id → (content, container, expected)."""
    found: dict[str, tuple[bytes, str, list[Expected]]] = {}
    for title, (value, expected) in {**PICKLED, **FLAT}.items():
        for container, write in PICKLES.items():
            found[f"{title} | {container}"] = (write(value), container.split(" ")[0], expected)
    for title, (value, expected) in FLAT.items():
        found[f"{title} | safetensors"] = (safetensors(value), "safetensors", expected)
    return found
