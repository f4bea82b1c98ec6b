import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from pseudoword.errors import BadFile, BadOption
from pseudoword.files import (
    AppendFile,
    HashCache,
    atomic_path,
    atomic_write,
    check_name,
    clear_leftovers,
    held_alone,
    sha256,
    write_json,
)


def test_a_write_makes_the_folder_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a" / "b.pt", b"one")
    atomic_write(tmp_path / "a" / "b.pt", b"two")
    assert (tmp_path / "a" / "b.pt").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.pt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "b.pt"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"ne")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.pt"]


def test_the_target_is_not_there_before_the_block_ends(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "b.png") as temporary:
        temporary.write_bytes(b"new")
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert not (tmp_path / "b.png").exists()
    assert (tmp_path / "b.png").read_bytes() == b"new"


def test_a_flush_uses_a_handle_that_is_open_for_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to flush a handle that is open for reading only."""
    fcntl = pytest.importorskip("fcntl")
    modes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: modes.append(fcntl.fcntl(number, fcntl.F_GETFL)))
    atomic_write(tmp_path / "b.pt", b"new")
    assert modes[0] & os.O_ACCMODE == os.O_RDWR


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    failures: list[BaseException] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(5):
                atomic_write(tmp_path / "b.pt", content)
        except OSError as problem:
            failures.append(problem)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (tmp_path / "b.pt").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["b.pt"]


def test_json_is_utf8_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"word": "küsse", "n": [1, 2]})
    raw = (tmp_path / "a.json").read_bytes()
    assert "küsse".encode() in raw
    assert raw.endswith(b"}\n")
    assert json.loads(raw) == {"word": "küsse", "n": [1, 2]}


def test_the_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "b").write_bytes(bytes(3 << 20))
    assert sha256(tmp_path / "b") == hashlib.sha256(bytes(3 << 20)).hexdigest()


def test_a_known_hash_is_not_computed_again_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"abc")
    expected = HashCache(tmp_path / "cache.json").sha256(model)
    with monkeypatch.context() as patch:
        patch.setattr("pseudoword.files.sha256", lambda _: pytest.fail("hashed again"))
        assert HashCache(tmp_path / "cache.json").sha256(model) == expected
    model.write_bytes(b"abcd")
    assert HashCache(tmp_path / "cache.json").sha256(model) == hashlib.sha256(b"abcd").hexdigest()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": 3}', '{"x": ["a"]}', '{"x": [1, 2]}', "\x00"])
def test_a_damaged_cache_costs_time_and_nothing_else(damage: str, tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_text(damage)
    (tmp_path / "a").write_bytes(b"abc")
    cache = HashCache(tmp_path / "cache.json")
    assert cache.sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    "name", ["cat", "Cat 2", "my-cat_v1.5", "küsse", "猫", "7up", "a" * 150, "console", "com10", "<".join("ab")[:1]]
)
def test_names_that_fit_everywhere_are_taken_as_they_are(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "a/b", "a\\b", "../a", "a\nb", "a\x00b", "a:b", "a*", "<a>", "(a)", "a\n"),
        *("-a", "_a", ".a", " a", "a ", "a.", "a" * 151, "猫" * 51, "\ud800"),
        *("con", "NUL", "aux.pt", "com1", "LPT9.tar.gz", "con .x"),
    ],
)
def test_names_that_some_system_or_prompt_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(BadOption, match="expected letters, digits"):
        check_name(name)


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    atomic_write(tmp_path / f"{check_name('猫' * 50)}.safetensors", b"x")


def test_what_is_added_reaches_the_file_whole_when_it_is_flushed(tmp_path: Path) -> None:
    log = AppendFile(tmp_path / "new" / "log.csv")
    log.add(b"1,2\n")
    log.add(b"3,4\n")
    assert (tmp_path / "new" / "log.csv").read_bytes() == b""
    log.flush()
    log.add(b"lost\n")
    log.close()
    again = AppendFile(tmp_path / "new" / "log.csv")
    again.add(b"5,6\n")
    again.flush()
    again.close()
    assert (tmp_path / "new" / "log.csv").read_bytes() == b"1,2\n3,4\n5,6\n"


@pytest.mark.skipif(os.name == "nt", reason="limits of file sizes are POSIX's")
def test_a_full_disk_leaves_no_part_of_an_entry_and_loses_none(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk; the system takes what fits and refuses the rest."""
    import resource
    import signal

    log = AppendFile(tmp_path / "log.csv")
    log.add(b"whole\n")
    log.flush()
    log.add(b"too much for it\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12, before[1]))
        with pytest.raises(BadFile, match="cannot be written"):
            log.flush()
        assert (tmp_path / "log.csv").read_bytes() == b"whole\n"
        with pytest.raises(BadFile, match="cannot be written"):
            atomic_write(tmp_path / "other.bin", b"x" * 100)
        assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    log.flush()
    log.close()
    assert (tmp_path / "log.csv").read_bytes() == b"whole\ntoo much for it\n"


def test_a_block_is_held_by_one_at_a_time_and_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "run" / ".lock"
    refused = pytest.raises(BadFile, match="the run is in use by another process")
    with held_alone(lock, "the run"), refused, held_alone(lock, "the run"):
        raise AssertionError
    with held_alone(lock, "the run"):
        pass


def test_only_what_a_killed_write_left_is_cleared(tmp_path: Path) -> None:
    for name in (".state.123-456.tmp.safetensors", ".zorp.1-2.tmp.safetensors", "state.safetensors", ".lock", ".a.tmp"):
        (tmp_path / name).touch()
    clear_leftovers(tmp_path, "zorp")
    assert not (tmp_path / ".zorp.1-2.tmp.safetensors").exists()
    clear_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.tmp", ".lock", "state.safetensors"]
