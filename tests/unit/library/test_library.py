import hashlib
import os
import threading
import time
from pathlib import Path

import pytest
import torch

from pseudoword.embeddings import Embedding, FileEmbedding, embedding_to_bytes, write_embedding
from pseudoword.library import Entry, Library, Snapshot
from pseudoword.library import library as library_module


def put(path: Path, value: float = 1.0, *, age: float = 60.0) -> Path:
    """Write an embedding whose numbers are all `value`, last changed `age` seconds ago."""
    word = Embedding(name=path.stem, vectors={"clip_l": torch.full((2, 32), value)})
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower() if path.suffix.lower() in (".pt", ".bin") else ".safetensors"
    path.write_bytes(embedding_to_bytes(word, suffix))
    settle(path, age)
    return path


def settle(path: Path, age: float = 60.0) -> None:
    changed = time.time() - age
    os.utime(path, (changed, changed))


def value(entry: Entry) -> float:
    return float(entry.embedding.vectors["clip_l"][0, 0])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in order."""
    seen: list[str] = []
    original = library_module.embeddings_from_bytes

    def spy(content: bytes, name: str, *, label: str) -> tuple[FileEmbedding, ...]:
        seen.append(label)
        return original(content, name, label=label)

    monkeypatch.setattr(library_module, "embeddings_from_bytes", spy)
    return seen


def reasons(snapshot: Snapshot) -> dict[str, str]:
    return {skipped.path.name: skipped.reason for skipped in snapshot.skipped}


def test_a_folder_gives_its_words_with_path_and_hash(tmp_path: Path) -> None:
    path = put(tmp_path / "cat.safetensors", 3.0)
    snapshot = Library(tmp_path).refresh()
    entry = snapshot.entries["cat"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (entry.path, entry.sha256, entry.short) == (path, digest, digest[:12])
    assert value(entry) == 3.0
    assert (snapshot.revision, snapshot.skipped) == (1, ())


def test_sub_folders_hidden_ones_too_and_all_suffixes_in_any_case_are_read(tmp_path: Path) -> None:
    for name in ("a.PT", "one/b.bin", "one/two/c.SafeTensors", ".hidden/d.pt"):
        put(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "e.pt.optim").write_bytes(b"x")
    assert set(Library(tmp_path).refresh().entries) == {"a", "b", "c", "d"}


def test_unfinished_writes_and_side_files_that_begin_with_a_dot_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / ".cat.123.tmp.pt")
    (tmp_path / "._cat.pt").write_bytes(b"x")
    assert Library(tmp_path).refresh() == Snapshot()


def test_a_missing_folder_is_an_empty_library_until_it_is_made(tmp_path: Path) -> None:
    library = Library(tmp_path / "embeddings")
    assert library.refresh() == Snapshot()
    put(tmp_path / "embeddings" / "cat.pt")
    assert set(library.refresh().entries) == {"cat"}


def test_of_one_word_in_several_containers_the_one_that_knows_where_it_was_trained_is_taken(tmp_path: Path) -> None:
    for suffix in (".bin", ".pt", ".safetensors"):
        put(tmp_path / f"cat{suffix}")
    put(tmp_path / "a" / "dog.pt")
    put(tmp_path / "b" / "dog.safetensors")
    entries = Library(tmp_path).refresh().entries
    assert entries["cat"].path.name == "cat.safetensors"
    assert entries["dog"].path.parent.name == "a"  # other folders: by path as ever


def test_nothing_changed_gives_the_same_snapshot_and_reads_nothing(tmp_path: Path, reads: list[str]) -> None:
    put(tmp_path / "cat.pt")
    (tmp_path / "broken.pt").write_bytes(b"x")
    settle(tmp_path / "broken.pt")
    library = Library(tmp_path)
    first = library.refresh()
    assert sorted(reads) == ["broken.pt", "cat.pt"]
    assert library.refresh() is first
    assert library.snapshot is first
    assert len(reads) == 2


def test_only_the_changed_file_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    put(tmp_path / "cat.pt")
    put(tmp_path / "below" / "dog.pt", 1.0, age=90)
    library = Library(tmp_path)
    first = library.refresh()
    reads.clear()
    put(tmp_path / "below" / "dog.pt", 2.0)
    second = library.refresh()
    assert reads == ["dog.pt"]
    assert second.revision == first.revision + 1
    assert second.entries["cat"] is first.entries["cat"]
    assert (value(first.entries["dog"]), value(second.entries["dog"])) == (1.0, 2.0)


def test_added_and_removed_files_are_noticed_below_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "a" / "b" / "cat.pt")
    library = Library(tmp_path)
    library.refresh()
    put(tmp_path / "a" / "b" / "dog.pt")
    assert set(library.refresh().entries) == {"cat", "dog"}
    (tmp_path / "a" / "b" / "cat.pt").unlink()
    third = library.refresh()
    assert set(third.entries) == {"dog"}
    assert third.revision == 3


def test_an_overwrite_right_after_reading_is_noticed_although_size_and_time_are_the_same(tmp_path: Path) -> None:
    path = put(tmp_path / "cat.pt", 1.0)
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    library = Library(tmp_path)
    library.refresh()
    put(path, 2.0)
    os.utime(path, ns=(now, now))
    assert value(library.refresh().entries["cat"]) == 2.0


def test_a_touched_file_with_the_same_content_changes_nothing(tmp_path: Path) -> None:
    path = put(tmp_path / "cat.pt")
    (tmp_path / "broken.pt").write_bytes(b"x")
    library = Library(tmp_path)
    first = library.refresh()
    settle(path, 30)
    settle(tmp_path / "broken.pt", 30)
    assert library.refresh() is first


def test_a_write_through_this_package_is_seen_at_once(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number in range(5):
        word = Embedding(name="cat", vectors={"clip_l": torch.full((1, 32), float(number))})
        write_embedding(word, tmp_path / "cat.safetensors")
        assert value(library.refresh().entries["cat"]) == number


def test_of_two_files_with_one_word_the_first_path_is_taken_and_the_other_named(tmp_path: Path) -> None:
    put(tmp_path / "a" / "Cat.pt", 1.0)
    put(tmp_path / "b" / "cat.safetensors", 2.0)
    library = Library(tmp_path)
    first = library.refresh()
    assert list(first.entries) == ["Cat"]
    assert value(first.entries["Cat"]) == 1.0
    (skipped,) = first.skipped
    assert skipped.path == tmp_path / "b" / "cat.safetensors"
    assert skipped.reason == f"the word 'cat' is taken by {tmp_path / 'a' / 'Cat.pt'}; rename one of the two"
    (tmp_path / "a" / "Cat.pt").unlink()
    second = library.refresh()
    assert list(second.entries) == ["cat"]
    assert second.skipped == ()


def test_a_broken_file_does_not_take_the_word_from_a_sound_one(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"x")
    put(tmp_path / "b" / "a.pt", 2.0)
    snapshot = Library(tmp_path).refresh()
    assert value(snapshot.entries["a"]) == 2.0
    assert "unknown kind" in snapshot.skipped[0].reason


def test_files_that_cannot_be_used_are_skipped_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    (tmp_path / "page.pt").write_bytes(b"<html>")
    (tmp_path / "half.pt").write_bytes(put(tmp_path / "cat.pt").read_bytes()[:-40])
    (tmp_path / "gone.pt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.pt").symlink_to(tmp_path / "self.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(1 << 30)
    snapshot = Library(tmp_path).refresh()
    found = reasons(snapshot)
    assert set(snapshot.entries) == {"cat"}
    assert found["empty.pt"] == "the file is empty"
    assert "a web page" in found["page.pt"]
    assert "damaged" in found["half.pt"]
    assert found["gone.pt"] == "the file cannot be read: No such file or directory"
    assert "symbolic links" in found["self.pt"]
    assert found["pipe.pt"] == "this is no regular file"
    assert found["model.safetensors"] == "1024 MiB, which is a model rather than an embedding"


def test_a_hostile_file_is_skipped_with_the_name_that_it_called(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "evil.pt")
    assert "torch.nn.modules.linear.Linear" in reasons(Library(tmp_path).refresh())["evil.pt"]


def test_folders_behind_links_are_read_once_and_loops_end(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "cat.pt")
    root = tmp_path / "root"
    put(root / "dog.pt")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    snapshot = Library(root).refresh()
    assert set(snapshot.entries) == {"cat", "dog"}
    assert snapshot.skipped == ()


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_skipped_by_name(tmp_path: Path) -> None:
    put(tmp_path / "cat.pt").chmod(0)
    (tmp_path / "closed").mkdir(mode=0)
    found = reasons(Library(tmp_path).refresh())
    assert found == {
        "cat.pt": "the file cannot be read: Permission denied",
        "closed": "the folder cannot be read: Permission denied",
    }


def test_a_folder_that_may_not_be_listed_is_skipped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "cat.pt")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    snapshot = Library(tmp_path).refresh()
    assert set(snapshot.entries) == {"cat"}
    assert reasons(snapshot) == {"closed": "the folder cannot be read: Permission denied"}


def test_a_file_that_changes_while_it_is_read_is_read_at_the_next_refresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "cat.pt", 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    settle(path)
    original = library_module.fingerprint
    looks = iter([1000, 1400])

    def growing(status: os.stat_result) -> object:
        return library_module.Fingerprint(next(looks, status.st_size), original(status).mtime_ns)

    monkeypatch.setattr(library_module, "fingerprint", growing)
    library = Library(tmp_path)
    first = library.refresh()
    assert reasons(first) == {"cat.pt": "the file is being written; it is read at the next refresh"}
    path.write_bytes(whole)
    assert value(library.refresh().entries["cat"]) == 1.0


def test_half_a_file_is_skipped_and_the_whole_one_taken_later(tmp_path: Path) -> None:
    path = put(tmp_path / "cat.safetensors", 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    library = Library(tmp_path)
    assert "damaged" in reasons(library.refresh())["cat.safetensors"]
    path.write_bytes(whole)
    snapshot = library.refresh()
    assert (set(snapshot.entries), snapshot.skipped) == ({"cat"}, ())


def test_a_snapshot_cannot_be_changed_and_outlives_the_files(tmp_path: Path) -> None:
    path = put(tmp_path / "cat.pt", 1.0)
    library = Library(tmp_path)
    first = library.refresh()
    with pytest.raises(TypeError):
        first.entries["dog"] = first.entries["cat"]
    path.unlink()
    assert dict(library.refresh().entries) == {}
    assert value(first.entries["cat"]) == 1.0


def test_words_come_in_the_order_of_paths(tmp_path: Path) -> None:
    for name in ("b/y.pt", "a/z.pt", "a/b/x.pt", "w.pt"):
        put(tmp_path / name)
    assert list(Library(tmp_path).refresh().entries) == ["x", "z", "y", "w"]


def test_words_that_differ_in_unicode_form_alone_are_one_word(tmp_path: Path) -> None:
    put(tmp_path / "a" / "caf\u00e9.pt")
    put(tmp_path / "b" / "cafe\u0301.pt")
    snapshot = Library(tmp_path).refresh()
    assert (len(snapshot.entries), len(snapshot.skipped)) == (1, 1)


def test_many_threads_may_refresh_at_once(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / f"w{number}.safetensors")
    library = Library(tmp_path)
    found: list[Snapshot] = []
    threads = [threading.Thread(target=lambda: found.append(library.refresh())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(snapshot) for snapshot in found}) == 1
    assert found[0].revision == 1


def test_a_word_may_lie_there_once_for_each_family(tmp_path):
    small = put(tmp_path / "cat.pt", 1.0)
    large = tmp_path / "cat.safetensors"
    word = Embedding(name="cat", vectors={"clip_l": torch.ones(1, 768), "clip_g": torch.ones(1, 1280)})
    write_embedding(word, large)
    settle(large)
    snapshot = Library(tmp_path).refresh()
    for wanted, slots in ((small, {"clip_l"}), (large, {"clip_l", "clip_g"})):
        seen = snapshot.for_model(lambda embedding, slots=slots: set(embedding.vectors) == slots)
        assert seen.entries["cat"].path == wanted
        assert [skip.taken_by for skip in seen.skipped] == [wanted]
        assert seen.revision == snapshot.revision
