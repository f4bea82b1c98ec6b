"""Which programs read a file: the compatibility table of reference trainers.md §3, transcribed by hand."""

import re
from pathlib import Path

import pytest
import torch

from pseudoword.embeddings.embedding import SLOTS, Embedding
from pseudoword.embeddings.file_embedding import FileEmbedding
from pseudoword.embeddings.readers import PROGRAMS, RULES, readings

WIDTHS = {"clip_l": 768, "clip_h": 1024, "clip_g": 1280, "t5xxl": 4096, "bert": 1280}
TORCH = "torch-zip"


def made(layout, container="safetensors", slots=("clip_l",), vectors=2, key=None, family="sd1", notes=()):
    tables = {slot: torch.ones(vectors, WIDTHS.get(slot, 768)) for slot in slots}
    return FileEmbedding(
        embedding=Embedding(name="w", vectors=tables),
        container=container,
        layout=layout,
        inner_key=key,
        family=family,
        candidates=(family,) if family != "unknown" else (),
        notes=notes,
    )


OUT = ("The vectors behind the text encoder (emp_params_out) are left out: prompts have no use for them.",)
PAIR = ("clip_l", "clip_g")

# file, its name, and the row of the table: A1111/Forge, ComfyUI, InvokeAI, SD.Next, diffusers, kohya
TABLE = [
    ("F1", made("a1111", TORCH, key="*"), "w.pt", "yes yes yes yes yes yes"),
    ("F2", made("original", TORCH, key="*"), "w.pt", "yes partly partly partly no partly"),
    ("F3 2-D", made("diffusers", key="<w>"), "w.safetensors", "yes yes no yes yes yes"),
    ("F3 2-D .bin", made("diffusers", TORCH, key="<w>"), "w.bin", "yes yes no no yes yes"),
    ("F3x", made("sdxl-pair", slots=PAIR, family="sdxl"), "w.safetensors", "no partly no partly yes no"),
    ("F5", made("emb_params", key="emb_params"), "w.safetensors", "yes yes yes yes partly yes"),
    ("F6", made("sdxl", slots=PAIR, family="sdxl"), "w.safetensors", "yes yes yes yes partly yes"),
    ("F7", made("onetrainer", key="emp_params"), "w.safetensors", "yes yes no yes partly yes"),
    ("F7 out", made("onetrainer", key="emp_params", notes=OUT), "w.safetensors", "no partly no no no partly"),
    ("Flux", made("flux", slots=("clip_l", "t5xxl"), family="flux"), "w.safetensors", "no partly no no partly no"),
]


