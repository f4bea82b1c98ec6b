"""Large torch files are mapped: the tensors are those of torch, and nothing is read before it is wanted."""

import collections
import resource
import struct
import sys
import types
import zipfile

import numpy as np
import pytest
import torch

from pseudoword.errors import BadFile, UnsafePickle
from pseudoword.unpickle.mapped import load_mapped


def _state():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(40, generator=generator)
    return collections.OrderedDict(
        weight=torch.randn(3, 5, generator=generator),
        half=torch.randn(7, generator=generator).half(),
        brain=torch.randn(2, 2, generator=generator).bfloat16(),
        ids=torch.arange(77)[None],
        transposed=torch.randn(4, 6, generator=generator).T,
        view=shared[10:20],
        other_view=shared[:5],
        scalar=torch.tensor(0.99),
        empty=torch.empty(0, 3),
        parameter=torch.nn.Parameter(torch.ones(3)),
    )


@pytest.fixture(params=["zip", "legacy"])
def save(request):
    def write(value, path):
        torch.save(value, path, _use_new_zipfile_serialization=request.param == "zip")
        return path

    return write


def test_the_tensors_are_those_that_torch_saved(save, tmp_path):
    state = _state()
    path = save({"state_dict": state, "global_step": np.float64(7.0), "epoch": 3}, tmp_path / "m.ckpt")
    loaded = load_mapped(path)
    assert loaded["global_step"] == 7.0
    assert list(loaded["state_dict"]) == list(state)
    for name, value in state.items():
        got = loaded["state_dict"][name]
        assert got.dtype == value.dtype
        assert torch.equal(got, value.detach()), name


def test_lightnings_callbacks_kept_under_their_class_are_an_inert_name(save, tmp_path, monkeypatch):
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    content = {"callbacks": {module.ModelCheckpoint: {"best_model_score": torch.tensor(0.5)}}, "state_dict": {}}
    loaded = load_mapped(save(content, tmp_path / "m.ckpt"))
    assert list(loaded["callbacks"]) == [f"{module.__name__}.ModelCheckpoint"]


def test_nothing_else_that_a_pickle_names_is_taken(save, tmp_path):
    path = save({"state_dict": {"w": torch.ones(2)}, "hook": print}, tmp_path / "m.ckpt")
    with pytest.raises(UnsafePickle, match=r"print.*nothing of it was run"):
        load_mapped(path)


def test_opening_a_large_file_takes_no_memory_for_its_values(save, tmp_path):
    path = save({"state_dict": {"big": torch.zeros(100_000_000), "last": torch.ones(3)}}, tmp_path / "big.ckpt")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = load_mapped(path)["state_dict"]
    assert torch.equal(loaded["last"], torch.ones(3))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < 50 << 20  # of 400 MB
    assert loaded["big"].shape == (100_000_000,)


def test_a_zip_with_64_bit_records_is_read(tmp_path):
    """Files above 4 GiB have them; here they are forced, and more members than a 16-bit count can tell."""
    path = tmp_path / "m.ckpt"
    torch.save({f"w{i}": torch.full((2,), float(i)) for i in range(3)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    folder = next(iter(members)).split("/")[0]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for index in range(66_000):
            archive.writestr(f"{folder}/data/x{index}", b"")
    assert b"PK\x06\x06" in path.read_bytes()
    assert torch.equal(load_mapped(path)["w2"], torch.tensor([2.0, 2.0]))


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.98])
def test_half_a_file_is_damaged(save, tmp_path, kept):
    path = save({"state_dict": _state() | {"more": torch.zeros(5000)}}, tmp_path / "m.ckpt")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(BadFile, match=r"m.ckpt: the torch file is damaged"):
        load_mapped(path)


def test_other_files_are_no_torch_files(tmp_path):
    for name, content in {"a.ckpt": b"<!DOCTYPE html>", "b.ckpt": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadFile, match="no torch file"):
            load_mapped(tmp_path / name)
    with pytest.raises(BadFile, match="No such file"):
        load_mapped(tmp_path / "missing.ckpt")


def test_a_member_that_reaches_beyond_the_file_is_refused(tmp_path):
    path = tmp_path / "m.ckpt"
    torch.save({"w": torch.ones(1000)}, path)
    content = bytearray(path.read_bytes())
    name_at = content.rindex(b"/data/0", 0, content.rindex(b"PK\x05\x06"))
    at = content.rindex(b"PK\x01\x02", 0, name_at)
    content[at + 20 : at + 28] = struct.pack("<II", 1 << 24, 1 << 24)
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"beyond the file's end|damaged"):
        load_mapped(path)
