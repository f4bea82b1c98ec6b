"""The table of readers against readers: diffusers itself, and the documented rules of the other programs.

The rules are written here from reference a1111.md §1.1 and §1.2 and trainers.md §3 ("Reader compatibility"), in our
own words and apart from the table. A verdict of "yes" must mean that a reader gives every vector to the text encoder
that it belongs to; "no", that it refuses or gives something else. For "partly" the table promises nothing.
"""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from pseudoword.cli.main import app
from pseudoword.services.inspect import inspect_file

L, H, G, T5 = 768, 1024, 1280, 4096
WIDTH_SLOTS = {L: "clip_l", H: "clip_h", G: "clip_g", T5: "t5xxl"}


def rows(count, width, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * 0.02


def a1111_object(table, **fields):
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": table}, **fields}


def parameters(table):
    return torch.nn.ParameterDict({"*": torch.nn.Parameter(table)})


LAYERS = ["IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{n:02}" for n in range(3, 12))]
FILES: dict[str, object] = {
    "a1111.pt": a1111_object(rows(2, L), name="zorp", step=3),
    "a1111-sd2.pt": a1111_object(rows(2, H), name="zorp", step=3),
    "original.pt": {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": parameters(rows(2, L))},
    "token.safetensors": {"<w>": rows(2, L)},
    "token.bin": {"<w>": rows(2, L)},
    "numbered.safetensors": {"zorp": rows(1, L, 1)[0], "zorp_1": rows(1, L, 2)[0]},
    "two-tokens.safetensors": {"<a>": rows(2, L, 1), "<b>": rows(1, L, 2)},
    "kohya.safetensors": {"emb_params": rows(2, L)},
    "kohya.pt": {"emb_params": rows(2, L)},
    "kohya-sd2.safetensors": {"emb_params": rows(3, H)},
    "xl.safetensors": {"clip_l": rows(2, L), "clip_g": rows(2, G)},
    "xl.pt": {"clip_l": rows(2, L), "clip_g": rows(2, G)},
    "onetrainer.safetensors": {"emp_params": rows(2, L)},
    "onetrainer-out.safetensors": {"emp_params": torch.zeros(2, L), "emp_params_out": rows(2, L)},
    "cog.pti": {"text_encoders_0": rows(2, L), "text_encoders_1": rows(2, G)},
    "notebook.pt": {"emb": [rows(2, L)], "emb2": [rows(2, G)]},
    "flux.safetensors": {"clip_l": rows(2, L), "t5": rows(2, T5)},
    "xti.pt": {key: rows(1, L, number) for number, key in enumerate(LAYERS)},
}


def write(folder: Path, name: str) -> Path:
    path = folder / name
    if path.suffix == ".safetensors":
        save_file(FILES[name], path)
    else:
        torch.save(FILES[name], path)
    return path


def opened(path: Path):
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)


def lone(table):
    table = table.reshape(-1, table.shape[-1])
    return {WIDTH_SLOTS[table.shape[-1]]: table}


def read_a1111(path: Path):
    """A1111's own restricted loading admits ParameterDict, which torch's does not."""
    assert path.suffix in {".pt", ".bin", ".safetensors"}
    data = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=False)
    if "string_to_param" in data:
        ((_, table),) = data["string_to_param"].items()
        return lone(table.detach())
    if {"clip_l", "clip_g"} <= set(data):
        return {slot: data[slot] for slot in ("clip_l", "clip_g")}
    ((_, table),) = data.items()
    assert isinstance(table, torch.Tensor)
    assert table.shape[-1] in (L, H)  # other widths are skipped by every model that it loads
    return lone(table)


def read_comfyui(path: Path, slots):
    """For every text encoder of the model: the tensor of its key, else the first one, if its width fits."""
    data = opened(path)
    given = {}
    for slot in slots:
        inner = data.get("string_to_param", data)
        table = inner[slot] if slot in inner else next(iter(inner.values()))
        if WIDTH_SLOTS[table.shape[-1]] == slot:
            given[slot] = table.reshape(-1, table.shape[-1])
    return given


