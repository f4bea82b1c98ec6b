"""Learned words in prompts, against the slow way: the vectors written into a grown copy of the encoder's table."""

import copy

import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.conditioning.vocabulary import ExtendedVocabulary, extend, extra_rows
from pseudoword.errors import WrongFamily

KINDS = ("sd1", "sd2", "sdxl")


def word_for(model, num_vectors, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {slot: torch.randn(num_vectors, width, generator=generator) for slot, width in model.widths().items()}


def grown_encoder(encoder, rows):
    """An untouched copy of the encoder whose own table has `rows` at its end."""
    module = copy.deepcopy(encoder.module)
    table = module.get_input_embeddings()
    if isinstance(table, ExtendedVocabulary):
        table = table.table
    module.set_input_embeddings(torch.nn.Embedding.from_pretrained(torch.cat([table.weight, rows])))
    return module


def ids_by_hand(encoder, content):
    tokenizer = encoder.tokenizer
    ids = [tokenizer.bos_token_id, *content, tokenizer.eos_token_id]
    return torch.tensor([ids + [tokenizer.pad_token_id] * (77 - len(ids))])


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_word_gives_what_a_grown_table_gives(load, kind):
    model = load(kind)
    word = word_for(model, 3)
    result = Conditioner(model).encode(["a cat by zorp, red"], {"zorp": word})
    hidden = []
    for encoder in model.encoders:
        size = encoder.vocabulary_size
        left = encoder.tokenizer("a cat by", add_special_tokens=False).input_ids
        right = encoder.tokenizer(", red", add_special_tokens=False).input_ids
        ids = ids_by_hand(encoder, [*left, size, size + 1, size + 2, *right])
        output = grown_encoder(encoder, word[encoder.slot])(ids, output_hidden_states=True)
        hidden.append(output.hidden_states[-2] if kind == "sdxl" else output.last_hidden_state)
    torch.testing.assert_close(result.hidden, torch.cat(hidden, -1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_prompt_gives_what_diffusers_gives(load, tiny_folder, kind):
    import diffusers

    pipeline_class = diffusers.StableDiffusionXLPipeline if kind == "sdxl" else diffusers.StableDiffusionPipeline
    model = load(kind)
    parts = {
        "vae": model.vae,
        "unet": model.unet,
        "scheduler": diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
    }
    for number, encoder in enumerate(model.encoders):
        suffix = "_2" if number else ""
        parts["text_encoder" + suffix], parts["tokenizer" + suffix] = encoder.module, encoder.tokenizer
    if kind != "sdxl":
        parts |= {"safety_checker": None, "feature_extractor": None}
    pipeline = pipeline_class(**parts)
    prompt = "a red house, art by someone"
    if kind == "sdxl":
        expected, _, pooled, _ = pipeline.encode_prompt(
            prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
    else:
        expected, _ = pipeline.encode_prompt(prompt, "cpu", 1, False)
        pooled = None
    result = Conditioner(model).encode([prompt], {})
    torch.testing.assert_close(result.hidden, expected)
    if pooled is None:
        assert result.pooled is None
    # diffusers pools by argmax over the ids here (eos_token_id is 2): our own end token is the highest plain
    # id, so without learned words both must agree
    else:
        torch.testing.assert_close(result.pooled, pooled)


def test_the_pooled_vector_is_read_at_our_end_token_and_not_at_the_learned_row(load):
    model = load("sdxl")
    encoder = model.encoders[1]
    assert encoder.module.config.eos_token_id == 2
    word = word_for(model, 2)
    pooled = Conditioner(model).encode(["zorp"], {"zorp": word}).pooled
    size = encoder.vocabulary_size
    module = grown_encoder(encoder, word["clip_g"])
    output = module(ids_by_hand(encoder, [size, size + 1]))
    at_end = module.text_projection(output.last_hidden_state[:, 3])
    torch.testing.assert_close(pooled, at_end)
    assert not torch.allclose(pooled, output.text_embeds)  # what transformers' argmax would have given


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_rows_of_every_encoder_and_nothing_else(load, kind):
    model = load(kind)
    word = {slot: rows.requires_grad_() for slot, rows in word_for(model, 2).items()}
    Conditioner(model).encode(["a zorp"], {"zorp": word}).hidden.square().sum().backward()
    assert all(rows.grad is not None and rows.grad.abs().sum() > 0 for rows in word.values())
    modules = [encoder.module for encoder in model.encoders]
    assert all(p.grad is None for module in modules for p in module.parameters())


def test_two_words_in_one_prompt_keep_their_own_vectors(load):
    model = load("sdxl")
    conditioner = Conditioner(model)
    first, second = word_for(model, 2, 1), word_for(model, 1, 2)
    both = conditioner.encode(["zorp and blik"], {"blik": second, "zorp": first}).hidden
    swapped = conditioner.encode(["zorp and blik"], {"blik": first, "zorp": second}).hidden
    reloaded = conditioner.encode(["zorp and blik"], {"zorp": first, "other": second, "blik": second}).hidden
    assert torch.equal(both, reloaded)
    assert not torch.allclose(both, swapped)


def test_equal_prompts_in_a_batch_equal_the_prompt_alone(load):
    conditioner = Conditioner(load("sd1"))
    word = word_for(load("sd1"), 2)
    batch = conditioner.encode(["a zorp", "a cat", "a zorp"], {"zorp": word}).hidden
    alone = conditioner.encode(["a zorp"], {"zorp": word}).hidden
    assert torch.equal(batch[0], batch[2])
    torch.testing.assert_close(batch[0], alone[0])


def test_a_long_prompt_becomes_chunks_and_the_short_one_is_filled_with_empty_ones(load):
    conditioner = Conditioner(load("sd1"))
    both = conditioner.encode(["cat " * 80, "dog"], {}).hidden
    assert both.shape[1] == 2 * 77
    torch.testing.assert_close(both[1, 77:], conditioner.encode([""], {}).hidden[0])
    torch.testing.assert_close(both[1, :77], conditioner.encode(["dog"], {}).hidden[0])


def test_case_does_not_matter_and_part_of_a_word_does_not_match(load):
    conditioner = Conditioner(load("sd1"))
    words = {"Zorp": word_for(load("sd1"), 1)}
    assert conditioner.words_in("a ZORP here", words) == ["Zorp"]
    assert conditioner.words_in("zorpish", words) == []


def test_a_word_of_another_width_is_refused_when_it_is_used(load):
    conditioner = Conditioner(load("sd1"))
    words = {"zorp": {"clip_l": torch.ones(1, 768)}}
    conditioner.encode(["a cat"], words)
    with pytest.raises(WrongFamily, match=r"SD1.x \(768\).*\(32\)"):
        conditioner.encode(["a zorp"], words)


def test_75_vectors_fill_a_chunk_and_more_go_on_in_the_next(load):
    model = load("sd1")
    conditioner = Conditioner(model)
    long = word_for(model, 80)
    assert conditioner.encode(["zorp"], {"zorp": word_for(model, 75)}).hidden.shape[1] == 77
    both = conditioner.encode(["zorp"], {"zorp": long}).hidden
    halves = {"one": {"clip_l": long["clip_l"][:75]}, "two": {"clip_l": long["clip_l"][75:]}}
    apart = [conditioner.encode([name], halves).hidden for name in halves]
    torch.testing.assert_close(both, torch.cat(apart, dim=1))


def test_the_table_itself_is_never_touched_and_rows_do_not_stay(load):
    encoder = load("sd1").encoders[0]
    vocabulary = extend(encoder)
    before = vocabulary.weight.clone()
    assert extend(encoder) is vocabulary
    with extra_rows(vocabulary, torch.ones(1, 32)):
        assert torch.equal(vocabulary(torch.tensor([encoder.vocabulary_size])), torch.ones(1, 32))
    assert vocabulary.rows is None
    assert torch.equal(vocabulary.weight, before)
