"""The shipped vocabulary gives the ids that CLIP is known to give."""

import pytest

from pseudoword.models.clip_tokenizer import VOCABULARY_SIZE, clip_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return clip_tokenizer()


# ids as printed by openai/clip and transformers for "openai/clip-vit-large-patch14"
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("A  Photo OF a\ncat", [320, 1125, 539, 320, 2368]),
        ("*", [265]),  # A1111's string_to_token
        (",", [267]),
        ("!", [256]),
        ("hello world!", [3306, 1002, 256]),
        ("a diagram", [320, 22697]),
        ("", []),
    ],
)
def test_known_texts_have_their_known_ids(tokenizer, text, ids):
    assert tokenizer(text, add_special_tokens=False).input_ids == ids


def test_size_and_marks_are_those_of_clip(tokenizer):
    assert len(tokenizer) == VOCABULARY_SIZE == 49408
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (49406, 49407, 49407)
    assert tokenizer("x").input_ids[0] == 49406
    assert tokenizer("x").input_ids[-1] == 49407


def test_open_clip_fills_up_with_id_0():
    assert clip_tokenizer("!").pad_token_id == 0


def test_every_text_comes_back_from_its_ids(tokenizer):
    for text in ("éàü", "日本語", "naïve café 🙂", "1girl, (solo:1.2)"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")
