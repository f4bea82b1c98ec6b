"""Settings as TOML: out and back through Python's own reader, and what is wrong in a file named all at once."""

import tomllib

import pytest

from pseudoword.errors import BadFile
from pseudoword.training.config import read_config, to_toml
from pseudoword.training.options import TrainOptions

ODD = 'a "quoted" \\ back\\slash\nsecond line\ttab \x7f\x01 é 猫'


def options(**changes):
    return TrainOptions(**({"name": "zorp", "pictures": "p"} | changes))


@pytest.mark.parametrize(
    "given",
    [
        options(),
        options(
            preview_prompt=(ODD, "two"), more_pictures=("a:3:0.5",), noun=ODD, flip=True, stop="time", max_time=1.5,
            vectors=3, learning_rate="5e-3:100, 1e-4", evaluate_every=0, drop_tags=0.25, seed=2**63 - 1,
        ),
    ],
)  # fmt: skip
def test_what_is_written_is_read_back(tmp_path, given):
    text = to_toml(given, "Two lines\nof a head")
    assert text.startswith("# Two lines\n# of a head\n")
    (tmp_path / "c.toml").write_text(text, "utf-8")
    assert TrainOptions(**read_config(tmp_path / "c.toml")) == given
    known = {name: value for name, value in given.as_json().items() if value is not None}
    found = tomllib.loads(text)
    assert found == {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}


def test_all_that_is_wrong_is_named_at_once(tmp_path):
    (tmp_path / "c.toml").write_text(
        'colour = 1\nsteps = "many"\nflip = 1\nmore_pictures = [1]\nname = "zorp"\nseed = 1.5\nvectors = true\n'
        "[shape]\nx = 1\n"
    )
    with pytest.raises(BadFile) as caught:
        read_config(tmp_path / "c.toml")
    told = str(caught.value)
    for words in (
        "colour is no setting", "shape is no setting", "steps = 'many' is not a whole number",
        "flip = 1 is not true or false", "more_pictures = [1] is not a list of texts",
        "seed = 1.5 is not a whole number", "vectors = True is not a whole number",
    ):  # fmt: skip
        assert words in told
    assert "'zorp'" not in told


def test_numbers_do_for_rates_and_for_fractions(tmp_path):
    (tmp_path / "c.toml").write_text("learning_rate = 0.005\nema = 0\nclip_grad_value = 1\n")
    assert read_config(tmp_path / "c.toml") == {"learning_rate": "0.005", "ema": 0.0, "clip_grad_value": "1"}


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe", None])
def test_what_is_no_toml_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(BadFile, match=r"c\.toml cannot be read"):
        read_config(tmp_path / "c.toml")