def read_invokeai(path: Path):
    assert path.suffix in {".pt", ".bin", ".safetensors", ".ckpt", ".pth"}
    data = opened(path)
    first = next(iter(data.values()))
    if "string_to_token" in data:
        width = next(iter(data["string_to_param"].values())).shape[-1]
    elif "emb_params" in data:
        width = data["emb_params"].shape[-1]
    else:
        width = data["clip_g"].shape[-1] if "clip_g" in data else first.shape[0]
    assert width in (L, H, G)
    if "string_to_param" in data:
        return lone(next(iter(data["string_to_param"].values())))
    if "emb_params" in data:
        return lone(data["emb_params"])
    return {slot: data[slot] for slot in ("clip_l", "clip_g")} if "clip_g" in data else lone(first)


def read_sdnext(path: Path, slots):
    assert path.suffix in {".pt", ".safetensors"}
    if path.suffix == ".pt":
        return lone(opened(path)["string_to_param"]["*"])
    tables = list(load_file(path).values())
    assert len(tables) <= len(slots)
    given = {WIDTH_SLOTS[table.shape[-1]]: table for table in tables}
    assert set(given) <= set(slots) <= {"clip_l", "clip_h", "clip_g"}
    return given


def read_kohya(path: Path, slots):
    data = opened(path)
    if slots == ["clip_l", "clip_g"]:
        return {slot: data[slot] for slot in slots}
    assert slots in (["clip_l"], ["clip_h"])
    return lone(next(iter(data.get("string_to_param", data).values())))


def read_diffusers(path: Path, slots):
    """diffusers itself, on text encoders of the real widths; one call for each, as its users have to make."""
    from diffusers.loaders import TextualInversionLoaderMixin
    from tests.tiny import BUNDLED, VOCABULARY
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    class Pipeline(TextualInversionLoaderMixin):
        components: dict[str, object] = {}  # noqa: RUF012 (diffusers asks for it)
        hf_device_map = None

    given = {}
    for slot in slots:
        width = {"clip_l": L, "clip_h": H, "clip_g": G, "t5xxl": T5}[slot]
        config = CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=width, intermediate_size=8, num_hidden_layers=1, num_attention_heads=4
        )
        encoder, tokenizer = CLIPTextModel(config), CLIPTokenizer.from_pretrained(BUNDLED / "tokenizer")
        Pipeline().load_textual_inversion(str(path), text_encoder=encoder, tokenizer=tokenizer)
        added = list(range(VOCABULARY, len(tokenizer)))
        given[slot] = encoder.get_input_embeddings().weight.data[added]
    return given


READERS: dict[str, Callable] = {
    "A1111 / Forge": lambda path, slots: read_a1111(path),
    "ComfyUI": read_comfyui,
    "InvokeAI": lambda path, slots: read_invokeai(path),
    "SD.Next": read_sdnext,
    "diffusers": read_diffusers,
    "kohya": read_kohya,
}


def reads_all(reader, path, one) -> bool:
    slots = [slot for slot in one.found.embedding.vectors if "." not in slot]
    try:
        given = reader(path, slots)
    except Exception:  # noqa: BLE001  (a refusal, of whatever kind)
        return False
    expected = one.found.embedding.vectors
    return set(given) == set(expected) and all(torch.equal(given[slot].float(), expected[slot]) for slot in expected)


@pytest.mark.parametrize("program", READERS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore")  # other programs' own
def test_the_table_says_what_readers_do(tmp_path, name, program):
    path = write(tmp_path, name)
    for one in inspect_file(path):
        (verdict,) = [reading for reading in one.readings if reading.program == program]
        if verdict.reads != "partly":
            assert reads_all(READERS[program], path, one) == (verdict.reads == "yes"), verdict


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore")  # other programs' own
def test_the_command_that_inspect_shows_makes_a_file_that_the_program_reads(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for one in inspect_file(write(Path(), name)):
        for reading in one.readings:
            if not reading.fix or (reading.program == "ComfyUI" and one.found.layout == "flux"):
                continue
            shutil.rmtree("converted", ignore_errors=True)
            result = CliRunner().invoke(app, shlex.split(reading.fix)[1:])
            assert result.exit_code == 0, result.output
            made = [found for file in sorted(Path("converted").iterdir()) for found in inspect_file(file)]
            own = [m for m in made if m.found.embedding.same_vectors(one.found.embedding)]
            assert own, (reading.fix, [m.found.layout for m in made])
            (again,) = [r for r in own[0].readings if r.program == reading.program]
            assert again.reads == "yes", reading
            if again.program != "diffusers" or one.found.family != "sdxl":  # a pair takes two calls by hand
                assert reads_all(READERS[reading.program], own[0].file, own[0]), reading
