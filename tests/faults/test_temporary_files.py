"""The file that is written before it takes the place of another: who may read it, what is left of
it, and what errors say."""

import errno
import os
import stat
import subprocess
import sys
import time

import pytest

import backprop as bp
from backprop import atomic

pytestmark = pytest.mark.skipif(os.name == "nt", reason="files have no such modes or locks there")

LEFT = ".backprop-0123456789abcdef.tmp"


def small():
    return bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])


def temporaries(folder):
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_a_private_file_stays_private_while_it_is_written(mode, tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(b"old")
    path.chmod(mode)

    with atomic.replacing(path) as file:
        (name,) = temporaries(tmp_path)
        while_written = stat.S_IMODE((tmp_path / name).stat().st_mode)
        file.write(b"new")

    assert while_written & ~mode == 0
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


def test_a_new_file_has_the_mode_that_the_user_gives_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        small().save(tmp_path / "m.npz")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "m.npz").stat().st_mode) == 0o640


def test_what_a_killed_writer_left_is_swept_and_what_is_being_written_is_not(tmp_path):
    script = (
        "import os, signal; from backprop import atomic\n"
        f"with atomic.replacing({str(tmp_path / 'dead.npz')!r}) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=os.getcwd())
    (dead,) = temporaries(tmp_path)

    with atomic.replacing(tmp_path / "other.npz") as file:
        file.write(b"half")
        assert dead not in temporaries(tmp_path)
        small().save(tmp_path / "m.npz")
        assert len(temporaries(tmp_path)) == 1

    assert sorted(os.listdir(tmp_path)) == ["m.npz", "other.npz"]


def test_after_a_day_a_temporary_file_goes_even_where_locks_do_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "fcntl", None)
    old, new = tmp_path / LEFT, tmp_path / LEFT.replace("0", "1")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * atomic.DAY,) * 2)

    small().save(tmp_path / "m.npz")

    assert temporaries(tmp_path) == [new.name]


def test_files_and_links_of_others_are_not_swept(tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(b"mine")
    for name in ("notes.tmp", ".backprop-notes.tmp", f"{LEFT}.npz"):
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / LEFT).symlink_to(kept)

    small().save(tmp_path / "m.npz")

    assert len(os.listdir(tmp_path)) == 6
    assert kept.read_bytes() == b"mine"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_errors_name_the_file_and_not_the_one_that_takes_its_place(
    call, number, tmp_path, monkeypatch
):
    path = tmp_path / "m.npz"
    small().save(path)
    before = path.read_bytes()

    def fails(name, *args, **kwargs):
        raise OSError(number, os.strerror(number), *([name] if call in ("open", "replace") else []))

    if call != "write":
        monkeypatch.setattr(atomic.os, call, fails)
        with pytest.raises(OSError) as caught:
            small().save(path)
    else:
        with pytest.raises(OSError) as caught, atomic.replacing(path):
            fails(None)
    monkeypatch.undo()

    assert caught.value.errno == number
    assert caught.value.filename == str(path)
    assert caught.value.filename2 is None
    assert ".tmp" not in str(caught.value)
    assert path.read_bytes() == before
    assert temporaries(tmp_path) == []


def test_what_is_being_written_stays_whatever_the_clocks_say(tmp_path):
    with atomic.replacing(tmp_path / "m.npz") as file:
        file.write(b"whole")
        os.utime(file.name, (time.time() - 2 * atomic.DAY,) * 2)
        small().save(tmp_path / "other.npz")

    assert (tmp_path / "m.npz").read_bytes() == b"whole"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["m.npz", "m.keras", "m.weights.h5"])
def test_nothing_takes_the_place_of_a_pipe_or_a_folder(name, tmp_path):
    """A device is such a place too: one that went would be missed by the whole machine."""
    if not name.endswith(".npz"):
        pytest.importorskip("h5py")
    pipe, link = tmp_path / "pipe" / name, tmp_path / "link" / name
    for folder in (pipe.parent, link.parent, tmp_path / name):
        folder.mkdir()
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    model = small()
    save = model.save_weights if name.endswith(".h5") else model.save

    for path, told in (
        (pipe, "pipe is there"),
        (link, "pipe is there"),
        (tmp_path / name, "Is a directory"),
    ):
        with pytest.raises(OSError, match=f"{told}.*; name a file.*{name}"):
            save(path)

    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    assert not temporaries(tmp_path)
