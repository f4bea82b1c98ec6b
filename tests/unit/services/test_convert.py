"""`pseudoword convert` as a user meets it; what other programs find in its files: `tests/compat`."""

import pytest
import torch
from safetensors.torch import load_file
from tests.embedding_files import STEP, G, H, L, rows, safetensors, torch_zip
from typer.testing import CliRunner

from pseudoword.cli.main import app
from pseudoword.embeddings import LAYOUTS, read_embeddings, writing
from pseudoword.services import convert_options


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.pt").write_bytes(torch_zip({"string_to_param": {"*": L}, **STEP}))
    (tmp_path / "two.safetensors").write_bytes(safetensors({"clip_l": L, "clip_g": G}, {"step": "7"}))
    many = {"<a>": rows(1, 768), "b": rows(2, 768), "?": rows(3, 768)}
    (tmp_path / "many.bin").write_bytes(torch_zip(many))
    return lambda *words: CliRunner().invoke(app, ["convert", *map(str, words)])


def test_the_command_line_knows_the_layouts_and_suffixes_that_can_be_written():
    assert convert_options.LAYOUTS == LAYOUTS
    assert convert_options.SUFFIXES == writing.SUFFIXES


@pytest.mark.parametrize(
    ("output", "layout", "becomes"),
    [
        ("x.pt", "a1111", "a1111"),
        ("x.bin", "original", "original"),
        ("x.safetensors", "diffusers", "diffusers"),
        ("x.safetensors", "emb_params", "emb_params"),
        ("x.safetensors", "onetrainer", "onetrainer"),
        ("x.png", "card", "a1111"),
        ("x.webp", "card", "a1111"),
        ("x.safetensors", None, "emb_params"),
        ("x.pt", None, "a1111"),
        ("x.bin", None, "diffusers"),
        ("x.png", None, "a1111"),
    ],
)
def test_one_encoder_in_every_layout(run, tmp_path, output, layout, becomes):
    result = run("one.pt", output, *(["--layout", layout] if layout else []))
    assert result.exit_code == 0, result.output
    (found,) = read_embeddings(tmp_path / output)
    assert (found.layout, found.embedding.name) == (becomes, "x")
    assert torch.equal(found.embedding.vectors["clip_l"], L)
    if becomes in ("a1111", "emb_params", "onetrainer"):
        assert found.embedding.provenance.step == 19500
        assert found.embedding.provenance.base_model_hash == "45dee52b"


@pytest.mark.parametrize(
    ("output", "layout"),
    [("x.safetensors", "sdxl"), ("x.pt", "sdxl"), ("x.safetensors", "onetrainer"), ("x.png", "card")],
)
def test_two_encoders_in_every_layout(run, tmp_path, output, layout):
    assert run("two.safetensors", output, "--layout", layout).exit_code == 0
    (found,) = read_embeddings(tmp_path / output)
    assert found.family == "sdxl"
    assert torch.equal(found.embedding.vectors["clip_l"], L)
    assert torch.equal(found.embedding.vectors["clip_g"], G)
    if not output.endswith(".pt"):
        assert found.embedding.provenance.step == 7


def test_a_pair_is_two_files_that_either_of_gives_both(run, tmp_path):
    result = run("two.safetensors", "cat.safetensors", "--layout", "sdxl-pair")
    assert "cat.safetensors and cat_2.safetensors" in result.output
    assert {key: value.shape for key, value in load_file(tmp_path / "cat_2.safetensors").items()} == {"cat": (3, 1280)}
    for half in ("cat.safetensors", "cat_2.safetensors"):
        (found,) = read_embeddings(tmp_path / half)
        assert (found.layout, found.embedding.name) == ("sdxl-pair", "cat")
        assert torch.equal(found.embedding.vectors["clip_g"], G)
    assert run("cat_2.safetensors", "joined.safetensors").exit_code == 0
    assert set(load_file(tmp_path / "joined.safetensors")) == {"clip_l", "clip_g"}


