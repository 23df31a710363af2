"""Bytes kept in memory within a bound, and in a folder that several processes share."""

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from skmol3d.structures.storage import FILE_NAME, Cache, CacheError, Disk, Memory, content_key


def key(i):
    return i.to_bytes(32, "big")


def test_keys_tell_contents_apart():
    keys = {
        content_key("C", {"a": 1, "b": 2.0}),
        content_key("C", {"b": 2.0, "a": 1}),
        content_key("C", {"a": 1}),
    }
    assert len(keys) == 2


# --- memory ----------------------------------------------------------------------------------------------


def test_memory_is_bounded():
    memory = Memory(max_bytes=10 * (100 + Memory.OVERHEAD))
    memory.put({key(i): bytes(100) for i in range(1000)})
    assert len(memory.get(map(key, range(1000)))) == 10
    assert memory.size == memory.max_bytes
    memory.put({b"large": bytes(10**6)})
    assert memory.size <= memory.max_bytes


def test_a_smaller_bound_holds_at_once_and_nothing_is_kept_at_zero():
    memory = Memory(max_bytes=10**6)
    memory.put({key(i): bytes(100) for i in range(100)})
    memory.resize(5000)
    assert 0 < memory.size <= 5000
    memory.resize(0)
    assert memory.size == 0
    memory.put({b"a": b"b"})
    assert not memory.get([b"a"])


def test_walking_through_more_than_fits_still_finds_some():
    # Dropping what was used longest ago would find nothing at all.
    memory = Memory(max_bytes=80 * (100 + Memory.OVERHEAD))
    for _ in range(20):
        hits = 0
        for i in range(100):
            found = memory.get([key(i)])
            hits += len(found)
            memory.put({key(i): bytes(100)})
    assert hits > 40


def test_hits_and_misses_are_counted():
    memory = Memory(max_bytes=1000)
    memory.put({b"a": b"1"})
    memory.get([b"a", b"b", b"c"])
    assert (memory.hits, memory.misses) == (1, 2)
    memory.clear()
    assert (memory.hits, memory.misses, memory.size) == (0, 0, 0)


def test_threads_share_a_memory():
    memory = Memory(max_bytes=20 * (4 + Memory.OVERHEAD))

    def work(start):
        for i in range(start, start + 500):
            memory.put({key(i % 60): (i % 60).to_bytes(4, "big")})
            for k, value in memory.get(map(key, range(60))).items():
                assert int.from_bytes(value, "big") == int.from_bytes(k, "big")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(memory.get(map(key, range(60)))) == 20
    assert memory.size == memory.max_bytes


# --- disk ------------------------------------------------------------------------------------------------

SHARER = """
import sys
from skmol3d.structures.storage import Disk

disk = Disk(sys.argv[1], "things")
for i in range(100):
    key = i.to_bytes(32, "big")
    for value in disk.get([key]).values():
        assert value == bytes([i])
    disk.put({key: bytes([i])})
"""


def test_several_processes_share_a_folder(tmp_path):
    command = [sys.executable, "-c", SHARER, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0)] * 4
    assert Disk(tmp_path, "things").get(map(key, range(100))) == {key(i): bytes([i]) for i in range(100)}


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path, monkeypatch):
    class Refused(sqlite3.Connection):
        """What SQLite does now and then when two processes choose the write-ahead log at once."""

        refusals = 2

        def execute(self, command, *parameters):
            if "WAL" in command and Refused.refusals:
                Refused.refusals -= 1
                raise sqlite3.OperationalError("database is locked")
            return super().execute(command, *parameters)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Refused))
    Disk(tmp_path, "things").put({b"a": b"value"})
    assert Disk(tmp_path, "things").get([b"a"]) == {b"a": b"value"}
    assert Refused.refusals == 0


def test_tables_do_not_mix(tmp_path):
    Disk(tmp_path, "rows").put({b"a": b"row"})
    Disk(tmp_path, "conformers").put({b"a": b"conformer"})
    assert Disk(tmp_path, "rows").get([b"a"]) == {b"a": b"row"}


