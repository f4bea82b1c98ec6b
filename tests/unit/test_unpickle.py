"""Oracles: files by plain `torch.save`, and Python's own `pickle` to show that the hostile ones are hostile."""

import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pseudoword.embeddings import embeddings_from_bytes
from pseudoword.errors import BadFile, UnsafePickle
from pseudoword.unpickle import load_pickle, loads

TABLE = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int32, torch.int64]


def saved(value: object, *, legacy: bool = False) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, _use_new_zipfile_serialization=not legacy)
    return content.getvalue()


def zip_of(pickled: bytes, storages: tuple[bytes, ...] = (), compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for number, storage in enumerate(storages):
            archive.writestr(f"archive/data/{number}", storage)
    return content.getvalue()


def legacy_of(pickled: bytes) -> bytes:
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(part, 2) for part in header) + pickled + pickle.dumps([], 2)


def tensor_pickle(size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, count: int = 12) -> bytes:
    """The pickle of one float32 tensor over storage 0, with numbers of our choice."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", count) if isinstance(obj, Storage) else None

    class Tensor:
        def __reduce__(self) -> tuple[object, ...]:
            hooks = collections.OrderedDict()
            return torch._utils._rebuild_tensor_v2, (Storage(), offset, size, stride, False, hooks)

    content = io.BytesIO()
    Pickler(content, 2).dump(Tensor())
    return content.getvalue()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
class TestFilesOfTorch:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_a_tensor_of_every_type_comes_back_exactly(self, dtype: torch.dtype, legacy: bool) -> None:
        loaded = loads(saved({"cat": (TABLE * 8).to(dtype)}, legacy=legacy), "x")
        assert loaded["cat"].dtype == dtype
        assert torch.equal(loaded["cat"], (TABLE * 8).to(dtype))

    def test_views_of_one_storage_come_back_as_what_they_show(self, legacy: bool) -> None:
        views = {"all": TABLE, "turned": TABLE.T, "row": TABLE[1], "column": TABLE[:, 2], "one": TABLE[1, 2]}
        loaded = loads(saved(views, legacy=legacy), "x")
        assert all(torch.equal(loaded[name], view) for name, view in views.items())

    def test_an_expanded_tensor_is_read(self, legacy: bool) -> None:
        loaded = loads(saved(TABLE[:1].expand(5, 4), legacy=legacy), "x")
        assert torch.equal(loaded, TABLE[:1].expand(5, 4))

    def test_an_empty_tensor_keeps_its_shape(self, legacy: bool) -> None:
        assert loads(saved(torch.empty(0, 4), legacy=legacy), "x").shape == (0, 4)

    def test_a_parameter_comes_as_a_plain_tensor(self, legacy: bool) -> None:
        loaded = loads(saved({"cat": torch.nn.Parameter(TABLE)}, legacy=legacy), "x")
        assert type(loaded["cat"]) is torch.Tensor
        assert not loaded["cat"].requires_grad
        assert torch.equal(loaded["cat"], TABLE)

    def test_a_parameter_dict_comes_as_a_dict(self, legacy: bool) -> None:
        held = torch.nn.ParameterDict({"*": torch.nn.Parameter(TABLE)})
        loaded = loads(saved({"string_to_param": held}, legacy=legacy), "x")
        assert list(loaded["string_to_param"]) == ["*"]
        assert torch.equal(loaded["string_to_param"]["*"], TABLE)

    def test_a_parameter_dict_of_older_torch_without_keys_is_read(self, legacy: bool) -> None:
        held = torch.nn.ParameterDict({"*": torch.nn.Parameter(TABLE)})
        del held.__dict__["_keys"]
        loaded = loads(saved({"string_to_param": held}, legacy=legacy), "x")
        assert torch.equal(loaded["string_to_param"]["*"], TABLE)

    def test_an_ordered_dict_with_attributes_comes_as_a_dict(self, legacy: bool) -> None:
        held = collections.OrderedDict(b=TABLE, a=TABLE[:1])
        held._metadata = {"version": 1}
        loaded = loads(saved(held, legacy=legacy), "x")
        assert type(loaded) is dict
        assert list(loaded) == ["b", "a"]

    def test_plain_values_come_back(self, legacy: bool) -> None:
        plain = {
            "text": "wörd",
            "count": 3,
            "long": -(2**40),
            "share": 0.25,
            "none": None,
            "yes": True,
            "no": False,
            "list": [1, 2, [3]],
            "tuple": (1, (2, 3), (4, 5, 6), (7, 8, 9, 10), ()),
            "set": {"a", "b"},
            "bytes": b"\x00\xff",
            "numbers": {265: "a", -1: "b"},
        }
        assert loads(saved(plain, legacy=legacy), "x") == plain

    def test_numpy_values_come_as_tensors_and_numbers(self, legacy: bool) -> None:
        values = {
            "rows": TABLE.numpy(),
            "columns": np.asfortranarray(TABLE.numpy()),
            "half": TABLE.numpy().astype(np.float16),
            "none": np.zeros((0, 4), np.float32),
            "step": np.int64(1234),
            "loss": np.float64(0.5),
        }
        loaded = loads(saved(values, legacy=legacy), "x")
        assert torch.equal(loaded["rows"], TABLE)
        assert torch.equal(loaded["columns"], TABLE)
        assert torch.equal(loaded["half"], TABLE.half())
        assert loaded["none"].shape == (0, 4)
        assert (loaded["step"], loaded["loss"]) == (1234, 0.5)

    def test_numpy_values_of_the_newest_protocol_come_as_tensors(self, legacy: bool) -> None:
        rows, columns = TABLE.numpy(), np.asfortranarray(TABLE.numpy())
        content = io.BytesIO()
        values = {"rows": rows, "columns": columns, "none": np.zeros((0, 4), np.float32)}
        torch.save(values, content, pickle_protocol=5, _use_new_zipfile_serialization=not legacy)
        loaded = loads(content.getvalue(), "x")
        assert torch.equal(loaded["rows"], TABLE)
        assert torch.equal(loaded["columns"], TABLE)
        assert loaded["none"].shape == (0, 4)

    def test_a_tensor_with_attributes_of_its_own_comes_without_them(self, legacy: bool) -> None:
        marked = TABLE.clone()
        marked.note = "mine"
        assert torch.equal(loads(saved({"cat": marked}, legacy=legacy), "x")["cat"], TABLE)
        parameter = torch.nn.Parameter(TABLE)
        parameter.note = "mine"
        assert torch.equal(loads(saved({"cat": parameter}, legacy=legacy), "x")["cat"], TABLE)

    def test_a_tensor_rebuilt_from_numpy_in_a_narrower_type_is_read_as_torch_reads_it(self, legacy: bool) -> None:
        class FromNumpy:
            def __reduce__(self) -> tuple[object, ...]:
                arguments = (TABLE.numpy() / 3, torch.bfloat16, "cpu", False)
                return torch._utils._rebuild_device_tensor_from_numpy, arguments

        loaded = loads(saved({"cat": FromNumpy()}, legacy=legacy), "x")["cat"]
        assert torch.equal(loaded, (TABLE / 3).bfloat16())

    def test_a_tensor_rebuilt_from_numpy_is_read(self, legacy: bool) -> None:
        class FromNumpy:
            def __reduce__(self) -> tuple[object, ...]:
                arguments = (TABLE.numpy(), torch.float32, "cpu", False)
                return torch._utils._rebuild_device_tensor_from_numpy, arguments

        assert torch.equal(loads(saved({"cat": FromNumpy()}, legacy=legacy), "x")["cat"], TABLE)


def test_a_float8_tensor_without_a_storage_class_of_its_own_is_read() -> None:
    eighth = TABLE.to(torch.float8_e4m3fn)
    loaded = loads(saved({"cat": eighth}), "x")
    assert torch.equal(loaded["cat"].float(), eighth.float())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_binary_pickle_protocol_is_read(protocol: int) -> None:
    value = {"cat": [1, "two", 3.0, b"4", {"five"}, (6, 7)]}
    assert loads(zip_of(pickle.dumps(value, protocol)), "x") == value


def test_the_first_binary_protocol_has_no_mark_and_is_read() -> None:
    content = io.BytesIO()
    torch.save({"cat": TABLE}, content, pickle_protocol=1, _use_new_zipfile_serialization=False)
    assert content.getvalue().startswith(b"L1195")
    assert torch.equal(loads(content.getvalue(), "x")["cat"], TABLE)
    (found,) = embeddings_from_bytes(content.getvalue(), "cat", label="cat.pt")
    assert found.container == "torch-legacy"


def test_numpy_1_names_are_read_as_numpy_2_names_are() -> None:
    pickled = pickle.dumps(TABLE.numpy(), 2)
    assert b"numpy._core.multiarray" in pickled
    assert torch.equal(loads(zip_of(pickled), "x"), TABLE)
    assert torch.equal(loads(zip_of(pickled.replace(b"numpy._core", b"numpy.core")), "x"), TABLE)


def test_a_compressed_zip_is_read() -> None:
    content = zip_of(tensor_pickle((3, 4), (4, 1)), (TABLE.numpy().tobytes(),), zipfile.ZIP_DEFLATED)
    assert torch.equal(loads(content, "x"), TABLE)


def test_a_file_on_disk_is_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat.pt").write_bytes(saved({"cat": TABLE}))
    assert torch.equal(load_pickle(tmp_path / "cat.pt")["cat"], TABLE)
    with pytest.raises(BadFile, match=r"dog\.pt: No such file"):
        load_pickle(tmp_path / "dog.pt")


# --- hostile files ---------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def corpus(command: str) -> dict[str, tuple[bytes, str]]:
    """Family of opcodes → pickle that would run `command`, and the name at which it must be refused."""
    call = b"(" + text(command) + b"t"
    system = f"{os.system.__module__}.system"
    module = os.system.__module__.encode()
    source = f"__import__('os').system({command!r})"
    return {
        "GLOBAL REDUCE": (b"\x80\x02c" + module + b"\nsystem\n" + call + b"R.", system),
        "GLOBAL os": (b"\x80\x02cos\nsystem\n" + call + b"R.", "os.system"),
        "STACK_GLOBAL": (b"\x80\x04" + text("os") + text("system") + b"\x93" + call + b"R.", "os.system"),
        "dotted STACK_GLOBAL": (
            b"\x80\x04" + text("torch") + text("serialization.os.system") + b"\x93" + call + b"R.",
            "torch.serialization.os.system",
        ),
        "INST": (b"\x80\x02(" + text(command) + b"i" + module + b"\nsystem\n.", system),
        "OBJ": (b"\x80\x02(c" + module + b"\nsystem\n" + text(command) + b"o.", system),
        "NEWOBJ": (
            b"\x80\x02cfunctools\npartial\n(c" + module + b"\nsystem\n" + text(command) + b"t\x81)R.",
            "functools.partial",
        ),
        "NEWOBJ_EX": (
            b"\x80\x04cfunctools\npartial\n(c" + module + b"\nsystem\n" + text(command) + b"t}\x92)R.",
            "functools.partial",
        ),
        "BUILD": (
            b"\x80\x02cfunctools\npartial\n(cbuiltins\nlen\nt\x81(c"
            + module
            + b"\nsystem\n("
            + text(command)
            + b"t}Ntb)R.",
            "functools.partial",
        ),
        "eval": (b"\x80\x02cbuiltins\neval\n(" + text(source) + b"tR.", "builtins.eval"),
        "Python 2 eval": (b"\x80\x02c__builtin__\neval\n(" + text(source) + b"tR.", "__builtin__.eval"),
        "getattr": (
            b"\x80\x02cbuiltins\ngetattr\n(cbuiltins\n__import__\n("
            + text("os")
            + b"tR"
            + text("system")
            + b"tR"
            + call
            + b"R.",
            "builtins.getattr",
        ),
        "nested pickle": (
            b"\x80\x03cpickle\nloads\n(C"
            + (lambda inner: bytes([len(inner)]) + inner)(b"cos\nsystem\n" + call + b"R.")
            + b"tR.",
            "pickle.loads",
        ),
        "subprocess": (
            b"\x80\x02csubprocess\ncall\n(](" + text("sh") + text("-c") + text(command) + b"etR.",
            "subprocess.call",
        ),
        "hidden in a dictionary": (
            b"\x80\x02}" + text("cat") + b"c" + module + b"\nsystem\n" + call + b"Rs.",
            system,
        ),
        "thrown away before the end": (
            b"\x80\x02c" + module + b"\nsystem\n" + call + b"R0}" + text("cat") + b"K\x01s.",
            system,
        ),
    }


NAMES = sorted(corpus("true"))


@pytest.mark.parametrize("family", NAMES)
def test_the_corpus_is_hostile_under_an_ordinary_unpickler(family: str, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    pickle.loads(corpus(f"touch {canary}")[family][0])
    assert canary.exists()


@pytest.mark.parametrize("wrap", [zip_of, legacy_of])
@pytest.mark.parametrize("family", NAMES)
def test_no_hostile_pickle_runs_and_the_refusal_names_what_it_met(family: str, wrap, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    pickled, name = corpus(f"touch {canary}")[family]
    with pytest.raises(UnsafePickle) as refusal:
        loads(wrap(pickled), "evil.pt")
    assert name in str(refusal.value)
    assert "evil.pt" in str(refusal.value)
    assert not canary.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\n(S'touch %s'\ntR.",
        b"(S'touch %s'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch %s'\no.",
        b"c__builtin__\ngetattr\n(cos\nsystem\nS'__call__'\ntR(S'touch %s'\ntR.",
    ],
    ids=["GLOBAL REDUCE", "INST", "OBJ", "getattr"],
)
def test_a_pickle_in_text_has_no_mark_and_is_still_refused_by_name(pickled: bytes, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    content = pickled % str(canary).encode()
    pickle.loads(content)
    assert canary.exists()
    canary.unlink()
    with pytest.raises(UnsafePickle, match=r"evil\.pt: its pickle calls (os\.system|__builtin__\.getattr)"):
        loads(content, "evil.pt")
    with pytest.raises(UnsafePickle, match=r"evil\.pt"):
        embeddings_from_bytes(content, "evil", label="evil.pt")
    assert not canary.exists()


@pytest.mark.parametrize("code", [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"])
def test_extension_codes_are_refused(code: bytes) -> None:
    with pytest.raises(UnsafePickle, match="extension code 1"):
        loads(zip_of(b"\x80\x02" + code + b"."), "x")


def test_a_hostile_pickle_ahead_of_the_legacy_object_is_refused() -> None:
    content = b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR." + legacy_of(b"\x80\x02}.")
    with pytest.raises(UnsafePickle, match=r"os\.system"):
        loads(content, "x")


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02ccollections\nOrderedDict\n}X\x04\x00\x00\x00callX\x01\x00\x00\x00xsb.",
        b"\x80\x02ctorch\nFloatStorage\n}X\x05\x00\x00\x00dtypeNsb.",
        b"\x80\x02ccollections\nOrderedDict\nN}X\x04\x00\x00\x00callX\x01\x00\x00\x00xs\x86b.",
    ],
    ids=["a function's attributes", "a class's attributes", "slots"],
)
def test_setting_attributes_of_a_stand_in_is_refused_and_changes_nothing(pickled: bytes) -> None:
    with pytest.raises(BadFile):
        loads(zip_of(pickled), "x")
    assert loads(saved(collections.OrderedDict(a=1)), "x") == {"a": 1}


# --- damaged and outsized files --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pickled",
    [
        tensor_pickle((3, 4), (4, 1), offset=1),
        tensor_pickle((3, 5), (4, 1)),
        tensor_pickle((4, 4), (4, 1)),
        tensor_pickle((1 << 20, 1 << 20), (0, 0)),
        tensor_pickle((3, 4), (4, -1)),
        tensor_pickle((3, 4), (4,)),
        tensor_pickle((-3, 4), (4, 1)),
        tensor_pickle((3, 4), (1 << 62, 1)),
        tensor_pickle((3, 4), (4, 1), offset=-1),
        tensor_pickle((3, 4), (4, 1), count=1 << 39),
        tensor_pickle((3, 4), (4, 1), count=13),
    ],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(pickled: bytes) -> None:
    with pytest.raises(BadFile, match="damaged"):
        loads(zip_of(pickled, (TABLE.numpy().tobytes(),)), "x")


def test_a_bomb_of_compressed_zeros_is_refused() -> None:
    content = zip_of(tensor_pickle((1,), (1,), count=1), (bytes(70 << 20),), zipfile.ZIP_DEFLATED)
    assert len(content) < 1 << 20
    with pytest.raises(BadFile, match="far more than the file"):
        loads(content, "x")


def test_a_legacy_storage_longer_than_the_file_takes_no_memory() -> None:
    content = bytearray(saved(TABLE, legacy=True))
    position = content.index(b"cpu") + 4
    assert content[position : position + 2] == b"K\x0c" or b"K\x0c" in content[position : position + 8]
    at = content.index(b"K\x0c", position)
    content[at : at + 2] = b"J" + struct.pack("<i", 2**31 - 1)
    with pytest.raises(BadFile, match="longer than the file"):
        loads(bytes(content), "x")


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02" + b")" + b"\x85" * 150_000 + b".",
        b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
        b"\x80\x02" + b"N" * 300_000 + b".",
        b"\x80\x02}(" + b"".join(b"\x8a\x08" + struct.pack("<q", n * (2**61 - 1)) + b"N" for n in range(4)) + b"u.",
        b"\x80\x02\x8b" + struct.pack("<i", 1 << 20) + bytes(1 << 20) + b"\x01.",
    ],
    ids=["deep", "deep key", "many opcodes", "crafted hashes", "a huge integer"],
)
def test_pickles_made_to_exhaust_are_harmless(pickled: bytes) -> None:
    try:
        loads(zip_of(pickled), "x")
    except BadFile:
        return


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"PK\x03\x04" + bytes(100),
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x02}.",
        b"hello",
        zip_of(b""),
        zip_of(b"."),
        zip_of(b"\x80\x02b."),
        zip_of(b"\x80\x02K\x01Q."),
        zip_of(b"\x80\x02S'\\q'\n."),
        zip_of(b"\x80\x02I9\nb."),
        zip_of(b"\x80\x02h\x05."),
        zip_of(b"\x80\x02t."),
        zip_of(b"\x80\x02u."),
        zip_of(b"\x80\x02]K\x01K\x02s."),
        zip_of(b"\x80\x02}K\x01a."),
        zip_of(b"\x80\x02](K\x01\x90."),
        zip_of(b"\x80\x02P1\n."),
        zip_of(tensor_pickle((3, 4), (4, 1))),
        saved(TABLE)[:-30],
        saved(TABLE, legacy=True)[:-3],
    ],
)
def test_what_is_no_torch_file_is_refused_by_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(BadFile):
        loads(content, "x")


def test_a_zip_of_another_program_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(BadFile, match=r"torch\.save did not write"):
        loads(content.getvalue(), "x")


def test_big_endian_values_are_refused_rather_than_misread() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(1, 2))
        archive.writestr("a/byteorder", "big")
    with pytest.raises(BadFile, match="big-endian"):
        loads(content.getvalue(), "x")


RICH = {
    "string_to_token": {"*": 265},
    "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(TABLE)}),
    "half": TABLE.half(),
    "numpy": TABLE.numpy(),
    "step": np.int64(3),
    "name": "cat",
    "set": {"a"},
}
ZIP, LEGACY = saved(RICH), saved(RICH, legacy=True)
PICKLED = zipfile.ZipFile(io.BytesIO(ZIP)).read("archive/data.pkl")
STORAGES = (TABLE.numpy().tobytes(), TABLE.half().numpy().tobytes())

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "drop", "insert"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


def edited(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, new in edits:
        at = int(where * len(content))
        match kind:
            case "set":
                content = content[:at] + new + content[at + len(new) :]
            case "insert":
                content = content[:at] + new + content[at:]
            case "drop":
                content = content[:at] + content[at + len(new) :]
            case _:
                content = content[:at]
    return content


def reads_or_refuses(content: bytes) -> None:
    try:
        loads(content, "x")
    except BadFile:
        return


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(EDITS)
@example([("set", 0.0, b"PK\x03\x04")])
def test_a_damaged_zip_ends_in_a_bad_file(edits) -> None:
    reads_or_refuses(edited(ZIP, edits))


@QUICK
@given(EDITS)
def test_a_damaged_legacy_file_ends_in_a_bad_file(edits) -> None:
    reads_or_refuses(edited(LEGACY, edits))


@QUICK
@given(EDITS)
def test_a_damaged_pickle_in_a_sound_zip_ends_in_a_bad_file(edits) -> None:
    reads_or_refuses(zip_of(edited(PICKLED, edits), STORAGES))


@QUICK
@given(st.binary(max_size=60))
def test_random_instructions_end_in_a_bad_file(instructions: bytes) -> None:
    reads_or_refuses(zip_of(b"\x80\x02" + instructions + b"."))
