"""What other programs write about their pictures, as an infotext with A1111's keys; pure.

Most are one JSON object, so a program is a row of a table: where the object lies, and which of its keys means what.
ComfyUI saves the graph of its nodes, in which the sampler is looked up and its inputs are followed. What cannot be
followed is left out, never guessed. Layouts as the programs' own files show them (tests/data/infotext).
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from pseudoword.generation.infotext import Infotext, Value

Texts = Mapping[str, str]
"""Name of a text chunk (or EXIF field) → its text."""
Table = Mapping[str, tuple[str, ...]]
"""A1111's key → the program's own keys for it; the first that is there counts."""

_MOST_HOPS = 64
"""ComfyUI graphs may be long chains, and a damaged one a circle."""

_K_SAMPLERS = {
    "euler": "Euler", "euler_ancestral": "Euler a", "euler_a": "Euler a", "dpmpp_2m": "DPM++ 2M",
    "dpmpp_sde": "DPM++ SDE", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "lms": "LMS", "heun": "Heun", "dpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a", "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive", "ddim": "DDIM", "uni_pc": "UniPC", "unipc": "UniPC", "lcm": "LCM", "plms": "PLMS",
    "dpmpp_2s": "DPM++ 2S a",
}  # fmt: skip
_SCHEDULES = {
    "normal": "Normal", "karras": "Karras", "exponential": "Exponential", "sgm_uniform": "SGM Uniform",
    "simple": "Simple", "ddim_uniform": "DDIM", "beta": "Beta", "native": "Automatic",
}  # fmt: skip

_INVOKE: Table = {
    "Prompt": ("positive_prompt",),
    "Negative prompt": ("negative_prompt",),
    "Steps": ("steps",),
    "Sampler": ("scheduler", "sampler"),
    "CFG scale": ("cfg_scale",),
    "Seed": ("seed",),
    "Width": ("width",),
    "Height": ("height",),
    "Denoising strength": ("strength",),
}
_NOVELAI: Table = {
    "Prompt": ("prompt",),
    "Negative prompt": ("uc",),
    "Steps": ("steps",),
    "Sampler": ("sampler",),
    "Schedule type": ("noise_schedule",),
    "CFG scale": ("scale",),
    "Seed": ("seed",),
    "Width": ("width",),
    "Height": ("height",),
}
_SWARM: Table = {
    "Prompt": ("prompt",),
    "Negative prompt": ("negativeprompt",),
    "Steps": ("steps",),
    "Sampler": ("sampler", "comfyuisampler"),
    "Schedule type": ("scheduler", "comfyuischeduler"),
    "CFG scale": ("cfgscale",),
    "Seed": ("seed",),
    "Width": ("width",),
    "Height": ("height",),
    "Model": ("model",),
}
_FOOOCUS: Table = {
    "Prompt": ("prompt",),
    "Negative prompt": ("negative_prompt",),
    "Steps": ("steps",),
    "Sampler": ("sampler",),
    "Schedule type": ("scheduler",),
    "CFG scale": ("guidance_scale",),
    "Seed": ("seed",),
    "Size": ("resolution",),
    "Model hash": ("base_model_hash",),
    "Model": ("base_model",),
}


def recognise(texts: Texts) -> tuple[str, Infotext | None]:
    """The program that wrote these texts, and what they say; ("", None) where none is known.

    A1111's own `parameters` are not looked at here: they need no translation.
    """
    for program, reader in _PROGRAMS:
        found = reader(texts)
        if found is not None:
            return program, found
    if "workflow" in texts or "prompt" in texts:
        return "ComfyUI", None
    return "", None


def _novelai(texts: Texts) -> Infotext | None:
    comment = as_object(texts.get("Comment", ""))
    if texts.get("Software") != "NovelAI" or not comment:
        return None
    described = {"prompt": texts.get("Description", ""), **comment}
    found = _from_table(described, _NOVELAI)
    return found.with_values({"Clip skip": 2, "ENSD": 31337})  # what A1111 needs to come near (a1111.md §3.6)


def _invoke(texts: Texts) -> Infotext | None:
    """Version 3 and later: one flat object."""
    said = as_object(texts.get("invokeai_metadata", ""))
    if not said:
        return None
    model = said.get("model")
    named: dict[str, Any] = model if isinstance(model, dict) else {}
    return _from_table(said, _INVOKE).with_values({"Model": _text(named.get("name", named.get("model_name")))})


def _invoke_2(texts: Texts) -> Infotext | None:
    """Version 2: `image` inside an object about the program; the prompt may be a list of weighted parts."""
    said = as_object(texts.get("sd-metadata", ""))
    image = said.get("image")
    if not isinstance(image, dict):
        return None
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        parts = [str(part.get("prompt", "")) for part in prompt if isinstance(part, dict)]
        image = {**image, "prompt": " ".join(parts)}
    found = _from_table({"positive_prompt": image.get("prompt"), **image}, _INVOKE)
    return found.with_values({"Model": _text(said.get("model_weights"))})


_DREAM = {"-s": "Steps", "-S": "Seed", "-W": "Width", "-H": "Height", "-C": "CFG scale", "-A": "Sampler"}


def _dream(texts: Texts) -> Infotext | None:
    """Version 1 of InvokeAI: the command line `"prompt" -s50 -S123 -W512 -H512 -C7.5 -Ak_lms`."""
    if "Dream" not in texts:
        return None
    try:
        words = shlex.split(texts["Dream"])
    except ValueError:
        return Infotext(prompt=texts["Dream"])
    said: dict[str, Any] = {"prompt": words[0] if words else ""}
    for number, word in enumerate(words[1:], 1):
        key = _DREAM.get(word[:2])
        if key:
            said[key] = word[2:] or (words[number + 1] if number + 1 < len(words) else "")
    return _from_table(said, {"Prompt": ("prompt",), **{key: (key,) for key in _DREAM.values()}})


def _swarm(texts: Texts) -> Infotext | None:
    said = as_object(texts.get("parameters", "")).get("sui_image_params")
    return _from_table(said, _SWARM) if isinstance(said, dict) else None


def _fooocus(texts: Texts) -> Infotext | None:
    said = as_object(texts.get("parameters", ""))
    if not said or not ("fooocus_scheme" in texts or said.get("metadata_scheme") == "fooocus"):
        return None
    numbers = re.findall(r"\d+", str(said.get("resolution", "")))[:2]
    return _from_table({**said, "resolution": "x".join(numbers) or None}, _FOOOCUS)


def _comfy(texts: Texts) -> Infotext | None:
    nodes = as_object(texts.get("prompt", ""))
    graph = {key: node for key, node in nodes.items() if isinstance(node, dict) and "class_type" in node}
    sampler = next((node for node in graph.values() if {"steps", "positive", "negative"} <= _inputs(node).keys()), None)
    if sampler is None:
        return None
    given = _inputs(sampler)
    latent = _look(graph, given.get("latent_image"), ("width", "height"))
    said = {
        "Prompt": _look(graph, given.get("positive"), ("text",)).get("text"),
        "Negative prompt": _look(graph, given.get("negative"), ("text",)).get("text"),
        "Steps": given.get("steps"),
        "Sampler": given.get("sampler_name"),
        "Schedule type": given.get("scheduler"),
        "CFG scale": given.get("cfg"),
        "Seed": given.get("seed", given.get("noise_seed")),
        "Width": latent.get("width"),
        "Height": latent.get("height"),
        "Model": _look(graph, given.get("model"), ("ckpt_name",)).get("ckpt_name"),
        "Denoising strength": given.get("denoise") if given.get("denoise") != 1 else None,
    }
    return _from_table(said, {key: (key,) for key in said})


def _look(graph: Mapping[str, Any], link: object, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Inputs of the nearest node behind `link` that has all the `wanted` ones as plain values."""
    waiting, seen = [link], set[str]()
    while waiting and len(seen) < _MOST_HOPS:
        link = waiting.pop(0)
        if not (isinstance(link, list) and link and str(link[0]) in graph) or str(link[0]) in seen:
            continue
        seen.add(str(link[0]))
        inputs = _inputs(graph[str(link[0])])
        if all(isinstance(inputs.get(name), str | int | float) for name in wanted):
            return inputs
        waiting += inputs.values()
    return {}


