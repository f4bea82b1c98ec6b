"""The embeddings folder as a list: loaded, skipped with a reason, taken names, the same vectors twice."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pseudoword.errors import BadFile, BadModel
from pseudoword.services.library import as_plain, look_through
from pseudoword.settings import Settings

VECTORS = torch.linspace(-1, 1, 2 * 768).reshape(2, 768)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "embeddings"
    (folder / "sub").mkdir(parents=True)
    torch.save({"string_to_param": {"*": VECTORS}, "name": "mignon", "step": 1}, folder / "mignon.pt")
    save_file({"emb_params": VECTORS}, folder / "sub" / "Mignon.safetensors")
    save_file({"emb_params": VECTORS}, folder / "twin.safetensors")
    save_file({"emb_params": VECTORS + 1}, folder / "third.safetensors")
    save_file({"emb_params": torch.ones(1, 1024)}, folder / "wide.safetensors")
    save_file({"emb_params": torch.ones(3, 256)}, folder / "own.safetensors")
    (folder / "broken.pt").write_text("nothing")
    return folder


def plain(folder, model=None):
    result = as_plain(look_through(Settings(embeddings_dir=folder), model))
    json.dumps(result, allow_nan=False)
    return result


def test_everything_in_the_folder_is_loaded_or_has_a_reason(folder):
    found = plain(folder)
    assert [one["trigger"] for one in found["loaded"]] == ["mignon", "own", "third", "twin", "wide"]
    assert {one["trigger"]: one["family"] for one in found["loaded"]} == {
        "mignon": "sd1", "own": "bundled", "third": "sd1", "twin": "sd1", "wide": "sd2",
    }  # fmt: skip
    reasons = {one["file"].removeprefix(f"{folder}/"): one["reason"] for one in found["skipped"]}
    assert set(reasons) == {"broken.pt", "sub/Mignon.safetensors"}
    assert "unknown kind" in reasons["broken.pt"]
    assert not reasons["broken.pt"].startswith("broken.pt")
    assert "taken by" in reasons["sub/Mignon.safetensors"]
    assert found["model"] is None


def test_words_for_another_model_are_skipped_with_both_families_in_words(folder):
    found = plain(folder, "bundled")
    assert [one["trigger"] for one in found["loaded"]] == ["own"]
    reasons = {one["file"].removeprefix(f"{folder}/"): one["reason"] for one in found["skipped"]}
    assert reasons["wide.safetensors"] == "made for SD2.x (1024), the model is the bundled model (256)"
    assert reasons["mignon.pt"] == "made for SD1.x (768), the model is the bundled model (256)"
    assert found["model"] == {"name": "bundled", "family": "bundled", "widths": {"clip_l": 256}}


def test_the_model_is_known_by_its_configuration_alone(folder, tiny_folder, tmp_path):
    copy = tmp_path / "sd1-like"
    shutil.copytree(tiny_folder("sd1"), copy)
    for weights in copy.rglob("*.safetensors"):
        weights.unlink()
    config = json.loads((copy / "text_encoder" / "config.json").read_text())
    (copy / "text_encoder" / "config.json").write_text(json.dumps({**config, "hidden_size": 768}))
    found = plain(folder, str(copy))
    assert [one["trigger"] for one in found["loaded"]] == ["mignon", "third", "twin"]
    reasons = {one["file"].removeprefix(f"{folder}/"): one["reason"] for one in found["skipped"]}
    assert reasons["wide.safetensors"] == "made for SD2.x (1024), the model is SD1.x (768)"


def test_names_that_differ_in_case_alone_collide(folder):
    (one,) = plain(folder)["collisions"]
    assert one == {
        "trigger": "mignon",
        "used": str(folder / "mignon.pt"),
        "others": [str(folder / "sub" / "Mignon.safetensors")],
        "same_vectors": True,
    }
    save_file({"emb_params": VECTORS + 2}, folder / "sub" / "Mignon.safetensors")
    assert plain(folder)["collisions"][0]["same_vectors"] is False


def test_the_same_vectors_under_two_names(folder):
    (group,) = plain(folder)["duplicates"]
    assert [one["trigger"] for one in group] == ["mignon", "twin"]


def test_hashes_are_those_of_the_files(folder):
    for one in plain(folder)["loaded"]:
        digest = hashlib.sha256(Path(one["file"]).read_bytes()).hexdigest()
        assert (one["sha256"], one["short"]) == (digest, digest[:12])


def test_an_empty_or_missing_folder_is_no_error(tmp_path):
    found = plain(tmp_path / "none")
    assert (found["loaded"], found["skipped"], found["collisions"], found["duplicates"]) == ([], [], [], [])


def test_a_file_in_place_of_the_folder_and_a_model_that_is_none(tmp_path):
    (tmp_path / "afile").write_text("x")
    with pytest.raises(BadFile, match="is a file"):
        plain(tmp_path / "afile")
    with pytest.raises(BadModel):
        plain(tmp_path, "nowhere")


def test_a_word_of_two_families_is_the_one_that_fits_the_model(folder):
    save_file({"clip_l": torch.ones(1, 768), "clip_g": torch.ones(1, 1280)}, folder / "own.a.safetensors")
    (folder / "own.a.safetensors").rename(folder / "OWN.safetensors")
    found = plain(folder, "bundled")
    assert [Path(entry["file"]).name for entry in found["loaded"]] == ["own.safetensors"]
