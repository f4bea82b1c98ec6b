"""Files with several words, pairs of files, and pictures, as a library holds them."""

from pathlib import Path

import torch
from PIL import Image
from tests.embedding_files import rows, safetensors, torch_zip
from tests.unit.library.test_library import reasons, settle

from pseudoword.embeddings import Embedding, write_embedding
from pseudoword.library import Library


def test_a_file_with_several_words_gives_an_entry_for_each(tmp_path: Path) -> None:
    (tmp_path / "many.bin").write_bytes(torch_zip({"<a>": rows(1, 768), "<b>": rows(2, 768)}))
    snapshot = Library(tmp_path).refresh()
    assert set(snapshot.entries) == {"<a>", "<b>"}
    assert torch.equal(snapshot.entries["<b>"].embedding.vectors["clip_l"], rows(2, 768))
    assert {entry.path for entry in snapshot.entries.values()} == {tmp_path / "many.bin"}


def test_two_files_of_a_pair_are_one_word_until_one_goes(tmp_path: Path) -> None:
    first, second = tmp_path / "cat.safetensors", tmp_path / "cat_2.safetensors"
    first.write_bytes(safetensors({"<cat>": rows(2, 768)}))
    second.write_bytes(safetensors({"<cat>": rows(2, 1280).half()}))
    library = Library(tmp_path)
    pair = library.refresh()
    assert list(pair.entries) == ["cat"]
    assert pair.entries["cat"].found.layout == "sdxl-pair"
    assert pair.entries["cat"].embedding.widths == {"clip_l": 768, "clip_g": 1280}
    assert pair.skipped == ()
    settle(first, 30)
    assert library.refresh() is pair
    second.unlink()
    alone = library.refresh()
    assert alone.entries["cat"].found.family == "sd1"


def test_files_that_are_named_like_a_pair_and_are_none_stay_two_words(tmp_path: Path) -> None:
    for name, key in (("cat", "<cat>"), ("cat_2", "<dog>")):
        (tmp_path / f"{name}.bin").write_bytes(torch_zip({key: rows(2, 768 if name == "cat" else 1280)}))
    assert set(Library(tmp_path).refresh().entries) == {"cat", "cat_2"}


def test_cards_are_words_by_their_inner_name_and_other_pictures_are_passed_over(tmp_path: Path) -> None:
    cat = Embedding(name="cat", vectors={"clip_l": rows(2, 768)})
    write_embedding(cat, tmp_path / "a picture.png")
    write_embedding(cat, tmp_path / "dog.preview.png")
    Image.new("RGB", (64, 64), (200, 10, 10)).save(tmp_path / "dog.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "night.webp")
    Image.new("RGB", (64, 64), (1, 2, 3)).save(tmp_path / "dog.avif")
    (tmp_path / "empty.webp").touch()
    snapshot = Library(tmp_path).refresh()
    assert set(snapshot.entries) == {"cat"}
    assert snapshot.skipped == ()
    assert snapshot.entries["cat"].path == tmp_path / "a picture.png"


def test_a_damaged_card_is_skipped_with_a_reason(tmp_path: Path) -> None:
    write_embedding(Embedding(name="cat", vectors={"clip_l": rows(2, 768)}), tmp_path / "cat.png")
    content = (tmp_path / "cat.png").read_bytes()
    place = content.index(b"sd-ti-embedding") + 40
    (tmp_path / "cat.png").write_bytes(content[:place] + b"????" + content[place + 4 :])
    assert "damaged" in reasons(Library(tmp_path).refresh())["cat.png"]


def test_a_word_that_a_file_has_twice_over_keeps_both_under_other_names(tmp_path: Path) -> None:
    (tmp_path / "many.bin").write_bytes(torch_zip({"Cat": rows(1, 768), "cat": rows(2, 768)}))
    assert list(Library(tmp_path).refresh().entries) == ["Cat", "many_2"]
