"""Folders as they are written on the command line, and the captions and masks in them."""

import pytest

from pseudoword.errors import BadFile, BadOption, BadPictures
from pseudoword.training.sources import Source, candidates, captions_in, check_sources, mask_file, parse_source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pics", ("pics", 1, 1.0)),
        ("pics:3", ("pics", 3, 1.0)),
        ("pics:3:0.5", ("pics", 3, 0.5)),
        ("c:/pics", ("c:/pics", 1, 1.0)),
        ("a:b:2", ("a:b", 2, 1.0)),
    ],
)
def test_a_source_is_a_folder_with_repeats_and_weight(text, expected):
    source = parse_source(text)
    assert (str(source.folder), source.repeats, source.weight) == expected


def test_a_folder_of_that_name_goes_before_repeats(tmp_path):
    (tmp_path / "x:2").mkdir()
    assert parse_source(f"{tmp_path}/x:2") == Source(folder=tmp_path / "x:2")


@pytest.mark.parametrize("text", ["pics:0", "pics:1001", "pics:2:0"])
def test_repeats_and_weights_out_of_range_are_refused(text):
    with pytest.raises(BadOption, match=text):
        parse_source(text)


def test_masks_texts_and_hidden_files_are_no_pictures(tmp_path):
    for name in ("b.png", "a.webp", "a.txt", "b-masklabel.png", ".c.png", "metadata.jsonl"):
        (tmp_path / name).touch()
    assert [file.name for file in candidates(tmp_path)] == ["a.webp", "b.png"]
    assert mask_file(tmp_path / "b.png") == tmp_path / "b-masklabel.png"
    assert mask_file(tmp_path / "a.webp") is None


def test_captions_come_from_the_folders_file(tmp_path):
    lines = '{"file_name": "1.png", "text": "a  cat"}\n\n{"file_name": "2.png", "caption": "é", "extra": 1}\n'
    (tmp_path / "metadata.jsonl").write_text(lines, "utf-8")
    assert captions_in(tmp_path) == {"1.png": "a cat", "2.png": "é"}


@pytest.mark.parametrize("line", ["{", "[]", '{"file_name": 1, "text": "x"}', '{"file_name": "x"}'])
def test_a_damaged_line_is_named_by_its_number(tmp_path, line):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "1.png", "text": "x"}\n' + line)
    with pytest.raises(BadFile, match="line 2"):
        captions_in(tmp_path)


def test_missing_folders_and_doubles_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(BadPictures, match="no folder"):
        check_sources([parse_source(str(tmp_path / "a")), parse_source(str(tmp_path / "b"))])
    with pytest.raises(BadPictures, match="twice"):
        check_sources([parse_source(str(tmp_path / "a")), parse_source(f"{tmp_path}/a:2")])
