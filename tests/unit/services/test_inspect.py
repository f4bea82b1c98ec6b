"""Inspection: every value against a second way to get it, from files written with torch and safetensors alone."""

import hashlib
import json
import math
import re
import struct

import pytest
import torch
from safetensors.torch import save_file

from pseudoword.errors import BadFile
from pseudoword.models.vocabulary import load_vocabulary
from pseudoword.services.inspect import as_plain, inspect_file, nearest_words, usual_norms

CONTAINERS = {"safetensors", "torch-zip", "torch-legacy", "png", "webp", "avif", "jxl"}
LAYOUTS = {
    "a1111", "original", "diffusers", "diffusers-numbered", "emb_params", "sdxl", "sdxl-pair", "onetrainer", "cog",
    "notebook", "flux", "per-layer", "lora-bundle",
}  # fmt: skip
FAMILIES = {"sd1", "sd2", "sdxl", "flux", "sd3", "ldm", "bundled", "ambiguous", "unknown"}
SLOTS = {"clip_l", "clip_h", "clip_g", "bert", "t5xxl", *(f"clip_l.{layer}" for layer in range(16))}
HEX64, HEX12, HEX4 = (re.compile(rf"[0-9a-f]{{{digits}}}") for digits in (64, 12, 4))
TOP = ["file", "name", "trigger", "inner_key", "container", "layout", "family", "candidates"]
TOP += ["step", "base_model", "hash", "vectors"]


def check_shape(one):
    """The shape that issue 4 fixes, written out: these keys, these words, nothing else."""
    assert list(one) == TOP
    for key in ("file", "name", "trigger"):
        assert isinstance(one[key], str)
        assert one[key]
    assert one["inner_key"] is None or isinstance(one["inner_key"], str)
    assert one["container"] in CONTAINERS
    assert one["layout"] in LAYOUTS
    assert one["family"] in FAMILIES
    assert set(one["candidates"]) <= FAMILIES - {"ambiguous", "unknown"}
    assert one["step"] is None or isinstance(one["step"], int)
    if one["base_model"] is not None:
        assert list(one["base_model"]) == ["name", "hash"]
    assert list(one["hash"]) == ["a1111", "sha256", "short"]
    assert one["hash"]["a1111"] is None or HEX4.fullmatch(one["hash"]["a1111"])
    assert HEX64.fullmatch(one["hash"]["sha256"])
    assert HEX12.fullmatch(one["hash"]["short"])
    assert one["vectors"]
    for slot, facts in one["vectors"].items():
        assert slot in SLOTS
        assert list(facts) == ["num_vectors", "width", "dtype", "sha256", "norm_min", "norm_max"]
        assert isinstance(facts["num_vectors"], int)
        assert isinstance(facts["width"], int)
        assert HEX64.fullmatch(facts["sha256"])
        assert isinstance(facts["norm_min"], float)
        assert facts["norm_min"] <= facts["norm_max"]
    json.dumps(one, allow_nan=False)


def plain(path):
    found = [as_plain(one) for one in inspect_file(path)]
    for one in found:
        check_shape(one)
    return found


def little_endian(values):
    return hashlib.sha256(struct.pack(f"<{len(values)}f", *values)).hexdigest()


def checksum(values):
    """Reference a1111.md §1.5, in 32 bits, with the product in float32 as torch takes it."""
    r = 0
    for value in values:
        hundredfold = struct.unpack("<f", struct.pack("<f", value * 100))[0]
        r = ((r * 281) ^ (int(hundredfold) * 997)) & 0xFFFFFFFF
    return f"{r & 0xFFFF:04x}"


@pytest.fixture
def rows():
    return torch.linspace(-0.02, 0.025, 8 * 768).reshape(8, 768)


def test_the_example_of_the_issue(tmp_path, monkeypatch, rows):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embeddings").mkdir()
    path = tmp_path / "embeddings" / "mignon.pt"
    torch.save(
        {
            "string_to_token": {"*": 265},
            "string_to_param": {"*": rows},
            "name": "mignon",
            "step": 19500,
            "sd_checkpoint": "45dee52b",
            "sd_checkpoint_name": "wd-1.2",
        },
        path,
    )
    (one,) = plain(path.relative_to(tmp_path))
    values = rows.reshape(-1).tolist()
    norms = [math.sqrt(sum(value * value for value in row)) for row in rows.tolist()]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert one == {
        "file": "embeddings/mignon.pt",
        "name": "mignon",
        "trigger": "mignon",
        "inner_key": "*",
        "container": "torch-zip",
        "layout": "a1111",
        "family": "sd1",
        "candidates": ["sd1"],
        "step": 19500,
        "base_model": {"name": "wd-1.2", "hash": "45dee52b"},
        "hash": {"a1111": checksum(values), "sha256": digest, "short": digest[:12]},
        "vectors": {
            "clip_l": {
                "num_vectors": 8,
                "width": 768,
                "dtype": "float32",
                "sha256": little_endian(values),
                "norm_min": pytest.approx(min(norms), rel=1e-6),
                "norm_max": pytest.approx(max(norms), rel=1e-6),
            }
        },
    }


def test_a_renamed_file_is_typed_by_its_new_name_and_keeps_the_old_one(tmp_path, rows):
    path = tmp_path / "renamed.pt"
    torch.save({"string_to_param": {"*": rows}, "name": "mignon", "step": None}, path)
    (one,) = plain(path)
    assert (one["name"], one["trigger"], one["step"], one["base_model"]) == ("mignon", "renamed", None, None)