def test_more_keys_than_one_query_takes(tmp_path):
    disk = Disk(tmp_path, "things")
    disk.put({key(i): b"x" for i in range(1203)})
    disk.put({key(i): b"y" for i in range(1300)})  # what is there stays
    assert sorted(disk.get(map(key, range(1300))).values()) == [b"x"] * 1203 + [b"y"] * 97


def test_a_damaged_index_never_gives_the_value_of_another_key(tmp_path):
    Disk(tmp_path, "things").put({key(i): bytes([i]) for i in range(5)})
    file = tmp_path / FILE_NAME
    data = bytearray(file.read_bytes())
    data[data.index(key(2) + bytes([3])) + 32] = 4  # the third key's entry leads to the fourth row
    file.write_bytes(data)
    assert Disk(tmp_path, "things").get([key(2)]) == {}
    assert Disk(tmp_path, "things").get(map(key, range(5))) == {key(i): bytes([i]) for i in (0, 1, 3, 4)}


@pytest.mark.parametrize("damage", ["text", "value", "value is text", "folder is a file", "name is too long"])
def test_a_damaged_folder_is_named(tmp_path, damage):
    file = tmp_path / FILE_NAME
    if damage == "text":
        file.write_text("this is no database, but it is long enough to be read as one" * 100)
    elif damage == "value":
        Disk(tmp_path, "things").put({b"a": b"some value"})
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE things SET value = zeroblob(length(value))")
        connection.close()
    elif damage == "value is text":
        Disk(tmp_path, "things").put({b"a": b"some value"})
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE things SET value = 'some text'")
        connection.close()
    elif damage == "name is too long":
        file = tmp_path / ("long" * 100) / FILE_NAME
    else:
        file = tmp_path / "file" / FILE_NAME
        file.parent.write_text("in the way")
    with pytest.raises(CacheError, match="choose another cache_dir") as caught:
        Disk(file.parent, "things").get([b"a"])
    assert str(file) in str(caught.value)


FILLER = """
import resource, signal, sys
from skmol3d.structures.storage import CacheError, Disk

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
disk = Disk(sys.argv[1], "things")
try:
    for i in range(1000):
        disk.put({i.to_bytes(32, "big"): bytes([i % 256]) * 1000})
        print(i, flush=True)
except CacheError as error:
    print(error)
"""


def test_a_full_disk_is_said_and_what_was_stored_stays(tmp_path):
    done = subprocess.run([sys.executable, "-c", FILLER, str(tmp_path)], capture_output=True, text=True)
    *stored, error = done.stdout.splitlines()
    assert (done.stderr, done.returncode) == ("", 0)
    assert "choose another cache_dir" in error
    assert len(stored) > 20
    disk = Disk(tmp_path, "things")
    assert disk.get(map(key, range(len(stored)))) == {
        key(i): bytes([i % 256]) * 1000 for i in range(len(stored))
    }
    disk.put({b"a": b"there is room again"})
    assert disk.get([b"a"])


WRITER = """
import sys
from skmol3d.structures.storage import Disk

disk = Disk(sys.argv[1], "things")
for i in range(10**9):
    disk.put({(16 * i + k).to_bytes(32, "big"): bytes([i % 256]) * 3000 for k in range(16)})
    print(i, flush=True)
"""


def test_a_killed_writer_leaves_whole_transactions(tmp_path):
    random = np.random.default_rng(0)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            said = [int(writer.stdout.readline()) for _ in range(int(random.integers(1, 30)))]
            time.sleep(random.uniform(0, 0.01))
            writer.kill()
        found = Disk(tmp_path, "things").get(map(key, range(16 * 1000)))
        transactions = len(found) // 16
        assert len(found) == 16 * transactions > 16 * said[-1]
        for k, value in found.items():
            assert value == bytes([int.from_bytes(k, "big") // 16 % 256]) * 3000


# --- both ------------------------------------------------------------------------------------------------


def test_what_one_lacks_comes_from_the_other(tmp_path):
    cache = Cache("things", 10**6)
    cache.put({b"a": b"1"}, None)
    assert cache.get([b"a", b"b"], tmp_path) == {b"a": b"1"}
    cache.memory.clear()
    assert cache.get([b"a"], None) == {}
    assert cache.get([b"a"], tmp_path) == {b"a": b"1"}
    assert cache.get([b"a"], None) == {b"a": b"1"}
