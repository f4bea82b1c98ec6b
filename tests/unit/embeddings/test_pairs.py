"""Two files that are one embedding for SDXL, as diffusers' trainer writes them (trainers.md §3, F3x)."""

from pathlib import Path

import pytest
import torch
from tests.embedding_files import H, rows, safetensors, torch_legacy, torch_zip

from pseudoword.embeddings import Embedding, read_embeddings, write_embedding
from pseudoword.embeddings.pairs import first_path, second_path

L, G = rows(2, 768), rows(2, 1280)


def put(folder: Path, first: bytes, second: bytes, stem: str = "learned_embeds", suffix: str = ".safetensors"):
    paths = (folder / f"{stem}{suffix}", second_path(folder / f"{stem}{suffix}"))
    for path, content in zip(paths, (first, second), strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("write", [safetensors, torch_zip, torch_legacy])
@pytest.mark.parametrize("key", ["<cat-toy>", "emb_params"])
@pytest.mark.parametrize("stem", ["learned_embeds", "learned_embeds-steps-500", "cat_2"])
def test_either_file_gives_the_whole(write, key: str, stem: str, tmp_path: Path) -> None:
    paths = put(tmp_path, write({key: L}), write({key: G.half()}), stem)
    for path in paths:
        (found,) = read_embeddings(path)
        assert (found.layout, found.family, found.candidates) == ("sdxl-pair", "sdxl", ("sdxl",))
        assert (found.embedding.name, found.inner_key) == (stem, key)
        assert torch.equal(found.embedding.vectors["clip_l"], L)
        assert torch.equal(found.embedding.vectors["clip_g"], G)
        assert dict(found.dtypes) == {"clip_l": "float32", "clip_g": "float16"}


def test_one_dimensional_halves_are_a_pair(tmp_path: Path) -> None:
    paths = put(tmp_path, torch_zip({"<x>": L[0]}), torch_zip({"<x>": G[0]}), suffix=".bin")
    assert read_embeddings(paths[1])[0].embedding.widths == {"clip_l": 768, "clip_g": 1280}


def test_a_half_alone_is_what_its_width_says(tmp_path: Path) -> None:
    first, second = put(tmp_path, safetensors({"<x>": L}), safetensors({"<x>": G}))
    second.rename(tmp_path / "elsewhere")
    assert read_embeddings(first)[0].family == "sd1"
    (tmp_path / "elsewhere").rename(second)
    first.unlink()
    (found,) = read_embeddings(second)
    assert (found.family, found.candidates) == ("ambiguous", ("ldm", "sdxl"))


@pytest.mark.parametrize(
    "other", [{"<y>": G}, {"<x>": H}, {"<x>": L}, {"<x>": G, "<y>": G}], ids=["key", "SD2", "SD1", "two"]
)
def test_a_neighbour_that_is_no_half_changes_nothing(other, tmp_path: Path) -> None:
    first, _ = put(tmp_path, safetensors({"<x>": L}), safetensors(other))
    (found,) = read_embeddings(first)
    assert (found.layout, found.family) == ("diffusers", "sd1")


def test_halves_with_unlike_numbers_of_vectors_are_ambiguous(tmp_path: Path) -> None:
    first, second = put(tmp_path, safetensors({"<x>": L}), safetensors({"<x>": rows(3, 1280)}))
    (found,) = read_embeddings(first)
    assert (found.family, found.candidates) == ("ambiguous", ("sd1", "sdxl"))
    assert found.notes == ("The two files of the pair have 2 and 3 vectors.",)
    assert read_embeddings(second)[0].candidates == ("ldm", "sdxl")


def test_a_half_beside_a_file_that_cannot_be_read_is_ambiguous(tmp_path: Path) -> None:
    first, _ = put(tmp_path, safetensors({"<x>": L}), b"version https://git-lfs.github.com/spec/v1")
    (found,) = read_embeddings(first)
    assert (found.family, found.candidates) == ("ambiguous", ("sd1", "sdxl"))
    assert "Git LFS" in found.notes[0]


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.bin", "a_2.bin"), ("a-steps-500.bin", "a_2-steps-500.bin"), ("a_2.bin", "a_2_2.bin")],
)
def test_names_of_pairs(first: str, second: str) -> None:
    assert second_path(Path(first)) == Path(second)
    assert first_path(Path(second)) == Path(first)


@pytest.mark.parametrize("name", ["a.bin", "2.bin", "_2.bin", "a_20.bin", "a-steps-5.bin"])
def test_other_names_are_no_second_file(name: str) -> None:
    assert first_path(Path(name)) is None


def test_a_pair_that_is_written_comes_back(tmp_path: Path) -> None:
    cat = Embedding(name="<cat>", vectors={"clip_l": L, "clip_g": G})
    paths = write_embedding(cat, tmp_path / "cat.bin", layout="sdxl-pair")
    assert [path.name for path in paths] == ["cat.bin", "cat_2.bin"]
    assert read_embeddings(paths[1])[0].embedding.same_vectors(cat)
    assert list(torch.load(paths[1], weights_only=True)) == ["<cat>"]