def test_a_model_of_which_only_the_hash_is_known(tmp_path, rows):
    torch.save({"string_to_param": {"*": rows}, "sd_checkpoint": "45dee52b"}, tmp_path / "x.pt")
    (one,) = plain(tmp_path / "x.pt")
    assert one["base_model"] == {"name": None, "hash": "45dee52b"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_two_tables_in_half_precision(tmp_path, dtype):
    small = torch.tensor([0.5, -0.25, 2.0, 0.0078125] * 192).reshape(1, 768)
    tables = {"clip_l": small, "clip_g": torch.cat([small, small[:, :512]], dim=1)}
    save_file({slot: table.to(dtype) for slot, table in tables.items()}, tmp_path / "xl.safetensors")
    (one,) = plain(tmp_path / "xl.safetensors")
    assert (one["family"], one["layout"], one["hash"]["a1111"]) == ("sdxl", "sdxl", None)
    assert list(one["vectors"]) == ["clip_l", "clip_g"]
    for slot, table in tables.items():
        facts = one["vectors"][slot]
        assert (facts["dtype"], facts["width"]) == (str(dtype).removeprefix("torch."), table.shape[1])
        assert facts["sha256"] == little_endian(table.reshape(-1).tolist())


def test_a_file_with_three_words_gives_three_objects_of_one_file(tmp_path):
    words = {f"<w{number}>": torch.full((number, 768), number / 8) for number in (1, 2, 3)}
    save_file(words, tmp_path / "three.safetensors")
    found = plain(tmp_path / "three.safetensors")
    assert {one["file"] for one in found} == {str(tmp_path / "three.safetensors")}
    assert {one["inner_key"]: one["vectors"]["clip_l"]["num_vectors"] for one in found} == {
        "<w1>": 1,
        "<w2>": 2,
        "<w3>": 3,
    }
    assert len({one["hash"]["sha256"] for one in found}) == 1
    assert len({one["hash"]["a1111"] for one in found}) == 3
    readers = {reading.program: reading.reads for reading in inspect_file(tmp_path / "three.safetensors")[0].readings}
    assert readers["A1111 / Forge"] == "no"
    assert readers["ComfyUI"] == "partly"


def test_a_width_that_two_families_have(tmp_path):
    save_file({"<w>": torch.ones(2, 1280)}, tmp_path / "g.safetensors")
    (one,) = plain(tmp_path / "g.safetensors")
    assert one["family"] == "ambiguous"
    assert sorted(one["candidates"]) == ["ldm", "sdxl"]


def test_layers_and_legacy_pickles(tmp_path):
    layers = ["IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{n:02}" for n in range(3, 12))]
    torch.save({key: torch.ones(1, 768) for key in layers}, tmp_path / "xti.pt", _use_new_zipfile_serialization=False)
    (one,) = plain(tmp_path / "xti.pt")
    assert (one["container"], one["layout"]) == ("torch-legacy", "per-layer")
    assert list(one["vectors"]) == [f"clip_l.{layer}" for layer in range(16)]


def test_what_is_no_embedding_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "x.pt").write_text("{}")
    with pytest.raises(BadFile, match=r"x\.pt"):
        inspect_file(tmp_path / "x.pt")


def test_usual_lengths_are_the_models_own_and_else_the_familys_where_known(tmp_path, load):
    save_file({"emb_params": torch.ones(1, 768)}, tmp_path / "sd1.safetensors")
    save_file({"emb_params": torch.ones(1, 1024)}, tmp_path / "sd2.safetensors")
    save_file({"emb_params": torch.ones(1, 256)}, tmp_path / "own.safetensors")
    (sd1,), (sd2,), (own,) = (inspect_file(tmp_path / f"{name}.safetensors") for name in ("sd1", "sd2", "own"))
    assert usual_norms(sd1, None) == {"clip_l": 0.4}
    assert usual_norms(sd2, None) == {}
    norms = load("bundled").encoders[0].module.get_input_embeddings()(torch.arange(4316)).norm(dim=1)
    assert usual_norms(own, load_vocabulary("bundled"))["clip_l"] == pytest.approx(float(norms.median()))
    assert usual_norms(own, None)["clip_l"] == pytest.approx(float(norms.median()), rel=0.02)


def test_the_vocabularys_own_vectors_are_nearest_to_their_words(tmp_path):
    vocabulary = load_vocabulary("bundled")
    (table,) = vocabulary.tables
    ids = table.ids("cat house")
    save_file({"<w>": table.table[ids] * 3}, tmp_path / "w.safetensors")
    (one,) = inspect_file(tmp_path / "w.safetensors")
    near = nearest_words(one, vocabulary, number=2)["clip_l"]
    assert [row[0][0] for row in near] == ["cat", "house"]
    assert [row[0][1] for row in near] == pytest.approx([1.0, 1.0])
    other = table.table[[table.ids(near[0][1][0])[0]]]
    cosine = torch.nn.functional.cosine_similarity(table.table[ids[:1]], other)
    assert near[0][1][1] == pytest.approx(float(cosine), abs=1e-6)


def test_a_model_of_other_widths_has_no_near_words(tmp_path):
    save_file({"<w>": torch.ones(1, 768)}, tmp_path / "w.safetensors")
    (one,) = inspect_file(tmp_path / "w.safetensors")
    assert nearest_words(one, load_vocabulary("bundled")) == {}
