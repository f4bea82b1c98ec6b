"""From an infotext to a request; the samples are A1111's documented format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import BadFile, BadInput, BadOption
from pseudoword.generation.infotext import Infotext, read_infotext
from pseudoword.generation.repeat import repeat, request_from

TEXT = """a cat, [dog:easynegative:0.5]
Negative prompt: blurry
Steps: 15, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 965400086, Size: 512x768, \
Model hash: 6CE0161689, Model: v1-5, Variation seed: 7, Variation seed strength: 0.25, Seed resize from: 256x320, \
Denoising strength: 0.6, Clip skip: 2, ENSD: 31337, Hires upscale: 1.5, Hires steps: 4, Hires upscaler: Latent, \
Hires prompt: "a cat, large", TI hashes: "easynegative: c74b4e810b03", Version: v1.10.1"""


def repeated(text, program="A1111"):
    return repeat(read_infotext(text), program)


def test_every_setting_of_a_text_comes_back():
    request = request_from(repeated(TEXT), {})
    expected = {
        "prompt": "a cat, [dog:easynegative:0.5]", "negative_prompt": "blurry", "steps": 15, "sampler": "DPM++ 2M",
        "scheduler": "Karras", "cfg_scale": 7.5, "seed": 965400086, "width": 512, "height": 768, "variation_seed": 7,
        "variation_strength": 0.25, "seed_resize_width": 256, "seed_resize_height": 320, "denoising_strength": 0.6,
        "clip_skip": 2, "ensd": 31337, "hires_scale": 1.5, "hires_steps": 4, "hires_upscaler": "Latent",
        "hires_prompt": "a cat, large", "hires_sampler": "", "hires_scheduler": "", "noise_source": "NV",
        "batch_size": 1, "count": 1, "init_image": None,
    }  # fmt: skip
    assert {name: getattr(request, name) for name in expected} == expected


def test_model_and_words_are_told():
    said = repeated(TEXT)
    assert (said.model, said.model_hash, dict(said.words)) == ("v1-5", "6ce0161689", {"easynegative": "c74b4e810b03"})
    assert said.notes == ()


def test_what_the_user_gives_counts():
    request = request_from(repeated(TEXT), {"prompt": "a dog", "steps": 3, "seed": 1})
    assert (request.prompt, request.negative_prompt, request.steps, request.seed) == ("a dog", "blurry", 3, 1)


@pytest.mark.parametrize(
    ("end", "program", "source"),
    [
        ("Version: v1.10.1", "A1111", "NV"),
        ("RNG: CPU, Version: v1.10.1", "A1111", "CPU"),
        ("RNG: NV, Version: pseudoword-0.1.0", "Pseudoword", "NV"),
        ("Version: pseudoword-0.1.0", "Pseudoword", "CPU"),
    ],
)
def test_a1111_says_nothing_of_its_noise_where_it_was_the_graphics_cards(end, program, source):
    said = repeated(f"a cat\nSteps: 1, Sampler: Euler, Seed: 2, {end}", program)
    assert said.options["noise_source"] == source


def test_what_cannot_be_repeated_is_told_and_not_dropped():
    line = 'Steps: 1, Sampler: Euler, Seed: 2, Refiner: xl, Lora hashes: "a: 1", Version: v1.5.0'
    notes = " ".join(repeated(f"[a:b:3]\n{line}").notes)
    assert "Refiner: xl is not repeated" in notes
    assert "Lora hashes: a: 1 is not repeated" in notes
    assert "before 1.6" in notes


def test_another_programs_noise_is_told_and_a_seed_that_is_too_large_is_cut():
    said = repeated("a cat\nSteps: 1, Sampler: Euler, Seed: 280823642470253, Version: ComfyUI", "ComfyUI")
    assert said.options["seed"] == 280823642470253 % 2**32
    assert "the picture will differ" in said.notes[0]
    assert "32 bits" in said.notes[1]


def test_a_picture_that_was_drawn_from_another_wants_that_one(tmp_path):
    said = repeated("a cat\nSteps: 9, Sampler: Euler, Seed: 2, Denoising strength: 0.4, Mask blur: 6, Version: v1.10.1")
    with pytest.raises(BadOption, match="--init-image"):
        request_from(said, {})
    request = request_from(said, {"init_image": tmp_path / "x.png"})
    assert (request.denoising_strength, request.mask_blur) == (0.4, 6)


@pytest.mark.parametrize("line", ["Steps: many, Seed: 1, Sampler: Euler", "Steps: 1, Seed: x, Sampler: Euler"])
def test_a_value_that_is_no_number_is_a_clear_error(line):
    with pytest.raises(BadFile, match="expected a number"):
        repeated(f"a cat\n{line}")


def test_a_text_without_settings_is_a_clear_error():
    with pytest.raises(BadFile, match="how it was made"):
        repeat(Infotext(prompt="just words"), "")


def test_an_unknown_sampler_is_an_error_with_the_list():
    with pytest.raises(BadOption, match="Euler a"):
        request_from(repeated("a cat\nSteps: 1, Sampler: nothing, Seed: 2"), {})


KEYS = [
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Variation seed strength", "Clip skip", "ENSD",
    "RNG", "Seed resize from", "Hires upscale", "Hires resize", "Hires upscaler", "Emphasis", "Eta", "NGMS", "Tiling",
    "Version",
]  # fmt: skip
NUMBERS = st.sampled_from(["nan", "inf", "-1", "1e999", "9" * 6000, "0x0", "99999x1", "1.5", "True", "DPM++ 2M", "7"])


@given(st.dictionaries(st.sampled_from(KEYS), NUMBERS | st.text(max_size=12), min_size=3))
def test_whatever_a_stranger_wrote_is_a_request_or_a_clear_error(values):
    try:
        request_from(repeated(Infotext(prompt="x", values=values).text()), {})
    except BadInput:
        return