@pytest.mark.parametrize(("found", "name", "row"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_every_row_of_the_table(found, name, row):
    assert [reading.reads for reading in readings(found, Path(name))] == row.split()


def test_the_guide_shows_the_same_table(project_root):
    guide = (project_root / "docs" / "guide" / "embeddings.md").read_text("utf-8")
    shown = {}
    for line in guide.splitlines():
        if match := re.match(r"\| `([\w-]+)`( \([^|]*\))? \|(.*)\|$", line):
            shown[match[1]] = [cell.strip(" ¹²³⁴⁵⁶") for cell in match[3].split("|")]
    checked = {found.layout: row.split() for _, found, _, row in TABLE[:3] + TABLE[4:8] + TABLE[9:]}
    assert len(checked) == 8
    assert {layout: shown[layout] for layout in checked} == checked


def test_every_no_and_every_reservation_says_why():
    for layout in RULES:
        for container, name in (("safetensors", "w.safetensors"), (TORCH, "w.pt"), ("png", "w.png")):
            for reading in readings(made(layout, container, key="<w>"), Path(name)):
                assert reading.reads == "yes" or reading.why


def test_the_table_has_every_layout_and_every_program():
    every = "a1111 original diffusers diffusers-numbered emb_params sdxl sdxl-pair onetrainer cog notebook flux"
    assert set(RULES) == {*every.split(), "per-layer", "lora-bundle"}
    assert all(set(row) == set(PROGRAMS) for row in RULES.values())


def test_what_a_command_makes_is_read_by_the_program_that_it_is_meant_for():
    containers = {".safetensors": "safetensors", ".bin": TORCH}
    checked = 0
    for layout in [layout for layout in RULES if layout != "flux"]:
        for slots, family in ((("clip_l",), "sd1"), (("clip_h",), "sd2"), (PAIR, "sdxl")):
            found = made(layout, TORCH, slots=slots, key="<w>", family=family)
            for reading in readings(found, Path("w.pt")):
                if not reading.fix:
                    continue
                program, verb, source, out, flag, wanted = reading.fix.split()
                assert (program, verb, source, flag) == ("pseudoword", "convert", "w.pt", "--layout")
                made_so = made(wanted, containers[Path(out).suffix], slots=slots, key="<w>", family=family)
                after = next(r for r in readings(made_so, Path(out)) if r.program == reading.program)
                assert after.reads == "yes", (layout, reading)
                checked += 1
    assert checked > 60


@pytest.mark.parametrize(
    ("name", "container", "readers"),
    [
        # the name's end decides how most programs open a file (a1111.md §1.1)
        ("w.pt", "safetensors", "no no no no partly no"),
        ("w.safetensors", TORCH, "no no no no no no"),
        ("w.PT", TORCH, "yes yes yes no partly yes"),
        ("w.pti", TORCH, "no yes no no partly yes"),
        ("w.png", "png", "yes no no no no no"),
        ("w.jpg", "png", "no no no no no no"),
        ("w", TORCH, "no no no no no no"),
    ],
)
def test_the_end_of_the_name_counts(name, container, readers):
    found = made("emb_params", container, key="emb_params")
    assert [reading.reads for reading in readings(found, Path(name))] == readers.split()


def test_a1111_files_with_another_key_than_the_star():
    by_program = {r.program: r for r in readings(made("a1111", TORCH, key="mine"), Path("w.pt"))}
    assert (by_program["SD.Next"].reads, by_program["diffusers"].reads) == ("no", "no")
    assert "mine" in by_program["diffusers"].why
    assert by_program["A1111 / Forge"].reads == "yes"


def test_several_words_in_one_file():
    found = made("a1111", TORCH, key="*")
    reads = [reading.reads for reading in readings(found, Path("w.pt"), several=True)]
    assert reads == ["no", "partly", "partly", "no", "no", "partly"]
    fixes = {r.fix for r in readings(found, Path("w.pt"), several=True)}
    assert fixes == {f"pseudoword convert w.pt converted/ --layout {layout}" for layout in ("emb_params", "diffusers")}


@pytest.mark.parametrize("family", ["bundled", "unknown"])
def test_words_for_models_of_other_widths_are_for_diffusers_alone_which_takes_any_model(family):
    found = made("emb_params", slots=("clip_l",), key="emb_params", family=family)
    for reading in readings(found, Path("w.safetensors")):
        if reading.program == "diffusers":
            assert (reading.reads, reading.fix.split()[-1]) == ("partly", "diffusers")
        else:
            assert (reading.reads, reading.fix) == ("no", "")
            assert reading.why


def test_words_for_the_first_latent_diffusion_model_are_read_by_none():
    found = made("original", TORCH, slots=("bert",), key="*", family="ldm")
    assert {(r.reads, r.fix) for r in readings(found, Path("w.pt"))} == {("no", "")}


def test_flux_files_are_mended_for_comfyui_whose_key_differs_from_the_trainers():
    fixes = {r.program: r.fix for r in readings(TABLE[-1][1], Path("w.safetensors")) if r.fix}
    assert fixes == {"ComfyUI": "pseudoword convert w.safetensors converted/w.safetensors --layout flux"}


def test_odd_names_are_quoted_for_the_shell():
    fixes = {r.fix for r in readings(made("cog", slots=PAIR, family="sdxl"), Path("a b/w's.pti")) if r.fix}
    assert """pseudoword convert 'a b/w'"'"'s.pti' converted/ --layout sdxl-pair""" in fixes


def test_slots_of_the_table_are_real_ones():
    assert set(WIDTHS) <= set(SLOTS)
