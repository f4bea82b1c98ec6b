"""Cards. Oracle: a slow decoder and encoder written after reference a1111.md §1.4, a step per sentence there."""

import base64
import io
import itertools
import json
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from tests.embedding_files import G, L, rows

from pseudoword.embeddings import Embedding, Provenance, embedding_to_bytes, embeddings_from_bytes
from pseudoword.embeddings.containers import pixels
from pseudoword.errors import BadFile, PlainPicture

CARD = {"string_to_token": {"*": 265}, "string_to_param": {"*": L}, "name": "mignon", "step": 500}


def read(content: bytes, stem: str = "file"):
    return embeddings_from_bytes(content, stem, label="card.png")


def json_of(value: dict) -> str:
    return json.dumps(value, default=lambda tensor: {"TORCHTENSOR": tensor.tolist()})


def generator():
    state = 0
    while True:
        state = (1664525 * state + 1013904223) % 2**32
        yield state % 255


def slow_insert(picture: np.ndarray, text: str) -> np.ndarray:
    content = zlib.compress(text.encode(), 9)
    height = len(picture)
    blocks = []
    for nibbles in ([byte & 15 for byte in content], [byte >> 4 for byte in content]):
        length = len(nibbles) + (height - len(nibbles) % height)
        length += 3 * height - length % (3 * height)
        stream = list(itertools.islice(itertools.cycle(nibbles), length))
        mixed = [nibble ^ (number & 15) for nibble, number in zip(stream, generator(), strict=False)]
        blocks.append(np.array(mixed, np.uint8).reshape(height, -1, 3) | 0x50)
    column = np.zeros((height, 1, 3), np.uint8)
    return np.concatenate([blocks[0], column, picture, column, blocks[1]], axis=1)


def slow_extract(picture: np.ndarray) -> bytes:
    lit = (picture > 0).all(axis=2)
    down, across = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    low = picture[down[0] : down[-1] + 1, across[0] : across[-1] + 1] & 15
    black = [column for column in range(low.shape[1]) if int(low[:, column].sum()) == 0]
    halves = []
    for block in (low[:, : black[0]], low[:, black[-1] + 1 :]):
        flat = block.reshape(-1).tolist()
        halves.append([nibble ^ (number & 15) for nibble, number in zip(flat, generator(), strict=False)])
    content = bytes(high << 4 | down for down, high in zip(*halves, strict=True))
    return zlib.decompressobj().decompress(content)


def picture_of(array: np.ndarray, kind: str, **options) -> bytes:
    content = io.BytesIO()
    Image.fromarray(array).save(content, kind, **options)
    return content.getvalue()


def with_chunk(text: str, **options) -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Software", "other")
    texts.add_text("sd-ti-embedding", text, **options)
    return picture_of(np.full((8, 8, 3), 9, np.uint8), "PNG", pnginfo=texts)


COVER = np.full((64, 80, 3), 200, np.uint8)


def test_the_mask_is_the_generators_lower_nibbles() -> None:
    assert pixels.mask(5000).tolist() == [number & 15 for number in itertools.islice(generator(), 5000)]


@pytest.mark.parametrize("height", [1, 7, 64, 512])
def test_payloads_of_a1111_are_read_and_ours_by_the_rules_for_a1111(height: int) -> None:
    cover = np.full((height, 10, 3), 128, np.uint8)
    text = json_of({**CARD, "string_to_param": {"*": rows(1, 32)}})
    assert pixels.extract(slow_insert(cover, text), 1 << 20) == text.encode()
    ours = pixels.insert(cover, text.encode(), [0.1, -0.5])
    assert slow_extract(ours) == text.encode()
    assert ours.shape == slow_insert(cover, text).shape
    assert (ours & 15 == slow_insert(cover, text) & 15).all()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_a_card_without_a_text_chunk_is_read_from_its_pixels(kind: str, options: dict) -> None:
    (found,) = read(picture_of(slow_insert(COVER, json_of(CARD)), kind, **options))
    assert (found.container, found.layout, found.family) == (kind.lower(), "a1111", "sd1")
    assert found.embedding.name == "mignon"
    assert torch.equal(found.embedding.vectors["clip_l"], L)
    assert found.embedding.provenance.step == 500


