"""What is asked of the two services, held against huggingface_hub's own client and Civitai's published reference."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from tests.share_server import raw, status

from pseudoword.errors import BadOption, Unreachable
from pseudoword.hub import CivitaiReference, HubReference, Patience, Wire
from pseudoword.hub.civitai import civitai_offer, search_civitai
from pseudoword.hub.families_of import family_from_civitai, family_from_hub
from pseudoword.hub.huggingface import hub_offer, search_hub
from pseudoword.settings import Endpoints


@pytest.fixture
def wire(share_server):
    with Wire(Endpoints.from_environment(), Patience(first_wait=0.001)) as opened:
        yield opened


def asked(server):
    """Path and query of all requests so far, and none are left."""
    seen = [(request.path, request.query) for request in server.requests]
    server.requests.clear()
    return seen


def test_a_search_asks_the_hub_what_its_own_client_asks(wire, share_server):
    found = search_hub(wire, "cat")
    ours = asked(share_server)
    api = HfApi(endpoint=share_server.url)
    common = {"search": "cat", "sort": "downloads", "limit": 100, "full": True, "cardData": True}
    theirs = [*api.list_models(author="sd-concepts-library", **common)]
    theirs += [*api.list_models(filter="textual_inversion", **common)]
    assert ours == asked(share_server)
    assert [one.id for one in found] == [info.id for info in theirs]
    assert [one.downloads for one in found] == [info.downloads for info in theirs]


def test_the_files_of_a_repository_are_those_that_the_hubs_own_client_sees(wire, share_server):
    offer = hub_offer(wire, HubReference(repo="sd-concepts-library/cat-toy"))
    ours = asked(share_server)
    info = HfApi(endpoint=share_server.url).model_info("sd-concepts-library/cat-toy", files_metadata=True)
    assert ours == asked(share_server)
    assert offer.revision == info.sha
    assert [(file.name, file.size, file.sha256, file.git_sha1) for file in offer.files] == [
        (one.rfilename, one.size, one.lfs.sha256 if one.lfs else None, None if one.lfs else one.blob_id)
        for one in info.siblings
    ]


def test_a_file_lies_where_the_hubs_own_client_fetches_it(wire, share_server, tmp_path):
    repo = "sd-concepts-library/cat-toy"
    content = share_server.repos[repo].files["learned_embeds.bin"]
    files = {file.name: file for file in hub_offer(wire, HubReference(repo=repo)).files}
    file = files["learned_embeds.bin"]
    fetched = HfApi(endpoint=share_server.url).hf_hub_download(repo, file.name, cache_dir=tmp_path)
    assert Path(fetched).read_bytes() == content
    with wire.open(file.url, headers=file.headers, hints={}) as response:
        assert response.read() == content


def test_the_rows_of_the_hub_say_what_its_reply_says(wire):
    rows = {one.id: one for one in search_hub(wire, "cat")}
    toy, fluffy = rows["sd-concepts-library/cat-toy"], rows["someone/fluffy-cat"]
    assert (toy.family, toy.licence, toy.downloads, toy.vectors) == (None, "mit", 0, None)
    assert toy.preview is not None
    assert toy.preview.endswith("/sd-concepts-library/cat-toy/resolve/main/concept_images/0.jpeg")
    assert (fluffy.family, fluffy.licence) == ("sdxl", "openrail++")
    assert fluffy.base_model == "stabilityai/stable-diffusion-xl-base-1.0"
    assert fluffy.preview is not None
    assert fluffy.preview.endswith("/resolve/main/images/sample%20one.png")


def test_the_token_of_the_hub_is_sent_to_the_hub_alone(wire, share_server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    search_hub(wire, "cat")
    search_civitai(wire, "cat")
    tokens = {request.path: request.headers.get("authorization") for request in share_server.requests}
    assert tokens == {"/api/models": "Bearer hf_test", "/api/v1/models": None}


def test_a_search_at_civitai_is_one_that_its_reference_allows(wire, share_server):
    rows = search_civitai(wire, "cat toy")
    assert asked(share_server) == [
        ("/api/v1/models", {"types": ["TextualInversion"], "query": ["cat toy"], "limit": ["100"]})
    ]
    (toy,) = rows
    assert (toy.id, toy.name, toy.family, toy.downloads) == ("civitai:3036", "Cat Toy", "sd1", 56206)
    assert toy.vectors == 8
    assert toy.licence == "commercial: Rent"
    assert toy.preview == "https://image.civitai.com/x/width=450/12.jpeg"


def test_permissions_are_told_in_words(wire):
    (bad,) = search_civitai(wire, "paws")
    assert bad.licence == "credit, commercial: Image+RentCivit, no derivatives, same licence"


def test_the_newest_version_of_a_model_is_taken_or_the_one_that_is_named(wire):
    newest = civitai_offer(wire, CivitaiReference(model=3036))
    named = civitai_offer(wire, CivitaiReference(model=3036, version=4321))
    alone = civitai_offer(wire, CivitaiReference(model=None, version=4321))
    assert (newest.id, newest.primary, newest.trained_words) == ("civitai:3036@9857", "CatToy.pt", ("cattoy",))
    assert [file.name for file in newest.files] == ["CatToy.pt"]
    assert (named.id, alone.id) == ("civitai:3036@4321", "civitai:3036@4321")
    assert named.files == alone.files


def test_what_is_not_there_is_told(wire):
    with pytest.raises(Unreachable, match=r"answered 404 \(No model with id 0\)"):
        civitai_offer(wire, CivitaiReference(model=5))
    with pytest.raises(BadOption, match=r"no version 5; expected one of @9857 \(v2 for 1.5\), @4321"):
        civitai_offer(wire, CivitaiReference(model=3036, version=5))
    with pytest.raises(BadOption, match=r"no file x.pt"):
        civitai_offer(wire, CivitaiReference(model=3036, file="x.pt"))
    with pytest.raises(Unreachable, match=r"answered 404 \(Repository not found\)"):
        hub_offer(wire, HubReference(repo="no/where"))
    with pytest.raises(BadOption, match=r"has no file x.pt"):
        hub_offer(wire, HubReference(repo="someone/many", file="x.pt"))


def test_what_is_no_embedding_is_told(wire, share_server):
    share_server.civitai["items"][0]["type"] = "Checkpoint"
    with pytest.raises(BadOption, match="civitai:3036 is of type Checkpoint; expected TextualInversion"):
        civitai_offer(wire, CivitaiReference(model=3036))


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"items": [7]}', b'"x"'])
def test_a_strange_answer_of_civitai_is_told(wire, share_server, body):
    share_server.fail("/api/v1/models", raw(body))
    with pytest.raises(Unreachable, match="form that is not known"):
        search_civitai(wire, "cat")


@pytest.mark.parametrize("body", [b"{}", b"null", b"[7]", b'[{"no": "id"}]', b'[{"id": "a/b", "siblings": 5}]'])
def test_a_strange_answer_of_the_hub_is_told(wire, share_server, body):
    share_server.fail("/api/models", raw(body))
    with pytest.raises(Unreachable, match="form that is not known"):
        search_hub(wire, "cat")


def test_a_gated_repository_says_what_to_do(wire, share_server):
    share_server.fail("/api/models/", status(403, x_error_code="GatedRepo", x_error_message="Access is restricted"))
    with pytest.raises(Unreachable, match=r"\(Access is restricted\). Accept the conditions"):
        hub_offer(wire, HubReference(repo="someone/many"))


@pytest.mark.parametrize(
    ("base_model", "family"),
    [
        ("runwayml/stable-diffusion-v1-5", "sd1"),
        ("CompVis/stable-diffusion-v1-4", "sd1"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "sd1"),
        ("stabilityai/stable-diffusion-2-1", "sd2"),
        ("stabilityai/stable-diffusion-2", "sd2"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
        ("stabilityai/stable-diffusion-3-medium", "sd3"),
        ("black-forest-labs/FLUX.1-dev", "flux"),
        ("someone/dreamlike", None),
        (None, None),
    ],
)
def test_the_family_of_a_hub_model(base_model, family):
    assert family_from_hub(base_model) == family


@pytest.mark.parametrize(
    ("base_model", "family"),
    [("SD 1.5", "sd1"), ("SD 2.1 768", "sd2"), ("Pony", "sdxl"), ("Other", None), (None, None)],
)
def test_the_family_of_a_civitai_model(base_model, family):
    assert family_from_civitai(base_model) == family
