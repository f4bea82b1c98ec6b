"""Infotext as A1111 writes and reads it; the examples follow its documented rules."""

from hypothesis import given
from hypothesis import strategies as st

from pseudoword import __version__
from pseudoword.generation.infotext import Infotext, parse_infotext, quote, unquote


def example(**changes):
    values = {
        "prompt": "a cat, art by zorp",
        "negative_prompt": "dog, red",
        "steps": 20,
        "sampler": "DPM++ 2M",
        "schedule_type": "Karras",
        "cfg_scale": 7.0,
        "seed": 1,
        "size": (512, 768),
        "model_hash": "6ce0161689",
        "model": "v1-5",
        "ti_hashes": {"zorp": "c74b4e810b03"},
    }
    return Infotext(**(values | changes))


def test_the_whole_text():
    assert example().text() == (
        "a cat, art by zorp\n"
        "Negative prompt: dog, red\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, "
        'Model hash: 6ce0161689, Model: v1-5, RNG: CPU, TI hashes: "zorp: c74b4e810b03", '
        f"Version: pseudoword-{__version__}"
    )


def test_an_empty_negative_prompt_and_no_words_leave_nothing_behind():
    text = example(negative_prompt="", ti_hashes={}).text()
    assert "Negative" not in text
    assert "TI hashes" not in text


def test_several_words_share_one_quoted_value():
    text = example(ti_hashes={"a": "1" * 12, "b,:c": "2" * 12}).text()
    assert 'TI hashes: "a: 111111111111, bc: 222222222222"' in text


def test_fractions_of_guidance_are_short():
    assert "CFG scale: 4.5," in example(cfg_scale=4.5).text()


def test_a_line_with_fewer_than_three_pairs_belongs_to_the_prompt():
    assert parse_infotext("a cat\nSteps: 20, Seed: 1")["Prompt"] == "a cat\nSteps: 20, Seed: 1"


def test_prompts_over_several_lines_come_back():
    parsed = parse_infotext(example(prompt="one\ntwo", negative_prompt="three\nfour").text())
    assert (parsed["Prompt"], parsed["Negative prompt"]) == ("one\ntwo", "three\nfour")


WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30)


@given(WORDS.map(str.strip), WORDS.map(str.strip), st.integers(0, 2**32 - 1), st.text("ab,: é", max_size=9))
def test_what_was_written_is_read_back(prompt, negative, seed, model):
    model = f"m{model}".strip()
    parsed = parse_infotext(
        example(
            prompt=prompt, negative_prompt="".join(negative.split("Negative prompt:")), seed=seed, model=model
        ).text()
    )
    assert parsed["Seed"] == str(seed)
    assert parsed["Model"] == model
    assert parsed["TI hashes"] == "zorp: c74b4e810b03"
    assert parsed["Prompt"] == prompt or "Negative prompt:" in prompt


@given(st.text(max_size=40))
def test_quoting_is_undone(value):
    if not (value.startswith('"') and value.endswith('"')):
        assert unquote(quote(value)) == value
