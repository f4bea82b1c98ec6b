"""Finding, pulling and publishing against a server that speaks as both services do."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.share_server import raw, redirect, status, truncate

from pseudoword.embeddings import Embedding, Provenance, read_embedding, write_embedding
from pseudoword.errors import BadFile, BadOption, BadPictures, NameTaken, Unreachable, UnsafePickle
from pseudoword.events import Progress, Published, Saved, Warned
from pseudoword.hub import Patience
from pseudoword.hub.options import FindOptions, PublishOptions, PullOptions
from pseudoword.library import Library
from pseudoword.services.find import find
from pseudoword.services.publish import publish
from pseudoword.services.pull import pull
from pseudoword.settings import Settings

# huggingface_hub 2.4 hands files to httpx2 in a way that the latter calls old
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")

QUICK = Patience(first_wait=0.001, longest_wait=2.0)


@pytest.fixture
def settings(share_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return replace(Settings.from_environment(), embeddings_dir=tmp_path / "embeddings")


def fetch(settings, identity, **options):
    return list(pull(PullOptions(id=identity, **options), settings, QUICK))


def search(settings, *words, **options):
    return find(FindOptions(words=list(words), **options), settings, QUICK)


def seen(settings):
    """Names in the embeddings folder."""
    folder = settings.embeddings_dir
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def parts(settings):
    folder = settings.cache_dir / "downloads"
    return sorted(folder.iterdir()) if folder.exists() else []


def tokens_sent(server):
    """Host and token of every request."""
    return [(one.headers["host"].split(":")[0], one.headers.get("authorization")) for one in server.requests]


def test_both_services_are_searched_and_their_rows_merged(settings):
    outcome = search(settings, "cat")
    assert [one.id for one in outcome.found] == [
        "civitai:3036", "someone/fluffy-cat", "sd-concepts-library/cat-toy", "someone/catalogue-of-dogs", "civitai:777",
    ]  # fmt: skip
    assert outcome.problems == ()


def test_a_service_that_does_not_answer_is_told_and_the_other_shown(settings, share_server):
    share_server.fail("/api/v1/", *[status(500)] * 9)
    outcome = search(settings, "cat")
    assert {one.source for one in outcome.found} == {"hub"}
    assert outcome.problems == ("127.0.0.1 answered 500 (no).",)
    share_server.fail("/api/", *[status(500)] * 99)
    with pytest.raises(Unreachable):
        search(settings, "cat")


def test_a_search_of_one_service_asks_that_one(settings, share_server):
    search(settings, "cat", source="civitai")
    assert {request.path for request in share_server.requests} == {"/api/v1/models"}


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([" "], {}),
        (["x"], {"source": "web"}),
        (["x"], {"family": "sd9"}),
        (["x"], {"limit": 0}),
        (["x"], {"limit": 101}),
    ],
)
def test_a_search_that_cannot_be_is_refused(settings, share_server, words, options):
    with pytest.raises(BadOption):
        search(settings, *words, **options)
    assert share_server.requests == []


def test_a_concept_of_the_hub_comes_under_its_repositorys_name_with_its_bytes(settings, share_server):
    events = fetch(settings, "sd-concepts-library/cat-toy")
    content = share_server.repos["sd-concepts-library/cat-toy"].files["learned_embeds.bin"]
    target = settings.embeddings_dir / "cat-toy.bin"
    assert target.read_bytes() == content
    assert [event.path for event in events if isinstance(event, Saved)] == [target]
    assert any(isinstance(event, Progress) for event in events)
    origin = json.loads((settings.embeddings_dir / "cat-toy.origin.json").read_text("utf-8"))
    assert origin["id"] == "sd-concepts-library/cat-toy"
    assert origin["revision"] == share_server.repos["sd-concepts-library/cat-toy"].sha
    assert origin["sha256"] == origin["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert origin["licence"] == "mit"
    assert parts(settings) == []


def test_the_library_sees_the_word_and_not_the_note_of_its_origin(settings):
    fetch(settings, "sd-concepts-library/cat-toy")
    snapshot = Library(settings.embeddings_dir).refresh()
    assert list(snapshot.entries) == ["cat-toy"]
    assert snapshot.skipped == ()


def test_a_pair_for_sdxl_becomes_one_word(settings, share_server):
    from safetensors.torch import load

    fetch(settings, "https://huggingface.co/someone/fluffy-cat")
    files = share_server.repos["someone/fluffy-cat"].files
    embedding = read_embedding(settings.embeddings_dir / "fluffy-cat.safetensors")
    assert torch.equal(embedding.vectors["clip_l"], load(files["learned_embeds.safetensors"])["<fluffy>"])
    assert torch.equal(embedding.vectors["clip_g"], load(files["learned_embeds_2.safetensors"])["<fluffy>"])
    origin = json.loads((settings.embeddings_dir / "fluffy-cat.origin.json").read_text("utf-8"))
    assert [file["sha256"] for file in origin["files"]] == [hashlib.sha256(files[name]).hexdigest() for name in files]


def test_halves_that_are_none_are_refused(settings, share_server):
    files = share_server.repos["someone/fluffy-cat"].files
    files["learned_embeds_2.safetensors"] = files["learned_embeds.safetensors"]
    with pytest.raises(BadFile, match="two halves of an embedding for SDXL"):
        fetch(settings, "someone/fluffy-cat")
    assert seen(settings) == []


def test_a_model_of_civitai_comes_with_its_bytes(settings, share_server):
    fetch(settings, "civitai:3036")
    assert (settings.embeddings_dir / "CatToy.pt").read_bytes() == share_server.civitai_files["CatToy.pt"]
    assert read_embedding(settings.embeddings_dir / "CatToy.pt").num_vectors == 8
    fetch(settings, "https://civitai.com/models/3036?modelVersionId=4321", name="xl")
    assert read_embedding(settings.embeddings_dir / "xl.safetensors").widths == {"clip_l": 768, "clip_g": 1280}


def test_the_key_of_civitai_goes_to_civitai_and_not_to_its_store(settings, share_server):
    endpoints = replace(settings.endpoints, civitai_token="key")
    fetch(replace(settings, endpoints=endpoints), "civitai:3036")
    sent = tokens_sent(share_server)
    assert sent == [("127.0.0.1", "Bearer key"), ("127.0.0.1", "Bearer key"), ("localhost", None)]


def test_the_token_of_the_hub_goes_to_the_hub_and_not_to_its_store(settings, share_server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    fetch(settings, "sd-concepts-library/cat-toy")
    sent = tokens_sent(share_server)
    assert sent == [("127.0.0.1", "Bearer hf_test"), ("127.0.0.1", "Bearer hf_test"), ("localhost", None)]


def test_what_only_users_may_have_says_how(settings, share_server):
    share_server.fail("/api/download/", redirect("/login?returnUrl=x&reason=download-auth", 307))
    with pytest.raises(Unreachable, match=r"users alone.*CIVITAI_API_TOKEN"):
        fetch(settings, "civitai:3036")
    assert seen(settings) == []


def test_a_pickle_that_would_run_something_is_refused_and_never_seen(settings, tmp_path):
    with pytest.raises(UnsafePickle, match=r"system"):
        fetch(settings, "someone/evil")
    assert seen(settings) == []
    assert parts(settings) == []
    assert not (tmp_path / "owned").exists()


def test_a_file_that_the_services_own_scan_warns_of_is_not_even_fetched(settings, share_server):
    with pytest.raises(UnsafePickle, match=r"badpaws.pt: Civitai's pickle scan of this file says Danger"):
        fetch(settings, "civitai:777")
    assert share_server.asked("/api/download") == []


def test_a_wrong_hash_leaves_nothing(settings, share_server):
    files = share_server.repos["sd-concepts-library/cat-toy"].files
    share_server.fail("/store/", raw(files["learned_embeds.bin"][:-1] + b"?", content_type="application/octet-stream"))
    with pytest.raises(BadFile, match="its hash is"):
        fetch(settings, "sd-concepts-library/cat-toy")
    assert seen(settings) == []
    assert parts(settings) == []


def test_what_is_too_large_is_not_fetched(settings, share_server):
    with pytest.raises(BadFile, match="--max-size"):
        fetch(settings, "sd-concepts-library/cat-toy", max_size=0.001)
    with pytest.raises(BadFile, match="--max-size"):
        fetch(settings, "civitai:3036", max_size=0.001)
    assert share_server.asked("/resolve/|/store/|/api/download") == []
    with pytest.raises(BadOption, match="--max-size 0"):
        fetch(settings, "civitai:3036", max_size=0)


def test_a_pull_that_was_stopped_goes_on(settings, share_server):
    share_server.fail("/store/", truncate(1000), *[status(503)] * 9)
    with pytest.raises(Unreachable):
        fetch(settings, "sd-concepts-library/cat-toy")
    assert [part.stat().st_size for part in parts(settings)] == [1000]
    assert seen(settings) == []
    share_server.faults.clear()
    share_server.requests.clear()
    fetch(settings, "sd-concepts-library/cat-toy")
    assert [request.headers.get("range") for request in share_server.asked("/store/")] == ["bytes=1000-"]
    assert seen(settings) == ["cat-toy.bin", "cat-toy.origin.json"]


def test_no_file_of_the_user_is_replaced_unasked(settings):
    settings.embeddings_dir.mkdir()
    mine = settings.embeddings_dir / "cat-toy.bin"
    mine.write_bytes(b"mine")
    with pytest.raises(NameTaken, match=r"cat-toy.bin already exists. Choose a --name, or add --overwrite"):
        fetch(settings, "sd-concepts-library/cat-toy")
    assert mine.read_bytes() == b"mine"
    (settings.embeddings_dir / "cat-toy.origin.json").write_text("my notes")
    events = fetch(settings, "sd-concepts-library/cat-toy", overwrite=True)
    assert mine.read_bytes() != b"mine"
    assert (settings.embeddings_dir / "cat-toy.origin.json").read_text() == "my notes"
    assert any("is not ours" in event.message for event in events if isinstance(event, Warned))


def test_a_word_under_another_suffix_or_folder_is_not_doubled(settings):
    (settings.embeddings_dir / "sub").mkdir(parents=True)
    (settings.embeddings_dir / "sub" / "Cat-Toy.pt").write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(NameTaken):
            fetch(settings, "sd-concepts-library/cat-toy", overwrite=overwrite)


def test_the_same_file_is_not_fetched_twice(settings, share_server):
    fetch(settings, "sd-concepts-library/cat-toy")
    share_server.requests.clear()
    (told,) = fetch(settings, "sd-concepts-library/cat-toy")
    assert isinstance(told, Warned)
    assert "the same file already" in told.message
    assert share_server.asked("/resolve/|/store/") == []


def test_of_several_words_one_must_be_named(settings):
    with pytest.raises(BadOption, match=r"dog.safetensors, fox.pt"):
        fetch(settings, "someone/many")
    fetch(settings, "someone/many/nested/owl.pt")
    fetch(settings, "someone/many/dog.safetensors")
    assert [name for name in seen(settings) if "origin" not in name] == ["dog.safetensors", "owl.pt"]
    with pytest.raises(BadFile, match=r"small.safetensors.txt"):
        fetch(settings, "someone/many/small.safetensors.txt")


def test_a_wrong_suffix_is_mended_since_other_programs_go_by_it(settings, share_server):
    files = share_server.repos["someone/many"].files
    files["dog.bin"] = files.pop("dog.safetensors")
    fetch(settings, "someone/many/dog.bin")
    assert "dog.safetensors" in seen(settings)


@pytest.fixture
def word(settings):
    write_embedding(
        Embedding(
            name="zorp",
            vectors={"clip_l": torch.ones(2, 768)},
            provenance=Provenance(base_model="stable-diffusion-v1-5/stable-diffusion-v1-5", step=1000),
        ),
        settings.embeddings_dir / "zorp.safetensors",
    )
    return settings.embeddings_dir / "zorp.safetensors"


@pytest.fixture
def samples(tmp_path):
    folder = tmp_path / "samples"
    folder.mkdir()
    text = PngInfo()
    text.add_text(
        "parameters", "a zorp in `a` field\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 8x8"
    )
    Image.new("RGB", (8, 8), "red").save(folder / "1 field.png", pnginfo=text)
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 0.0)}
    exif[0x010F] = "camera"
    Image.new("RGB", (8, 8), "blue").save(folder / "2.jpg", exif=exif)
    (folder / "notes.txt").write_text("no picture")
    return folder


def share(settings, **options):
    return list(publish(PublishOptions(name="zorp", **options), settings, QUICK))


def test_a_dry_run_writes_the_folder_and_asks_nobody(settings, word, samples, share_server, tmp_path):
    from huggingface_hub import ModelCard

    share(settings, repo="me/zorp", pictures=samples, licence="cc-by-4.0", dry_run=tmp_path / "out")
    written = sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert written == ["README.md", "images/1 field.png", "images/2.jpg", "zorp.safetensors"]
    assert (tmp_path / "out" / "zorp.safetensors").read_bytes() == word.read_bytes()
    assert share_server.requests == []
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.base_model == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert {"textual_inversion", "stable-diffusion", "text-to-image"} <= set(card.data.tags)
    assert card.data.widget[0] == {"text": "a zorp in `a` field", "output": {"url": "images/1 field.png"}}
    for program in ("Pseudoword", "A1111", "ComfyUI", "InvokeAI", "diffusers"):
        assert program in card.text
    assert "embedding:zorp" in card.text
    assert hashlib.sha256(word.read_bytes()).hexdigest() in card.text
    assert "![a zorp in 'a' field](images/1%20field.png)" in card.text


def test_where_a_picture_was_taken_is_not_published(settings, word, samples, tmp_path):
    share(settings, repo="me/zorp", pictures=samples, dry_run=tmp_path / "out")
    with Image.open(tmp_path / "out" / "images" / "2.jpg") as image:
        exif = image.getexif()
    assert 0x8825 not in exif
    assert exif[0x010F] == "camera"


def test_the_hubs_own_upload_makes_the_repository_and_one_commit(settings, word, samples, share_server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    events = share(settings, repo="me/zorp", pictures=samples, private=True)
    assert [event.url for event in events if isinstance(event, Published)] == [f"{share_server.url}/me/zorp"]
    repo = share_server.repos["me/zorp"]
    assert repo.files["zorp.safetensors"] == word.read_bytes()
    assert set(repo.files) == {".gitattributes", "README.md", "zorp.safetensors", "images/1 field.png", "images/2.jpg"}
    assert repo.info["created"]["visibility"] == "private"
    assert [commit["summary"] for commit in share_server.commits] == ["Publish zorp"]
    back = fetch(settings, "me/zorp", name="back")
    assert any(isinstance(event, Saved) for event in back)


def test_a_repository_with_such_files_is_not_changed_unasked(settings, word, share_server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    share(settings, repo="me/zorp")
    with pytest.raises(NameTaken, match=r"me/zorp already holds README.md, zorp.safetensors.*--overwrite"):
        share(settings, repo="me/zorp")
    share(settings, repo="me/zorp", overwrite=True, licence="mit")
    assert b"license: mit" in share_server.repos["me/zorp"].files["README.md"]


def test_publishing_without_a_login_says_how_to_log_in(settings, word, share_server, monkeypatch):
    with pytest.raises(Unreachable, match=r"nobody is logged in at the hub. Run: hf auth login"):
        share(settings, repo="me/zorp")
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with pytest.raises(Unreachable, match=r"answered 401.*hf auth login"):
        share(settings, repo="me/zorp")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    share_server.fail("/api/repos/create", status(403, {"error": "You don't have the rights"}))
    with pytest.raises(Unreachable, match=r"answered 403 \(You don't have the rights.*hf auth login"):
        share(settings, repo="me/zorp")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"repo": "zorp"}, BadOption, "--repo 'zorp'"),
        ({"repo": "a/b", "base_model": "sd1"}, BadOption, "--base-model 'sd1'"),
        ({"repo": "a/b", "pictures": "nowhere"}, BadPictures, "no folder nowhere"),
        ({"repo": "a/b", "pictures": "embeddings"}, BadPictures, "no picture in embeddings"),
        ({"repo": "a/b", "dry_run": "embeddings"}, NameTaken, "not an empty folder"),
    ],
)
def test_what_cannot_be_published_is_told_before_anything_is_sent(settings, word, share_server, options, error, words):
    paths = {key: Path(value) for key, value in options.items() if key in ("pictures", "dry_run")}
    with pytest.raises(error, match=words):
        share(settings, **{**options, **paths})
    assert share_server.requests == []


def test_a_word_that_is_not_there_cannot_be_published(settings):
    with pytest.raises(BadOption, match="no word 'zorp'"):
        share(settings, repo="a/b")