def test_a_jpeg_xl_card_is_read_from_its_pixels() -> None:
    jxl = pytest.importorskip("pylibjxl")
    (found,) = read(bytes(jxl.encode(slow_insert(COVER, json_of(CARD)), lossless=True)))
    assert found.container == "jxl"
    assert torch.equal(found.embedding.vectors["clip_l"], L)


def as_avif(array: np.ndarray) -> np.ndarray:
    content = picture_of(array, "AVIF", quality=100, subsampling="4:4:4")
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def colours_that_avif_keeps() -> np.ndarray:
    """For each of 4096 triples of low nibbles a colour that comes back from YUV as it was; high nibbles are free."""
    low = np.stack(np.meshgrid(*[np.arange(16, dtype=np.uint8)] * 3, indexing="ij"), axis=-1).reshape(64, 64, 3)
    kept, highs = np.zeros_like(low), np.random.default_rng(0)
    while not kept.all():
        tried = np.tile(low, (4, 4, 1)) | highs.integers(1, 16, (256, 256, 3), dtype=np.uint8) << 4
        same = (as_avif(tried) == tried).all(axis=2)
        for down, across in itertools.product(range(0, 256, 64), repeat=2):
            tile = np.s_[down : down + 64, across : across + 64]
            kept[same[tile]] = tried[tile][same[tile]]
    return kept.reshape(16, 16, 16, 3)


def test_an_avif_card_is_read_from_its_pixels() -> None:
    """AVIF stores YUV, which not every colour survives; high nibbles are decoration, so a writer may choose them."""
    card = slow_insert(COVER, json_of(CARD))
    red, green, blue = (card[..., channel] & 15 for channel in range(3))
    black = (card == 0).all(axis=(0, 2))
    shown = np.where(black[:, None], card, colours_that_avif_keeps()[red, green, blue])
    (found,) = read(picture_of(shown.astype(np.uint8), "AVIF", quality=100, subsampling="4:4:4"))
    assert (found.container, found.layout, found.family) == ("avif", "a1111", "sd1")
    assert torch.equal(found.embedding.vectors["clip_l"], L)


def test_a_card_with_a_black_frame_around_it_is_read() -> None:
    framed = np.pad(slow_insert(COVER, json_of(CARD)), ((5, 9), (3, 2), (0, 0)))
    assert read(picture_of(framed, "PNG"))[0].embedding.name == "mignon"


@pytest.mark.parametrize("options", [{}, {"zip": True}], ids=["tEXt", "zTXt"])
def test_the_text_chunk_counts_before_the_pixels(options: dict) -> None:
    (found,) = read(with_chunk(base64.b64encode(json_of(CARD).encode()).decode(), **options))
    assert torch.equal(found.embedding.vectors["clip_l"], L)


def test_an_international_text_chunk_is_read() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("sd-ti-embedding", base64.b64encode(json_of(CARD).encode()).decode(), zip=True)
    assert read(picture_of(COVER, "PNG", pnginfo=texts))[0].embedding.name == "mignon"


def test_a_card_for_sdxl_is_named_after_its_file() -> None:
    text = json_of({"clip_g": G, "clip_l": L})
    (found,) = read(with_chunk(base64.b64encode(text.encode()).decode()), "cat")
    assert (found.embedding.name, found.layout, found.family) == ("cat", "sdxl", "sdxl")
    assert torch.equal(found.embedding.vectors["clip_g"], G)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jxl"])
def test_our_cards_are_the_same_bytes_every_time_and_carry_the_provenance(suffix: str) -> None:
    known = Provenance(step=3, base_model="v1-5", initial_text="küsse", product="pseudoword 0.1.0")
    cat = Embedding(name="cät", vectors={"clip_l": L}, provenance=known)
    content = embedding_to_bytes(cat, suffix)
    assert content == embedding_to_bytes(Embedding(name="cät", vectors={"clip_l": L.clone()}, provenance=known), suffix)
    (found,) = read(content)
    assert found.embedding.same_vectors(cat)
    assert (found.embedding.name, found.embedding.provenance) == ("cät", known)


