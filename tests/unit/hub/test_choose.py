"""Which files of a repository are the embedding, and its name."""

import pytest

from pseudoword.errors import BadFile, BadOption
from pseudoword.hub import Offer, RemoteFile
from pseudoword.hub.choose import choose


def offer(*names, title="cat-toy", primary=None):
    files = tuple(RemoteFile(name=name, url="https://x.example/" + name) for name in names)
    return Offer(id=f"o/{title}", source="hub", page="", title=title, files=files, primary=primary)


@pytest.mark.parametrize(
    ("names", "taken", "name"),
    [
        (["README.md", "learned_embeds.bin", "token_identifier.txt"], ["learned_embeds.bin"], "cat-toy"),
        (["learned_embeds.bin", "learned_embeds.safetensors"], ["learned_embeds.safetensors"], "cat-toy"),
        (
            ["learned_embeds.safetensors", "learned_embeds_2.safetensors"],
            ["learned_embeds.safetensors", "learned_embeds_2.safetensors"],
            "cat-toy",
        ),
        (["learned_embeds-steps-500.bin", "learned_embeds.bin"], ["learned_embeds.bin"], "cat-toy"),
        (["learned_embeds-steps-500.bin", "learned_embeds-steps-900.bin"], ["learned_embeds-steps-900.bin"], "cat-toy"),
        (["pytorch_lora_weights.safetensors", "dog_emb.safetensors"], ["dog_emb.safetensors"], "dog"),
        (["EasyNegative.pt", "EasyNegative.safetensors"], ["EasyNegative.safetensors"], "EasyNegative"),
        (["optimizer.bin", "scheduler.bin", "random_states_0.pt", "x.pt"], ["x.pt"], "x"),
        (["unet/diffusion_pytorch_model.bin", "learned_embeds.bin"], ["learned_embeds.bin"], "cat-toy"),
        (["mignon-500.pt", "mignon.pt", "mignon-1000.pt"], ["mignon.pt"], "mignon"),
    ],
)  # fmt: skip
def test_the_embedding_among_other_files_is_found_and_named(names, taken, name):
    choice = choose(offer(*names))
    assert [file.name for file in choice.files] == taken
    assert choice.name == name


def test_several_words_are_named_and_none_is_guessed():
    with pytest.raises(BadOption, match=r"2 embeddings \(a.pt, b.pt\).*pull o/cat-toy/a.pt"):
        choose(offer("a.pt", "b.pt"))


def test_what_the_service_itself_would_take_is_taken_and_the_others_are_told():
    choice = choose(offer("a-neg.pt", "a.pt", "a.safetensors", primary="a.pt"))
    assert [file.name for file in choice.files] == ["a.safetensors"]
    assert [file.name for file in choice.left] == ["a-neg.pt"]


def test_a_file_that_the_user_names_is_taken_whatever_it_is():
    assert choose(offer("model.png", "a.pt"), file="model.png").name == "model"


def test_no_embedding_is_said_with_what_there_is():
    with pytest.raises(BadFile, match=r"no embedding \(model.safetensors, README.md\)"):
        choose(offer("model.safetensors", "README.md"))


@pytest.mark.parametrize(
    ("file", "title", "name"),
    [
        ("learned_embeds.bin", "my:odd/title!", "my-odd-title"),
        ("<cat>.pt", "t", "cat"),
        ("___.pt", "猫", "猫"),
    ],
)
def test_names_become_file_names_that_every_system_takes(file, title, name):
    assert choose(offer(file, title=title)).name == name


def test_where_no_name_is_possible_the_user_is_asked_for_one():
    with pytest.raises(BadOption, match="--name"):
        choose(offer("con.pt", title="aux"))


def test_the_users_own_name_counts_and_is_checked():
    assert choose(offer("a.pt"), name="toy").name == "toy"
    with pytest.raises(BadOption, match=r"name '\.\./toy'"):
        choose(offer("a.pt"), name="../toy")
