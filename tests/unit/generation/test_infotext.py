"""Infotext as A1111 writes and reads it; the examples follow its documented rules (reference a1111.md §3.6)."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion
from packaging.version import parse as parse_version

from pseudoword import __version__
from pseudoword.generation.infotext import (
    Infotext,
    a1111_version,
    hash_list,
    parse_infotext,
    quote,
    read_hash_list,
    read_infotext,
    unquote,
)

VALUES = {
    "Seed": 1,
    "Steps": 20,
    "CFG scale": 7.0,
    "Sampler": "DPM++ 2M",
    "Schedule type": "Karras",
    "Size": (512, 768),
    "Model hash": "6ce0161689",
    "Model": "v1-5",
    "RNG": "CPU",
    "TI hashes": "zorp: c74b4e810b03",
}
TAIL = f"Version: pseudoword-{__version__}"


def example(prompt="a cat, art by zorp", negative="dog, red", **changes):
    return Infotext(prompt=prompt, negative_prompt=negative, values=VALUES | changes)


def test_the_whole_text():
    assert example().text() == (
        "a cat, art by zorp\n"
        "Negative prompt: dog, red\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, "
        f'Model hash: 6ce0161689, Model: v1-5, RNG: CPU, TI hashes: "zorp: c74b4e810b03", {TAIL}'
    )


def test_keys_come_in_the_order_of_a1111_whatever_order_they_are_given_in():
    documented = (
        "Steps, Sampler, Schedule type, CFG scale, Image CFG scale, Seed, Face restoration, Size, Model hash, Model, "
        "FP8 weight, Cache FP16 weight for LoRA, VAE hash, VAE, Variation seed, Variation seed strength, "
        "Seed resize from, Denoising strength, Conditional mask weight, Clip skip, ENSD, Token merging ratio, "
        "Token merging ratio hr, Init image hash, RNG, Tiling, Hires upscale, Mask blur, Version, User"
    )
    scrambled = sorted(documented.split(", "), key=lambda key: key[::-1])
    values = dict.fromkeys(["Hires upscale", "Mask blur", *scrambled], "2")
    last = Infotext(prompt="", values=values).text()
    assert ", ".join(pair.split(": ")[0] for pair in last.split(", ")) == documented


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ({"Steps": None}, ""),
        ({"Steps": 20}, "Steps: 20, "),
        ({"CFG scale": 7.0}, "CFG scale: 7, "),
        ({"CFG scale": 0.1 + 0.2}, "CFG scale: 0.30000000000000004, "),
        ({"Tiling": "Tiling"}, "Tiling, "),
        ({"Tiling": True}, "Tiling: True, "),
        ({"Clip skip": 1}, ""),
        ({"Clip skip": 2}, "Clip skip: 2, "),
        ({"RNG": "GPU"}, ""),
        ({"Model": 'a "b" c'}, 'Model: a "b" c, '),
        ({"Model": "a,b"}, 'Model: "a,b", '),
        ({"Model": 'é:"'}, 'Model: "é:\\"", '),
        ({"Hires prompt": "one\ntwo"}, 'Hires prompt: "one\\ntwo", '),
    ],
)
def test_values_are_written_by_the_rules(values, written):
    assert Infotext(prompt="", values=values).text() == f"{written}{TAIL}"


def test_an_empty_negative_prompt_and_no_words_leave_nothing_behind():
    text = example(negative="", **{"TI hashes": hash_list({})}).text()
    assert "Negative" not in text
    assert "TI hashes" not in text


def test_several_words_share_one_quoted_value():
    hashes = hash_list({"a": "1" * 12, "b,:c": "2" * 12})
    assert 'TI hashes: "a: 111111111111, bc: 222222222222"' in example(**{"TI hashes": hashes}).text()
    assert read_hash_list(hashes) == {"a": "1" * 12, "bc": "2" * 12}


A1111_SAMPLE = """(masterpiece:1.2), a cat
on a mat
Negative prompt: EasyNegative, dog:
blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5, Lora hashes: "a: 1234567890ab, b: 0", Hires upscale: 1.5, \
TI hashes: "easynegative: c74b4e810b03, easynegative: c74b4e810b03", Version: v1.10.1"""


def test_a_text_of_a1111_is_read_and_written_back_letter_by_letter():
    read = read_infotext(A1111_SAMPLE)
    assert read.prompt == "(masterpiece:1.2), a cat\non a mat"
    assert read.negative_prompt == "EasyNegative, dog:\nblurry"
    assert read.values["Lora hashes"] == "a: 1234567890ab, b: 0"
    assert read.text() == A1111_SAMPLE


def test_what_is_absent_means_what_it_meant_when_it_was_absent():
    parsed = parse_infotext(A1111_SAMPLE)
    assert (parsed["Size-1"], parsed["Size-2"]) == ("512", "768")
    assert "Size" not in parsed
    assert parsed["Schedule type"] == "Karras"
    expected = {
        "Clip skip": "1", "Hires resize-1": "0", "Hires resize-2": "0", "Hires sampler": "Use same sampler",
        "Hires schedule type": "Use same scheduler", "Hires checkpoint": "Use same checkpoint", "Hires prompt": "",
        "Hires negative prompt": "", "Mask mode": "Inpaint masked", "Masked content": "original",
        "Inpaint area": "Whole picture", "Masked area padding": "32", "RNG": "GPU", "Schedule max sigma": "0",
        "Schedule min sigma": "0", "Schedule rho": "0", "VAE Encoder": "Full", "VAE Decoder": "Full",
        "FP8 weight": "Disable", "Emphasis": "Original", "Refiner switch by sampling steps": "False",
    }  # fmt: skip
    assert {key: parsed[key] for key in expected} == expected
    assert "Emphasis" not in parse_infotext("a cat\nSteps: 1, Seed: 2, Size: 8x8")


@pytest.mark.parametrize(
    ("version", "rest", "rules"),
    [
        ("v1.5.2", "", {"Old prompt editing timelines", "Downcast alphas_cumprod"}),
        ("1.5.2", ", Sampler: DDIM", {"Old prompt editing timelines", "Downcast alphas_cumprod", "Pad conds v0"}),
        ("v1.6.0", ", Sampler: DDIM", {"Downcast alphas_cumprod"}),
        ("v1.6.0-2-g4afaaf8a", "", {"Downcast alphas_cumprod"}),
        ("v1.7.0-224-gabcdef01", ", Refiner: x", {"Downcast alphas_cumprod", "Refiner switch by sampling steps"}),
        ("v1.7.0-225-gabcdef01", ", Refiner: x", {"Refiner switch by sampling steps"}),
        ("v1.8.0", ", Refiner: x", set()),
        ("v1.10.1", ", Sampler: PLMS", set()),
        (f"pseudoword-{__version__}", ", Sampler: PLMS, Refiner: x", set()),
        ("f2.0.1v1.10.1-previous-313-g8a042934", ", Sampler: PLMS", set()),
        ("ComfyUI", "", set()),
    ],
)
def test_old_versions_of_a1111_meant_other_things(version, rest, rules):
    parsed = parse_infotext(f"[a:b:5]\nSteps: 1, Seed: 2{rest}, Version: {version}")
    names = ("Old prompt editing timelines", "Pad conds v0", "Downcast alphas_cumprod")
    assert {name for name in (*names, "Refiner switch by sampling steps") if parsed.get(name) == "True"} == rules


@pytest.mark.parametrize("ours", [__version__, "0.1.0", "12.3.4", "0.2.0-dev", "0.2.0-rc1-5-gabcdef"])
def test_a1111_cannot_take_our_version_for_an_old_one_of_its_own(ours):
    """It cuts the text after `x-y` where a second hyphen follows, gives it to packaging, and compares if that can."""
    text = f"pseudoword-{ours}"
    cut = re.match("([^-]+-[^-]+)-", text)
    with pytest.raises(InvalidVersion):
        parse_version(cut[1] if cut else text)
    assert parse_version("0.1.0") < parse_version("1.6.0"), "a bare number would be taken for an old version"


@pytest.mark.parametrize(
    ("text", "version"),
    [("v1.10.1", (1, 10, 1, 0)), ("v1.7.0-225-g0f", (1, 7, 0, 225)), ("1.6.0-RC", None), ("", None), ("x", None)],
)
def test_versions_of_a1111_are_numbers(text, version):
    assert a1111_version(text) == version


def test_a_line_with_fewer_than_three_pairs_belongs_to_the_prompt():
    assert parse_infotext("a cat\nSteps: 20, Seed: 1")["Prompt"] == "a cat\nSteps: 20, Seed: 1"


def test_prompts_over_several_lines_come_back():
    parsed = parse_infotext(example("one\ntwo", "three\nfour").text())
    assert (parsed["Prompt"], parsed["Negative prompt"]) == ("one\ntwo", "three\nfour")


WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30)


@given(WORDS.map(str.strip), WORDS.map(str.strip), st.integers(0, 2**32 - 1), st.text('ab,: é"\\\n', max_size=9))
def test_what_was_written_is_read_back(prompt, negative, seed, model):
    model = f"m{model}x"
    negative = "".join(negative.split("Negative prompt:"))
    parsed = parse_infotext(example(prompt, negative, Seed=seed, Model=model).text())
    assert parsed["Seed"] == str(seed)
    assert parsed["Model"] == model
    assert parsed["TI hashes"] == "zorp: c74b4e810b03"
    assert parsed["Prompt"] == prompt or "Negative prompt:" in prompt


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_number(number):
    assert float(read_infotext(example(**{"CFG scale": number}).text()).values["CFG scale"]) == number


GRAMMAR = re.compile(
    r"""\s* (?P<key> \w [\w\ /-]+ ) : \s*  (?P<value> " (?: [^"\\] | \\. )+ " | [^,]* ) (?: , | \Z )""", re.VERBOSE
)
"""The documented grammar of a pair, as one expression; it is quadratic, and the scanner is not."""


@given(st.text('ab1 -/:,"\\é(', max_size=40))
def test_the_scanner_finds_the_pairs_of_the_documented_grammar(line):
    text = f"{line}, Steps: 1, Seed: 2, Model: x".strip()
    expected = {m["key"]: _plain(m["value"].strip()) for m in GRAMMAR.finditer(text)}
    assert read_infotext(text).values == (expected if len([*GRAMMAR.finditer(text)]) >= 3 else {})


def _plain(value):
    try:
        return json.loads(value) if value.startswith('"') and value.endswith('"') else value
    except ValueError:
        return value


@pytest.mark.timeout(30)  # the expression above takes hours
@pytest.mark.parametrize(
    "line", ["a" * 200_000, "a:" * 100_000, 'aa:"' * 50_000, 'aa: "\\", ' * 25_000, f"aa:{' ' * 200_000}"]
)
def test_a_long_line_from_a_stranger_is_read_in_linear_time(line):
    read_infotext(line)


@given(st.text(max_size=40))
def test_quoting_is_undone(value):
    if not (value.startswith('"') and value.endswith('"')):
        assert unquote(quote(value)) == value
