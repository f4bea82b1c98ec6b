"""Digests of vectors, against a second way to work them out."""

import hashlib
import struct

import pytest
import torch

from pseudoword.embeddings.checksums import a1111_checksum, vectors_sha256


def test_the_checksum_of_three_values_worked_out_by_hand():
    # v·100 cut: 12, -34, 0
    # r = 12·997 = 11964
    # r = 11964·281 xor -34·997 = 3361884 xor -33898 = -3393590 = 4291573706 mod 2^32
    # r = 4291573706·281 xor 0 = 3341368506 mod 2^32, whose last 16 bits are 15546 = 3cba
    assert (12 * 997 * 281, -34 * 997, 3361884 ^ -33898) == (3361884, -33898, -3393590)
    assert 4291573706 * 281 % 2**32 == 3341368506
    table = torch.tensor([[0.12, -0.349, 0.0099]])
    assert a1111_checksum({"clip_l": table}) == "3cba"


def test_the_hundredfold_is_taken_in_float32_as_torch_does_it():
    # 0.29 as float32 is 0.28999999165534973: times 100 in float32 rounds up to 29.0, in float64 it is cut to 28
    assert a1111_checksum({"clip_l": torch.tensor([[0.29]])}) == f"{29 * 997 & 0xFFFF:04x}"


def test_the_checksum_goes_row_by_row():
    rows = torch.tensor([[0.01, 0.02], [0.03, 0.04]])
    assert a1111_checksum({"clip_l": rows}) == a1111_checksum({"clip_l": rows.reshape(1, 4)})
    assert a1111_checksum({"clip_l": rows}) != a1111_checksum({"clip_l": rows.T})


def test_a_long_table_gives_the_same_as_the_formula_in_full_32_bits():
    table = torch.linspace(-3, 3, 3 * 768).reshape(3, 768)
    r = 0
    for value in (table * 100).reshape(-1).tolist():
        r = ((r * 281) ^ (int(value) * 997)) % 2**32
    assert a1111_checksum({"clip_l": table}) == f"{r % 65536:04x}"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 3e38])
def test_what_is_no_number_has_no_checksum(bad):
    assert a1111_checksum({"clip_l": torch.tensor([[0.1, bad]])}) is None


def test_two_tables_have_no_checksum():
    assert a1111_checksum({"clip_l": torch.ones(1, 768), "clip_g": torch.ones(1, 1280)}) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_digest_is_over_little_endian_float32_in_row_major_order(dtype):
    values = [0.5, -1.25, 3.0, 0.0078125, 2.0, -0.0]  # all exact in every one of the types
    table = torch.tensor(values, dtype=dtype).reshape(2, 3)
    assert vectors_sha256(table) == hashlib.sha256(struct.pack("<6f", *values)).hexdigest()
    assert (
        vectors_sha256(table.T)
        == hashlib.sha256(struct.pack("<6f", *(values[i] for i in (0, 3, 1, 4, 2, 5)))).hexdigest()
    )
