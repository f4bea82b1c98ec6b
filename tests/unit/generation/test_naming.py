"""Names by A1111's patterns; hashes by hashlib, the rest by hand."""

import hashlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import BadOption
from pseudoword.generation.infotext import Infotext
from pseudoword.generation.naming import Moment, check_pattern, file_name, safe_part

INFO = Infotext(
    prompt="a cat: on a (mat), art by zorp",
    negative_prompt="dog",
    values={"Steps": 20, "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": 7.5, "Seed": 42,
            "Size": (512, 768), "Model hash": "6ce0161689", "Model": "v1/5"},
)  # fmt: skip
ONE = Moment(now=datetime(2026, 1, 2, 3, 4, 5))
THIRD_OF_SIX = Moment(now=ONE.now, index=2, batch_size=2, count=3)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[seed]", "42"),
        ("[seed]-[steps]-[cfg]-[width]x[height]", "42-20-7.5-512x768"),
        ("[SEED]", "42"),
        ("[sampler] [scheduler]", "DPM++ 2M Karras"),
        ("[sampler_scheduler]", "DPM++ 2M Karras"),
        ("[model_hash]-[model_name]", "6ce0161689-v1_5"),
        ("[date]", "2026-01-02"),
        ("[datetime]", "20260102030405"),
        ("[datetime<%H-%M>]", "03-04"),
        ("[prompt]", "a_cat__on_a_(mat),_art_by_zorp"),
        ("[prompt_spaces]", "a cat_ on a (mat), art by zorp"),
        ("[prompt_words]", "a cat on a mat art by zorp"),
        ("[prompt_words<2>]", "a cat"),
        ("[prompt_hash]", sha(INFO.prompt)[:8]),
        ("[prompt_hash<3>]", sha(INFO.prompt)[:3]),
        ("[negative_prompt_hash]", sha("dog")[:8]),
        ("[full_prompt_hash]", sha(f"{INFO.prompt} dog")[:8]),
        ("[hasprompt<cat><dog|nodog>]", "catnodog"),
        ("[clip_skip]", "1"),
        ("[seed]-[denoising]", "42"),
        ("[seed]-[batch_number]-[generation_number]", "42"),
        ("[seed_first]-[seed_last]", "42-42"),
        ("plain", "plain"),
        ("[none]", "picture"),
        ("", "picture"),
        ("a/b", "a_b"),
    ],
)
def test_tags_of_a_single_picture(pattern, name):
    assert file_name(pattern, INFO.text(), ONE) == name


def test_tags_of_a_picture_among_others():
    name = file_name(
        "[batch_number] [generation_number] [batch_size] [seed_first] [seed_last]", INFO.text(), THIRD_OF_SIX
    )
    assert name == "1 3 2 40 45"


@pytest.mark.parametrize("pattern", ["[sead]", "[seed", "seed]", "[seed<]", "[[seed]]"])
def test_a_pattern_that_cannot_be_read_is_refused_with_the_list_of_tags(pattern):
    with pytest.raises(BadOption, match=r"prompt_words"):
        check_pattern(pattern)


@given(st.text(max_size=400))
def test_every_text_becomes_a_name_that_file_systems_take(text):
    name = safe_part(text)
    assert len(name) <= 128
    assert len(name.encode()) <= 200
    assert not set(name) & set('#<>:"/\\|?*\n\r\t\0')
    assert name == name.strip(" .")