def _inputs(node: Mapping[str, Any]) -> dict[str, Any]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


_PROGRAMS = (
    ("NovelAI", _novelai),
    ("InvokeAI", _invoke),
    ("InvokeAI", _invoke_2),
    ("InvokeAI", _dream),
    ("SwarmUI", _swarm),
    ("Fooocus", _fooocus),
    ("ComfyUI", _comfy),
)


def _from_table(said: Mapping[str, Any], table: Table) -> Infotext:
    found = {key: _text(next((said[name] for name in names if name in said), None)) for key, names in table.items()}
    width, height = found.pop("Width", None), found.pop("Height", None)
    values: dict[str, Value] = dict(found)
    if width and height:
        values["Size"] = f"{width}x{height}"
    values["Sampler"] = _renamed(found.get("Sampler"), _K_SAMPLERS)
    values["Schedule type"] = _renamed(found.get("Schedule type"), _SCHEDULES)
    prompts = values.pop("Prompt", None), values.pop("Negative prompt", None)
    kept = {key: value for key, value in values.items() if value is not None}
    return Infotext(prompt=str(prompts[0] or ""), negative_prompt=str(prompts[1] or ""), values=kept)


def _renamed(name: str | None, names: Mapping[str, str]) -> str | None:
    """A1111's name where it has one; others say `k_euler_a`, `dpmpp_2m_k`, `sample_lms`, `dpmpp_sde_gpu`."""
    if name is None:
        return None
    bare = name.removeprefix("sample_").removeprefix("k_").removesuffix("_k").removesuffix("_gpu")
    return names.get(name, names.get(bare, name))


def _text(value: object) -> str | None:
    """Numbers and texts as text; all else is no field of an infotext."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return value.strip() if isinstance(value, str) else repr(value).removesuffix(".0")


def as_object(text: str) -> dict[str, Any]:
    """The JSON object that a text holds; empty where it holds none."""
    try:
        value = json.loads(text) if text.lstrip()[:1] == "{" else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