@pytest.mark.parametrize("layout", ["a1111", "original", "diffusers", "emb_params"])
def test_two_encoders_into_a_layout_for_one_are_refused_with_the_reason(run, tmp_path, layout):
    result = run("two.safetensors", "x.pt", "--layout", layout)
    assert result.exit_code == 2
    assert "vectors for 2 text encoders (clip_l, clip_g), and" in result.stderr
    assert not (tmp_path / "x.pt").exists()


@pytest.mark.parametrize("layout", ["sdxl", "sdxl-pair", "flux", "per-layer"])
def test_one_encoder_into_a_layout_for_several_is_refused_with_the_reason(run, layout):
    result = run("one.pt", "x.safetensors", "--layout", layout)
    assert result.exit_code == 2
    assert "expected clip_l" in result.stderr


@pytest.mark.parametrize(
    ("output", "layout", "words"),
    [
        ("x.safetensors", "a1111", "no form in safetensors"),
        ("x.safetensors", "original", "no form in safetensors"),
        ("x.pt", "onetrainer", "OneTrainer writes safetensors alone"),
        ("x.pt", "card", "a card is a picture"),
        ("x.avif", "card", "expected .png or .webp or .jxl"),
        ("x.png", "a1111", "expected .pt or .bin"),
        ("x.zip", None, "file suffix '.zip'"),
        ("x.pt", "kohya", "--layout kohya; expected a1111 |"),
    ],
)
def test_a_container_that_a_layout_has_no_place_in_is_refused(run, output, layout, words):
    result = run("one.pt", output, *(["--layout", layout] if layout else []))
    assert result.exit_code == 2
    assert words in result.stderr


def test_nothing_is_overwritten_unless_it_is_asked_for(run, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"mine")
    assert "already there" in run("one.pt", "x.pt").stderr
    assert (tmp_path / "x.pt").read_bytes() == b"mine"
    assert run("one.pt", "x.pt", "--overwrite").exit_code == 0
    assert "already there" in run("one.pt", "one.pt").stderr


def test_of_several_words_one_is_named_or_a_folder_takes_all(run, tmp_path):
    result = run("many.bin", "x.pt")
    assert result.exit_code == 2
    assert "holds 3 words (<a>, b, many_3)" in result.stderr
    assert run("many.bin", "x.pt", "--name", "b").exit_code == 0
    assert torch.equal(read_embeddings(tmp_path / "x.pt")[0].embedding.vectors["clip_l"], rows(2, 768))
    assert "expected one of <a>, b" in run("many.bin", "x.pt", "--name", "c").stderr
    assert run("many.bin", "all", "--layout", "a1111").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["a.pt", "b.pt", "many_3.pt"]


def test_of_several_words_none_is_written_if_one_cannot_be(run, tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "b.safetensors").write_bytes(b"mine")
    assert run("many.bin", "all").exit_code == 2
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["b.safetensors"]


def test_a_diffusers_token_stays_what_it_was_between_diffusers_files(run, tmp_path):
    (tmp_path / "learned_embeds.bin").write_bytes(torch_zip({"<cat-toy>": H}))
    assert run("learned_embeds.bin", "cat.safetensors", "--layout", "diffusers").exit_code == 0
    assert set(load_file(tmp_path / "cat.safetensors")) == {"<cat-toy>"}


def test_a_card_shows_a_picture_of_ones_own(run, tmp_path):
    from PIL import Image

    Image.new("RGB", (200, 100), (250, 128, 114)).save(tmp_path / "mine.jpg", quality=95)
    assert run("one.pt", "x.png", "--picture", "mine.jpg").exit_code == 0
    with Image.open(tmp_path / "x.png") as card:
        middle = card.getpixel((card.width // 2, 50))
    assert all(abs(a - b) < 4 for a, b in zip(middle, (250, 128, 114), strict=True))
    assert "cannot be read as a picture" in run("one.pt", "y.png", "--picture", "one.pt").stderr


def test_notes_of_the_file_are_told(run, tmp_path):
    (tmp_path / "all.pt").write_bytes(torch_zip([{"emb": L[n], "emb2": G[n]} for n in range(3)]))
    assert "note: Took the last of 3" in run("all.pt", "x.safetensors").stderr