def test_our_png_cards_hold_both_encodings() -> None:
    content = embedding_to_bytes(Embedding(name="cat", vectors={"clip_l": L}), ".png")
    with Image.open(io.BytesIO(content)) as card:
        chunk = json.loads(base64.b64decode(card.text["sd-ti-embedding"]))
        hidden = json.loads(slow_extract(np.asarray(card.convert("RGB"))))
    assert chunk == hidden
    assert torch.equal(torch.tensor(chunk["string_to_param"]["*"]["TORCHTENSOR"]), L)
    assert (chunk["name"], chunk["string_to_token"]) == ("cat", {"*": 265})


def test_our_cards_for_sdxl_hold_nothing_but_tensors_and_the_provenance_beside_them() -> None:
    cat = Embedding(name="cat", vectors={"clip_l": L, "clip_g": G}, provenance=Provenance(step=7))
    content = embedding_to_bytes(cat, ".png")
    with Image.open(io.BytesIO(content)) as card:
        assert set(json.loads(base64.b64decode(card.text["sd-ti-embedding"]))) == {"clip_l", "clip_g"}
    (found,) = read(content)
    assert found.embedding.same_vectors(cat)
    assert found.embedding.provenance.step == 7


@pytest.mark.parametrize(
    "content",
    [
        picture_of(COVER, "PNG"),
        picture_of(np.zeros((9, 9, 3), np.uint8), "PNG"),
        picture_of(np.tile(np.array([200, 0, 0, 180], np.uint8), (9, 9))[:, :, None].repeat(3, axis=2), "PNG"),
        picture_of(COVER, "WEBP"),
        picture_of(COVER, "AVIF"),
        picture_of(COVER[:, :, 0], "PNG"),
        picture_of(np.dstack([COVER, COVER[:, :, :1]]), "PNG"),
    ],
    ids=["one colour", "black", "black columns", "webp", "avif", "grey", "with alpha"],
)
def test_a_picture_without_an_embedding_is_called_one(content: bytes) -> None:
    with pytest.raises(PlainPicture, match=r"card\.png: a picture that carries no embedding"):
        read(content)


def test_a_payload_is_destroyed_by_a_lossy_format_and_the_picture_is_a_plain_one() -> None:
    with pytest.raises(PlainPicture):
        read(picture_of(slow_insert(COVER, json_of(CARD)), "WEBP", quality=90))


@pytest.mark.parametrize(
    "text",
    [
        "!!!",
        base64.b64encode(b"{").decode(),
        base64.b64encode(b"[1]").decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        base64.b64encode(b'{"string_to_param":{"*":{"TORCHTENSOR":[[1],[1,2]]}}}').decode(),
        base64.b64encode(b'{"string_to_param":{"*":{"TORCHTENSOR":[["a"]]}}}').decode(),
        base64.b64encode(b'{"string_to_param":{"*":{"TORCHTENSOR":[[1e999]]}}}').decode(),
        base64.b64encode(b'{"string_to_param":{"*":{"TORCHTENSOR":[[' + b"9" * 5000 + b"]]}}}").decode(),
        base64.b64encode(b'{"name":"x"}').decode(),
    ],
)
def test_a_damaged_card_is_refused(text: str) -> None:
    with pytest.raises(BadFile) as refusal:
        read(with_chunk(text))
    assert not isinstance(refusal.value, PlainPicture)


def chunk_of(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_outsized_pictures_and_bombs_cost_nothing() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk_of(b"IHDR", header)
        + chunk_of(b"IDAT", zlib.compress(b"\0"))
        + chunk_of(b"IEND", b"")
    )
    webp_data = b"\x10\0\0\0" + (16_000).to_bytes(3, "little") * 2
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + webp_data
    bomb = with_chunk(base64.b64encode(b"x").decode())
    keyword = b"sd-ti-embedding\0\0"
    bomb = bomb[:33] + chunk_of(b"zTXt", keyword + zlib.compress(bytes(200 << 20), 9)) + bomb[33:]
    began = time.monotonic()
    for content, words in ((png, "60000"), (webp, "16001"), (bomb, "too long")):
        with pytest.raises(BadFile, match=words):
            read(content)
    assert time.monotonic() - began < 5


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    content = embedding_to_bytes(Embedding(name="cat", vectors={"clip_l": L}), ".webp")
    with pytest.raises(BadFile):
        read(content[: len(content) // 2])
