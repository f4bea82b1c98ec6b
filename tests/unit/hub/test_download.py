"""Files from a real server on 127.0.0.1: limits, hashes, and downloads that break."""

import hashlib
from dataclasses import replace

import pytest
from tests.share_server import no_ranges, raw, status, truncate

from pseudoword.errors import BadFile, Unreachable
from pseudoword.hub import RemoteFile
from pseudoword.hub.download import download

CONTENT = bytes(range(256)) * 1200  # 300 KiB
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(share_server):
    share_server.stored[SHA] = CONTENT
    return RemoteFile(name="x.pt", url=f"{share_server.url}/store/{SHA}", size=len(CONTENT), sha256=SHA)


@pytest.fixture
def part(tmp_path):
    return tmp_path / "downloads" / "x.part"


def fetch(wire, file, part, limit=1 << 20):
    return list(download(wire, file, part, limit=limit, hints={}))


def ranges(server):
    return [request.headers.get("range") for request in server.asked("/store/")]


def test_the_whole_file_comes_with_progress(wire, file, part):
    events = fetch(wire, file, part)
    assert part.read_bytes() == CONTENT
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert (events[-1].done, events[-1].total) == (300, 300)


def test_a_download_that_breaks_goes_on_where_it_broke(wire, file, part, share_server):
    share_server.fail("/store/", truncate(100_000), truncate(50_000))
    fetch(wire, file, part)
    assert part.read_bytes() == CONTENT
    assert ranges(share_server) == [None, "bytes=100000-", "bytes=150000-"]


def test_a_part_of_an_earlier_session_is_gone_on_with(wire, file, part, share_server):
    part.parent.mkdir()
    part.write_bytes(CONTENT[:12345])
    fetch(wire, file, part)
    assert part.read_bytes() == CONTENT
    assert ranges(share_server) == ["bytes=12345-"]


def test_a_stopped_generator_keeps_what_came(wire, file, part, share_server):
    events = download(wire, file, part, limit=1 << 20, hints={})
    next(events), next(events), next(events)
    events.close()
    assert 0 < len(part.read_bytes()) < len(CONTENT)
    fetch(wire, file, part)
    assert part.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(wire, file, part, share_server):
    share_server.fail("/store/", truncate(1000), no_ranges)
    fetch(wire, file, part)
    assert part.read_bytes() == CONTENT


def test_a_whole_part_asks_for_nothing(wire, file, part, share_server):
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert fetch(wire, file, part) == []
    assert share_server.asked("/store/") == []


def test_a_whole_part_of_unknown_size_is_recognised(wire, file, part, share_server):
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    fetch(wire, replace(file, size=None), part)
    assert part.read_bytes() == CONTENT
    assert ranges(share_server) == [f"bytes={len(CONTENT)}-"]


def test_a_part_that_is_longer_than_the_file_is_dropped(wire, file, part):
    part.parent.mkdir()
    part.write_bytes(CONTENT + b"more")
    fetch(wire, replace(file, size=None), part)
    assert part.read_bytes() == CONTENT


def test_a_part_of_another_file_is_dropped_and_fetched_once_more(wire, file, part):
    part.parent.mkdir()
    part.write_bytes(b"?" * 1000)
    fetch(wire, file, part)
    assert part.read_bytes() == CONTENT


def test_a_wrong_hash_is_told_and_nothing_stays(wire, file, part):
    with pytest.raises(BadFile, match=rf"x.pt: its hash is {SHA[:16]}…, where 0000"):
        fetch(wire, replace(file, sha256="0" * 64), part)
    assert not part.exists()


def test_git_hashes_are_checked_too(wire, file, part):
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    fetch(wire, replace(file, sha256=None, git_sha1=blob), part)
    with pytest.raises(BadFile, match="its hash is"):
        fetch(wire, replace(file, sha256=None, git_sha1="1" * 40), part)


def test_without_a_hash_an_old_part_is_not_trusted(wire, file, part, share_server):
    part.parent.mkdir()
    part.write_bytes(CONTENT[:10])
    fetch(wire, replace(file, sha256=None), part)
    assert ranges(share_server) == [None]


def test_a_short_file_is_told(wire, file, part, share_server):
    share_server.stored[SHA] = CONTENT[:1000]
    with pytest.raises(BadFile, match="1000 bytes came, where 307200 were announced"):
        fetch(wire, file, part)


def test_what_is_announced_too_large_is_not_asked_for(wire, file, part, share_server):
    with pytest.raises(BadFile, match=r"at least 0.3 MiB; expected at most 0.0976562 MiB.*--max-size"):
        fetch(wire, file, part, limit=100 << 10)
    with pytest.raises(BadFile, match="--max-size"):
        fetch(wire, replace(file, size=None, about=9 << 20), part)
    assert share_server.asked("/store/") == []


def test_what_turns_out_too_large_is_cut_off(wire, file, part, share_server):
    with pytest.raises(BadFile, match="--max-size"):
        fetch(wire, replace(file, size=None), part, limit=100 << 10)
    share_server.fail("/store/", raw(b"x" * (200 << 10), content_length="10"))
    assert not part.exists()


def test_a_web_page_in_place_of_the_file_is_told(wire, file, part, share_server):
    share_server.fail("/store/", raw(b"<html>", content_type="text/html; charset=utf-8"))
    with pytest.raises(Unreachable, match="a web page in place of the file"):
        fetch(wire, file, part)
    assert not part.exists()


def test_a_server_that_always_breaks_is_given_up_and_what_came_is_kept(wire, file, part, share_server):
    share_server.fail("/store/", truncate(1000), *[status(503)] * 9)
    with pytest.raises(Unreachable, match="answered 503"):
        fetch(wire, file, part)
    assert part.read_bytes() == CONTENT[:1000]


def test_a_folder_that_cannot_be_written_is_told(wire, file, tmp_path):
    (tmp_path / "afile").write_text("x")
    with pytest.raises(BadFile, match="cannot be written"):
        fetch(wire, file, tmp_path / "afile" / "x.part")
