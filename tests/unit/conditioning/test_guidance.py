"""What each model call is told, against encoders called by hand and the reference's formulas."""

import copy

import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.conditioning.guidance import Course, PromptOptions
from pseudoword.conditioning.vocabulary import ExtendedVocabulary
from pseudoword.errors import BadOption, WrongFamily

KINDS = ("sd1", "sd2", "sdxl")


def word_for(model, num_vectors, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {slot: torch.randn(num_vectors, width, generator=generator) for slot, width in model.widths().items()}


def guide(conditioner, prompt, negative="", words=None, calls=10, hires=0, **options):
    return conditioner.guide(
        prompt, negative, words or {}, num_calls=calls, num_steps=calls, hires_calls=hires,
        options=PromptOptions(**options),
    )  # fmt: skip


def row(guidance, call=0, number=1, **how):
    return guidance.at(call, **how)[0].hidden[number]


def ids_of(encoder, text):
    return encoder.tokenizer(text, add_special_tokens=False).input_ids


def by_hand(encoder, content, rows=None):
    """Hidden states [77, d] and what the projection makes of the end token, with a grown copy of the encoder."""
    module = copy.deepcopy(encoder.module)
    table = module.get_input_embeddings()
    table = table.table if isinstance(table, ExtendedVocabulary) else table
    weight = table.weight if rows is None else torch.cat([table.weight, rows])
    module.set_input_embeddings(torch.nn.Embedding.from_pretrained(weight))
    tokenizer = encoder.tokenizer
    ids = [tokenizer.bos_token_id, *content, tokenizer.eos_token_id]
    output = module(torch.tensor([ids + [tokenizer.pad_token_id] * (77 - len(ids))]), output_hidden_states=True)
    hidden = output.hidden_states[-2] if encoder.penultimate else output.last_hidden_state
    pooled = module.text_projection(output.last_hidden_state[:, len(ids) - 1]) if encoder.pools else None
    return hidden[0], pooled


def with_a_mean(model):
    """A copy whose text encoders' final norm adds something: random weights alone give states whose mean is 0."""
    model = copy.deepcopy(model)
    for encoder in model.encoders:
        getattr(encoder.module, "text_model", encoder.module).final_layer_norm.bias.fill_(0.2)
    return model


def test_a_text_lasts_up_to_and_with_the_call_of_its_end():
    course = Course(((5, 0), (10, 1)))
    assert [course.at(call) for call in range(12)] == [0] * 6 + [1] * 6


@pytest.mark.parametrize("kind", KINDS)
def test_row_0_is_the_negative_prompt_and_row_1_the_prompt(load, kind):
    conditioner = Conditioner(load(kind))
    rows, weights = guide(conditioner, "a cat", "dog").at(0)
    plain = conditioner.encode(["dog", "a cat"], {})
    assert weights == (1.0,)
    torch.testing.assert_close(rows.hidden, plain.hidden)
    if kind == "sdxl":
        torch.testing.assert_close(rows.pooled, plain.pooled)


@pytest.mark.parametrize("kind", KINDS)
def test_original_multiplies_each_token_and_restores_the_mean_of_each_encoders_tensor(load, kind):
    model = with_a_mean(load(kind))
    found = row(guide(Conditioner(model), "a (red cat:1.5) [here]"))
    expected = []
    for encoder in model.encoders:
        runs = [(ids_of(encoder, "a "), 1), (ids_of(encoder, "red cat"), 1.5), (ids_of(encoder, "here"), 1 / 1.1)]
        plain, _ = by_hand(encoder, [token for ids, _ in runs for token in ids])
        weights = torch.ones(77)
        weights[1 : 1 + sum(len(ids) for ids, _ in runs)] = torch.tensor([w for ids, w in runs for _ in ids])
        weighted = plain * weights[:, None]
        expected.append(weighted * (plain.mean() / weighted.mean()))
    torch.testing.assert_close(found, torch.cat(expected, dim=-1), rtol=1e-4, atol=1e-4)


def test_no_norm_multiplies_only(load):
    conditioner = Conditioner(load("sd1"))
    plain = row(guide(conditioner, "red cat"))
    found = row(guide(conditioner, "(red cat:0.5)", emphasis="No norm"))
    count = len(ids_of(load("sd1").encoders[0], "red cat"))
    torch.testing.assert_close(found[1 : 1 + count], plain[1 : 1 + count] * 0.5)
    torch.testing.assert_close(found[1 + count :], plain[1 + count :])
    torch.testing.assert_close(found[0], plain[0])


def test_ignore_reads_brackets_and_does_nothing_and_none_takes_them_for_text(load):
    conditioner = Conditioner(load("sd1"))
    assert torch.equal(row(guide(conditioner, "(red cat:0.5)", emphasis="Ignore")), row(guide(conditioner, "red cat")))
    literal = row(guide(conditioner, "(red cat:0.5)", emphasis="None"))
    torch.testing.assert_close(literal, conditioner.encode(["(red cat:0.5)"], {}).hidden[0])


def test_the_pooled_vector_is_of_the_first_chunk_at_our_end_token_and_has_no_weight(load):
    model = load("sdxl")
    word = word_for(model, 2)
    encoder = model.encoders[1]
    pooled = guide(Conditioner(model), "(zorp:1.5) BREAK dog", words={"zorp": word}).at(0)[0].pooled[1]
    size = encoder.vocabulary_size
    torch.testing.assert_close(pooled, by_hand(encoder, [size, size + 1], word["clip_g"])[1][0])


def test_all_vectors_of_a_word_get_the_weight(load):
    model = load("sd1")
    word = word_for(model, 3)
    conditioner = Conditioner(model)
    plain = row(guide(conditioner, "zorp", words={"zorp": word}))
    found = row(guide(conditioner, "(zorp:2)", words={"zorp": word}, emphasis="No norm"))
    torch.testing.assert_close(found[1:4], plain[1:4] * 2)
    torch.testing.assert_close(found[4:], plain[4:])


@pytest.mark.parametrize("written", ["zorp", "ZORP", "<embedding:zorp>", "<embedding:sub/Zorp.pt>", "embedding:zorp"])
def test_a_word_may_be_called_by_name_or_explicitly(load, written):
    model = load("sd1")
    words = {"zorp": word_for(model, 2)}
    conditioner = Conditioner(model)
    found = guide(conditioner, f"a {written} cat", words=words)
    assert found.words == ("zorp",)
    assert found.warnings == ()
    torch.testing.assert_close(row(found), conditioner.encode(["a zorp cat"], words).hidden[0])


def test_a_word_forms_across_brackets_of_equal_weight_and_is_cut_by_others(load):
    model = load("sd1")
    words = {"zorp": word_for(model, 2)}
    assert guide(Conditioner(model), "(zo:1.2)(rp:1.2)", words=words).words == ("zorp",)
    assert guide(Conditioner(model), "(zo:1.2)(rp:1.3)", words=words).words == ()


def test_a_word_at_a_border_moves_to_the_next_chunk_with_its_vectors(load):
    model = load("sd1")
    encoder = model.encoders[0]
    words = {"zorp": word_for(model, 8)}
    comma, cat, size = ids_of(encoder, ",")[0], ids_of(encoder, "cat")[0], encoder.vocabulary_size
    found = row(guide(Conditioner(model), "cat " * 60 + ", zorp " + "cat " * 7, words=words))
    first = by_hand(encoder, [cat] * 60 + [comma])[0]
    second = by_hand(encoder, [*range(size, size + 8), *[cat] * 7], words["zorp"]["clip_l"])[0]
    torch.testing.assert_close(found, torch.cat([first, second]))


def test_a_word_of_80_vectors_is_spread_with_a_warning(load):
    model = load("sd1")
    words = {"zorp": word_for(model, 80)}
    found = guide(Conditioner(model), "a zorp", words=words)
    assert row(found).shape[0] == 3 * 77
    assert found.warnings == (
        "column 1: 'zorp' has 80 vectors, more than the 75 of one chunk, so it is spread over several",
    )
    size = model.encoders[0].vocabulary_size
    last = by_hand(model.encoders[0], range(size + 75, size + 80), words["zorp"]["clip_l"])[0]
    torch.testing.assert_close(row(found)[2 * 77 :], last)


@pytest.mark.parametrize("skip", [2, 3])
def test_clip_skip_takes_an_earlier_state_with_the_final_norm(load, skip):
    model = load("sd1")
    encoder = model.encoders[0]
    shorter = copy.deepcopy(encoder.module)
    holder = getattr(shorter, "text_model", shorter)
    holder.encoder.layers = holder.encoder.layers[: 1 - skip]
    ids = ids_of(encoder, "a cat")
    tokenizer = encoder.tokenizer
    row_ids = [tokenizer.bos_token_id, *ids] + [tokenizer.eos_token_id] * (76 - len(ids))
    expected = shorter(torch.tensor([row_ids])).last_hidden_state[0]
    torch.testing.assert_close(row(guide(Conditioner(model), "a cat", clip_skip=skip)), expected)


@pytest.mark.parametrize("kind", ["sd2", "sdxl"])
def test_clip_skip_means_nothing_to_sd2_and_sdxl(load, kind):
    conditioner = Conditioner(load(kind))
    assert torch.equal(row(guide(conditioner, "a cat", clip_skip=12)), row(guide(conditioner, "a cat")))


def test_more_layers_than_there_are_cannot_be_skipped(load):
    with pytest.raises(BadOption, match=r"--clip-skip 4; expected 1 to 3"):
        guide(Conditioner(load("sd1")), "a cat", clip_skip=4)


def test_a_shorter_prompt_is_filled_with_whole_encodings_of_an_empty_one(load):
    conditioner = Conditioner(load("sd1"))
    empty = conditioner.encode([""], {}).hidden[0]
    for prompt, negative, short in (("cat " * 80, "(dog:1.3)", 0), ("(dog:1.3)", "cat " * 160, 1)):
        found = guide(conditioner, prompt, negative)
        assert found.padded
        alone = row(guide(conditioner, "(dog:1.3)"))
        torch.testing.assert_close(row(found, number=short)[:77], alone)
        torch.testing.assert_close(row(found, number=short)[-77:], empty)
    assert not guide(conditioner, "cat", "dog").padded


def test_an_empty_negative_prompt_of_sdxl_is_zeros(load):
    conditioner = Conditioner(load("sdxl"))
    for negative in ("", "  ", "# nothing"):
        found = guide(conditioner, "cat " * 80, negative).at(0)[0]
        assert not found.hidden[0].any()
        assert not found.pooled[0].any()
    assert guide(conditioner, "cat", "dog").at(0)[0].hidden[0].any()
    assert row(guide(Conditioner(load("sd1")), "cat", ""), number=0).any()


def test_and_gives_one_row_each_with_its_weight(load):
    conditioner = Conditioner(load("sd1"))
    rows, weights = guide(conditioner, "a cat AND dog:-0.5", "x AND y:2").at(3)
    assert weights == (1.0, -0.5)
    torch.testing.assert_close(rows.hidden, conditioner.encode(["x AND y:2", "a cat", "dog"], {}).hidden)


def test_a_prompt_without_and_may_have_a_weight(load):
    assert guide(Conditioner(load("sd1")), "cat:2").at(0)[1] == (2.0,)


def test_editing_changes_after_six_calls_for_a_step_number_of_five(load):
    conditioner = Conditioner(load("sd1"))
    found = guide(conditioner, "a [cat:dog:5]", "[x|y]")
    texts = conditioner.encode(["a cat", "a dog", "x", "y"], {}).hidden
    for call in range(10):
        torch.testing.assert_close(row(found, call), texts[0 if call <= 5 else 1])
        step = max(1, call)  # the text of step n holds up to and with call n
        torch.testing.assert_close(row(found, call, 0), texts[2 + (step - 1) % 2])


def test_samplers_of_second_order_count_calls_and_say_so(load):
    conditioner = Conditioner(load("sd1"))
    found = conditioner.guide("[cat:dog:5] [x:0.5]", "", {}, num_calls=20, num_steps=10)
    assert found.warnings == ("column 1: 5 counts model calls, of which this sampler makes 20 in 10 steps",)
    assert torch.equal(row(found, 7), row(found, 10))
    assert not torch.equal(row(found, 5), row(found, 6))
    assert not torch.equal(row(found, 10), row(found, 11))


def test_the_hires_pass_has_a_schedule_of_its_own(load):
    conditioner = Conditioner(load("sd1"))
    found = guide(conditioner, "[cat:dog:1.5]", calls=10, hires=20)
    cat, dog = conditioner.encode(["cat", "dog"], {}).hidden
    torch.testing.assert_close(row(found, 9), cat)
    torch.testing.assert_close(row(found, 10, hires=True), cat)
    torch.testing.assert_close(row(found, 11, hires=True), dog)


def test_the_mean_is_restored_over_all_texts_of_a_schedule(load):
    # upstream encodes a prompt's whole schedule as one batch, and its mean is over that batch
    model = with_a_mean(load("sd1"))
    conditioner = Conditioner(model)
    found = guide(conditioner, "[(cat:3):dog:5]")
    plain = conditioner.encode(["cat", "dog"], {}).hidden
    weighted = plain.clone()
    weighted[0, 1 : 1 + len(ids_of(model.encoders[0], "cat"))] *= 3
    weighted *= plain.mean() / weighted.mean()
    torch.testing.assert_close(torch.stack([row(found, 0), row(found, 9)]), weighted)


def test_a_text_that_stands_longer_counts_more_in_the_mean(load):
    model = with_a_mean(load("sd1"))
    conditioner = Conditioner(model)
    found = guide(conditioner, "[(cat:3)|dog|dog]", calls=3)  # entries of the schedule: cat, dog, dog
    plain = conditioner.encode(["cat", "dog", "dog"], {}).hidden
    weighted = plain.clone()
    weighted[0, 1 : 1 + len(ids_of(model.encoders[0], "cat"))] *= 3
    weighted *= plain.mean() / weighted.mean()
    torch.testing.assert_close(torch.stack([row(found, call) for call in (1, 2, 3)]), weighted)


def test_each_distinct_chunk_is_encoded_once(load):
    model = load("sd1")
    seen = []
    hook = model.encoders[0].module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    try:
        guide(Conditioner(model), "a [cat|dog] BREAK (x:1.5) AND a cat BREAK x", "a dog", calls=40, hires=40)
    finally:
        hook.remove()
    assert sum(seen) == 4  # a cat, a dog, x, nothing


def test_words_of_the_prompt_come_before_those_of_the_negative(load):
    model = load("sd1")
    words = {name: word_for(model, 1, seed) for seed, name in enumerate(("zorp", "blik", "quax"))}
    found = guide(Conditioner(model), "a [blik:zorp:5]", "quax, zorp", words=words)
    assert found.words == ("blik", "zorp", "quax")


def test_warnings_have_columns_and_come_once(load):
    model = load("sd1")
    words = {"foo": word_for(model, 1), "foo-1000": word_for(model, 1)}
    found = guide(Conditioner(model), "(foo-100:1.2.3) [a|b]", "x\n<embedding:fo>", words=words)
    assert found.warnings == (
        "column 10: 1.2.3 is no number, so it is read as text and the weight is 1.1",
        "column 2: 'foo-100' is not loaded, so its part 'foo' is used and the rest is text; did you mean 'foo-1000'?",
        "negative prompt, line 2, column 1: 'fo' is not loaded and left out; did you mean 'foo'?",
    )


def test_a_word_of_another_width_is_refused_when_it_is_used(load):
    words = {"zorp": {"clip_l": torch.ones(1, 768)}}
    guide(Conditioner(load("sd1")), "a cat", words=words)
    with pytest.raises(WrongFamily, match=r"SD1.x \(768\)"):
        guide(Conditioner(load("sd1")), "a cat", "[x:zorp:9]", words=words)


def test_guidance_has_no_gradient_and_leaves_no_rows(load):
    model = load("sd1")
    word = {"clip_l": torch.randn(2, 32, requires_grad=True)}
    assert not guide(Conditioner(model), "zorp", words={"zorp": word}).base.bank.hidden.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_two_words_in_one_prompt_keep_their_own_vectors_in_every_encoder(load, kind):
    model = load(kind)
    words = {"zorp": word_for(model, 2, 1), "blik": word_for(model, 1, 2)}
    found = row(guide(Conditioner(model), "zorp and blik, zorp", words=words))
    expected = []
    for encoder in model.encoders:
        size = encoder.vocabulary_size
        rows = torch.cat([words["zorp"][encoder.slot], words["blik"][encoder.slot]])
        zorp, middle, comma = [size, size + 1], ids_of(encoder, "and"), ids_of(encoder, ",")
        expected.append(by_hand(encoder, [*zorp, *middle, size + 2, *comma, *zorp], rows)[0])
    torch.testing.assert_close(found, torch.cat(expected, dim=-1))


@pytest.mark.parametrize(
    "bad", [{"emphasis": "Loud"}, {"clip_skip": 0}, {"clip_skip": 13}, {"comma_backtrack": -1}, {"comma_backtrack": 75}]
)
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(BadOption, match="expected"):
        PromptOptions(**bad)


def test_a_hundred_thousand_alike_notes_are_three_lines(load):
    conditioner = Conditioner(load("sd1"))
    guidance = conditioner.guide("(" * 100_000 + "a", "", {}, num_calls=1, num_steps=1)
    ends = "( is never closed, so it holds to the end"
    assert guidance.warnings == (
        f"column 1: {ends}", f"column 2: {ends}", f"column 3: {ends} (and 99997 more)",
    )  # fmt: skip
