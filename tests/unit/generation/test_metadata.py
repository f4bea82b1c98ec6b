"""Pictures of other programs are read; the files are theirs (tests/data/pictures/PROVENANCE.md)."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pseudoword.errors import BadFile
from pseudoword.generation.foreign import recognise
from pseudoword.generation.metadata import read_picture, user_comment
from pseudoword.generation.saving import save_picture

DATA = Path(__file__).resolve().parents[2] / "data" / "pictures"

DUCK = {
    "Steps": "15", "Sampler": "UniPC", "CFG scale": "5", "Seed": "235284042", "Size": "512x400",
    "Model hash": "c0d1994c73", "Model": "realistic_realisticVisionV20_v20",
}  # fmt: skip
EXPECTED = {
    "a1111.png": ("A1111", "photo of a duck", "monochrome", DUCK),
    "a1111.jpg": ("A1111", "photo of a duck", "monochrome", DUCK),
    "a1111-text-after-pixels.png": ("A1111", "photo of a duck", "monochrome", DUCK),
    "a1111-stealth.png": (
        "A1111", "a circle", "a square",
        {"Steps": "20", "Sampler": "Euler", "Seed": "2015833630", "Clip skip": "2", "Model hash": "15012c538f"},
    ),
    "piexif.jpg": ("A1111", "a cat, 猫 é", "dog", {"Sampler": "Euler a", "Seed": "3", "Version": "v1.10.1"}),
    "piexif.webp": ("A1111", "a cat, 猫 é", "dog", {"Sampler": "Euler a", "Seed": "3", "Version": "v1.10.1"}),
    "comfyui.png": (
        "ComfyUI",
        "photograph of victorian woman with wings, sky clouds, meadow grass",
        "watermark, text",
        {"Steps": "20", "Sampler": "DPM++ 2M", "Schedule type": "Normal", "CFG scale": "8", "Seed": "280823642470253",
         "Model": "v1-5-pruned-emaonly.ckpt", "Denoising strength": "0.8700000000000001"},
    ),
    "fooocus.png": (
        "Fooocus",
        "a smiling goldfish",
        "",
        {"Steps": "30", "Sampler": "DPM++ 2M SDE", "Schedule type": "Karras", "CFG scale": "4",
         "Seed": "6952411511246973023", "Size": "768x1280", "Model": "juggernautXL_v8Rundiffusion"},
    ),
    "invokeai.png": (
        "InvokeAI",
        "digital artwork, oil painting. painterly brushstrokes, holidays,",
        "grainy+, photo, oversaturated, overexposed, blurry, compressed jpg+, noisy++, unfocused , black and white",
        {"Steps": "35", "Sampler": "Euler", "CFG scale": "8", "Seed": "3293022630", "Size": "1024x1024",
         "Model": "juggernautXL"},
    ),
    "novelai.png": (
        "NovelAI",
        "masterpiece, best quality,  cat, space, icon",
        None,
        {"Steps": "50", "Sampler": "Euler a", "CFG scale": "10", "Seed": "2253955223", "Size": (1, 1), "Clip skip": 2,
         "ENSD": 31337},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_pictures_of_other_programs_tell_their_main_fields(name):
    program, prompt, negative, values = EXPECTED[name]
    info = read_picture(DATA / name)
    assert (info.program, info.infotext.prompt) == (program, prompt)
    assert negative is None or info.infotext.negative_prompt == negative
    assert {key: info.infotext.values.get(key) for key in values} == values
    assert info.text.startswith(prompt)


def test_older_invokeai_is_read_from_its_command_line_and_from_its_object():
    dream = '"a red house [blurry]" -s 50 -S 2980747362 -W 512 -H 768 -C 5.0 -A k_lms'
    program, info = recognise({"Dream": dream})
    expected = {"Steps": "50", "Seed": "2980747362", "Size": "512x768", "CFG scale": "5.0", "Sampler": "LMS"}
    assert (program, info.prompt, dict(info.values)) == ("InvokeAI", "a red house [blurry]", expected)
    image = {"prompt": [{"prompt": "a red house", "weight": 1}], "steps": 50, "cfg_scale": 5.0, "height": 768,
             "width": 512, "seed": 2980747362, "sampler": "k_lms"}  # fmt: skip
    program, info = recognise({"sd-metadata": json.dumps({"model_weights": "sd15", "image": image})})
    assert (program, info.prompt) == ("InvokeAI", "a red house")
    assert dict(info.values) == {**expected, "CFG scale": "5", "Model": "sd15"}


def test_swarm_is_read_and_a_comfyui_graph_without_a_sampler_is_at_least_named():
    said = {"sui_image_params": {"prompt": "cat", "cfgscale": 7, "seed": 1, "width": 8, "height": 16}}
    program, info = recognise({"parameters": json.dumps(said)})
    assert (program, info.values["CFG scale"], info.values["Size"]) == ("SwarmUI", "7", "8x16")
    assert recognise({"workflow": "{}"}) == ("ComfyUI", None)
    circle = {"1": {"class_type": "x", "inputs": {"steps": 1, "positive": ["2", 0], "negative": ["1", 0]}},
              "2": {"class_type": "y", "inputs": {"a": ["2", 0], "b": ["1", 0]}}}  # fmt: skip
    assert recognise({"prompt": json.dumps(circle)})[1].prompt == ""


def test_comfyui_hides_its_graph_in_exif_fields_of_webp(tmp_path):
    graph = json.loads(read_picture(DATA / "comfyui.png").texts["prompt"])
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(graph)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.webp", exif=exif)
    info = read_picture(tmp_path / "x.webp")
    assert (info.program, info.infotext.values["Steps"]) == ("ComfyUI", "20")


def test_chunks_that_novelai_hides_are_read(tmp_path):
    said = json.dumps({"Software": "NovelAI", "Comment": json.dumps({"prompt": "cat", "steps": 28})}).encode()
    data = gzip.compress(said)
    bits = np.unpackbits(np.frombuffer(b"stealth_pngcomp" + (8 * len(data)).to_bytes(4, "big") + data, np.uint8))
    alpha = np.full(64 * 64, 254, np.uint8)
    alpha[: len(bits)] |= bits
    image = Image.new("RGBA", (64, 64))
    image.putalpha(Image.fromarray(alpha.reshape(64, 64).T))
    image.save(tmp_path / "x.png")
    info = read_picture(tmp_path / "x.png")
    assert (info.program, info.infotext.prompt, info.infotext.values["Steps"]) == ("NovelAI", "cat", "28")


def test_the_comment_of_a_gif_is_read(tmp_path):
    text = "a cat\nSteps: 1, Sampler: Euler, Seed: 3"
    Image.new("P", (8, 8)).save(tmp_path / "x.gif", comment=text)
    assert read_picture(tmp_path / "x.gif").text == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"UNICODE\0" + "é猫".encode("utf-16-be"), "é猫"),
        (b"UNICODE\0" + "a cat".encode("utf-16-le"), "a cat"),
        (b"UNICODE\0" + b"\xff\xfe" + "é猫".encode("utf-16-le"), "é猫"),
        (b"ASCII\0\0\0a cat", "a cat"),
        (b"\0" * 8 + b"a cat", "a cat"),
        ("plain é".encode(), "plain é"),
        (b"", ""),
    ],
)
def test_user_comments_in_every_spelling(raw, text):
    assert user_comment(raw) == text


TEXT = "naïve 猫\nNegative prompt: dog\nSteps: 1, Sampler: Euler, Seed: 3, Version: pseudoword-0.1.0"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".avif"])
def test_every_format_gives_back_the_infotext_that_was_put_in(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    save_picture(Image.new("RGB", (16, 16), "red"), path, TEXT)
    info = read_picture(path)
    assert (info.text, info.program, info.size) == (TEXT, "Pseudoword", (16, 16))
    assert read_picture(path.read_bytes()).text == TEXT


def test_exif_is_laid_out_as_the_library_that_a1111_uses_lays_it_out(tmp_path):
    """A1111 reads with piexif, which takes a UserComment only if its type is UNDEFINED."""
    text = read_picture(DATA / "piexif.jpg").text
    save_picture(Image.new("RGB", (8, 8)), tmp_path / "x.jpg", text)
    entry = bytes.fromhex("9286 0007")
    for path in (DATA / "piexif.jpg", tmp_path / "x.jpg"):
        content = path.read_bytes()
        at = content.index(entry)
        assert int.from_bytes(content[at + 4 : at + 8], "big") == 8 + 2 * len(text)
        assert b"UNICODE\0" + text.encode("utf-16-be") in content


def test_a_text_too_long_for_jpeg_is_told_and_nothing_is_written(tmp_path):
    with pytest.raises(BadFile, match="Save it as PNG"):
        save_picture(Image.new("RGB", (8, 8)), tmp_path / "x.jpg", "a" * 40_000)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    for path in (tmp_path / "a.png", tmp_path / "missing.png", tmp_path, Path("a\0b")):
        with pytest.raises(BadFile):
            read_picture(path)
    with pytest.raises(BadFile):
        read_picture(b"")


def test_a_bomb_is_refused_before_it_is_decoded():
    header = (40_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    with pytest.raises(BadFile, match="picture"):
        read_picture(bomb + b"\0\0\0\0IEND\xaeB`\x82")


@given(st.sampled_from(sorted(EXPECTED)), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8))
def test_damage_ends_in_an_answer_or_in_a_clear_error(name, changes):
    content = bytearray((DATA / name).read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    try:
        info = read_picture(bytes(content))
    except BadFile:
        return
    info.text.encode()


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["image", "prompt", "inputs", "class_type", "steps", "positive", "negative", "model", "seed"]),
    inner)), st.sampled_from(["prompt", "sd-metadata", "invokeai_metadata", "parameters", "Comment"]))  # fmt: skip
def test_any_json_in_any_place_is_survived(value, key):
    recognise({key: json.dumps({"image": value, "1": value, "prompt": value}), "Software": "NovelAI"})
    recognise({key: json.dumps(value)})


def test_a_chunk_of_a_name_nobody_knows_is_listed_and_says_nothing(tmp_path):
    info = PngInfo()
    info.add_text("Author", "me")
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png", pnginfo=info)
    read = read_picture(tmp_path / "x.png")
    assert (read.program, read.infotext, read.text, dict(read.texts)) == ("", None, "", {"Author": "me"})
