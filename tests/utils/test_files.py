"""Files put into the cache: where Keras puts them, checked, and unpacked without trust."""

import hashlib
import io
import os
import stat
import tarfile
import zipfile

import pytest

from backprop import utils
from backprop.utils import files

TEXT = b"1,2\n3,4\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "datasets"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a b.csv"
    path.write_bytes(TEXT)
    return path


def tar(path, *given, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, contents in given:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if contents is not None:
                info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents or b""))
    return path


def zipped(path, *given):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in given:
            archive.writestr(name, contents)
    return path


def tar_info(name, kind, **changed):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in changed.items():
        setattr(info, key, value)
    return info


def zip_link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def tree(folder):
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.endswith("_archive"))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


# ------------------------------------------------------------------------------------------ copies


@pytest.mark.parametrize("origin", [str, lambda p: p, lambda p: p.as_uri()])
def test_a_file_on_disk_is_copied_under_its_name(cache, source, origin):
    name = "a%20b.csv" if origin(source) == source.as_uri() else "a b.csv"

    path = utils.get_file(origin=origin(source))

    assert path == str(cache / name)
    assert (cache / name).read_bytes() == TEXT
    assert os.listdir(cache) == [name]


def test_the_names_are_those_of_keras(source, tmp_path):
    keras = pytest.importorskip("keras", reason="parity needs Keras")
    tar(tmp_path / "x.tar.gz", ("d/a.txt", b"a"))
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    for arguments in (
        {"origin": source.as_uri()},
        {"fname": "named", "origin": source.as_uri(), "cache_subdir": "else/where"},
        {"origin": (tmp_path / "x.tar.gz").as_uri(), "extract": True},
        {"fname": "y.tgz", "origin": (tmp_path / "x.tar.gz").as_uri(), "extract": True},
        {"fname": "y", "origin": (tmp_path / "x.tar.gz").as_uri(), "untar": True},
    ):
        ours = utils.get_file(**arguments, cache_dir=tmp_path / "ours")
        theirs = keras.utils.get_file(**arguments, cache_dir=str(tmp_path / "theirs"))

        assert os.path.relpath(ours, tmp_path / "ours") == os.path.relpath(
            theirs, tmp_path / "theirs"
        )

    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs")


def test_what_is_in_the_cache_is_used_wherever_it_came_from(cache, source):
    cache.mkdir(parents=True)
    (cache / "known.csv").write_bytes(b"known")

    assert utils.get_file(origin="https://example.org/known.csv?x=1") == str(cache / "known.csv")
    assert utils.get_file("known.csv", source) == str(cache / "known.csv")
    assert (cache / "known.csv").read_bytes() == b"known"

    utils.get_file("known.csv", source, force_download=True)
    assert (cache / "known.csv").read_bytes() == TEXT


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_hash": hashlib.sha256(TEXT).hexdigest()},
        {"file_hash": hashlib.sha256(TEXT).hexdigest().upper(), "hash_algorithm": "sha256"},
        {"file_hash": hashlib.md5(TEXT).hexdigest()},
        {"md5_hash": hashlib.md5(TEXT).hexdigest()},
    ],
)
def test_a_hash_is_checked(cache, source, arguments):
    utils.get_file("a.csv", source, **arguments)
    (cache / "a.csv").write_bytes(b"old")
    utils.get_file("a.csv", source, **arguments)  # what is there is another, so it is copied anew

    assert (cache / "a.csv").read_bytes() == TEXT

    source.write_bytes(b"changed")
    (cache / "a.csv").write_bytes(b"old")
    with pytest.raises(ValueError, match=r"of .*a b\.csv is .* and should be"):
        utils.get_file("a.csv", source, **arguments)
    assert (cache / "a.csv").read_bytes() == b"old"
    assert os.listdir(cache) == ["a.csv"]


def test_nothing_is_downloaded(cache):
    url = "https://example.org/data.npz"

    with pytest.raises(FileNotFoundError, match=r"downloads nothing, and there is no .*data\.npz"):
        utils.get_file(origin=url)
    assert not cache.exists()

    cache.mkdir(parents=True)
    (cache / "data.npz").write_bytes(b"x")
    with pytest.raises(
        ValueError, match=r"should be 00: get https://example\.org/data\.npz and put"
    ):
        utils.get_file(origin=url, file_hash="00")
    with pytest.raises(ValueError, match="force_download=True needs an origin on this disk"):
        utils.get_file(origin=url, force_download=True)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "expects origin"),
        ({"origin": "https://example.org/"}, ValueError, "name of a file"),
        ({"origin": "https://example.org/.."}, ValueError, "name of a file"),
        ({"fname": "a/b", "origin": "x"}, ValueError, "without directories"),
        ({"fname": "..", "origin": "x"}, ValueError, "without directories"),
        ({"origin": "/no/such/file"}, FileNotFoundError, "is no file on this disk"),
        ({"origin": "file://host/x"}, FileNotFoundError, "downloads nothing"),
        ({"origin": "x", "hash_algorithm": "sha1"}, ValueError, "hash_algorithm"),
        ({"origin": "x", "archive_format": "rar"}, ValueError, "archive_format"),
    ],
)
def test_what_is_wrong_is_said(cache, arguments, error, words):
    with pytest.raises(error, match=words):
        utils.get_file(**arguments)


# ---------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_archives_are_unpacked(cache, tmp_path, mode):
    given = [("d/a.txt", b"a"), ("./b.txt", b"b" * 70_000), ("d/e/empty.txt", b"")]
    if mode == "zip":
        path = zipped(tmp_path / "x", *given)
    else:
        path = tar(
            tmp_path / "x", (tar_info("d", tarfile.DIRTYPE, mode=0o755), None), *given, mode=mode
        )

    folder = utils.get_file(origin=path, extract=True)

    assert folder == str(cache / "x")
    assert tree(cache / "x") == {"d/a.txt": b"a", "b.txt": b"b" * 70_000, "d/e/empty.txt": b""}
    assert sorted(os.listdir(cache)) == ["x", "x_archive"]
    assert os.stat(folder).st_mode & 0o777 == os.stat(cache).st_mode & 0o777


def test_an_archive_is_unpacked_over_what_is_there(cache, tmp_path):
    path = tar(tmp_path / "x", ("a.txt", b"new"))
    (cache / "x").mkdir(parents=True)
    (cache / "x" / "a.txt").write_bytes(b"old")
    (cache / "x" / "own.txt").write_bytes(b"own")

    utils.get_file(origin=path, extract=True)

    assert tree(cache / "x") == {"a.txt": b"new", "own.txt": b"own"}


EVIL_TARS = {
    "absolute": (("/etc/x", b"x"), "leads out"),
    "upwards": (("a/../../x", b"x"), "leads out"),
    "windows": (("C:\\x", b"x"), "another system"),
    "symlink": ((tar_info("x", tarfile.SYMTYPE, linkname="/etc"), None), "a link"),
    "inner symlink": ((tar_info("x", tarfile.SYMTYPE, linkname="good.txt"), None), "a link"),
    "hard link": ((tar_info("x", tarfile.LNKTYPE, linkname="good.txt"), None), "a link"),
    "device": ((tar_info("x", tarfile.CHRTYPE, devmajor=1, devminor=3), None), "a device"),
    "fifo": ((tar_info("x", tarfile.FIFOTYPE), None), "a device"),
}
EVIL_ZIPS = {
    "absolute": (("/etc/x", b"x"), "leads out"),
    "upwards": (("../x", b"x"), "leads out"),
    "drive": (("C:/x", b"x"), "another system"),
    "symlink": ((zip_link("x"), b"/etc/passwd"), "a link"),
}


@pytest.mark.parametrize(
    ("make", "evil", "words"),
    [
        *(pytest.param(tar, *case, id=f"tar {name}") for name, case in EVIL_TARS.items()),
        *(pytest.param(zipped, *case, id=f"zip {name}") for name, case in EVIL_ZIPS.items()),
    ],
)
def test_an_archive_that_reaches_out_is_not_unpacked(cache, tmp_path, make, evil, words):
    path = make(tmp_path / "x", ("good.txt", b"good"), evil)

    with pytest.raises(ValueError, match=f"does not unpack.*{words}"):
        utils.get_file(origin=path, extract=True)

    assert os.listdir(cache) == ["x_archive"]


@pytest.mark.parametrize("make", [tar, zipped])
def test_an_archive_that_becomes_too_large_is_not_unpacked(cache, tmp_path, make, monkeypatch):
    monkeypatch.setattr(files, "ROOM", 1000)
    path = make(tmp_path / "x", ("zeros.bin", bytes(1_000_000)))
    assert path.stat().st_size * files.GROWTH < 1_000_000

    with pytest.raises(ValueError, match="holds more than"):
        utils.get_file(origin=path, extract=True)

    assert os.listdir(cache) == ["x_archive"]


def test_an_archive_of_too_many_files_is_not_unpacked(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MEMBERS", 3)

    with pytest.raises(ValueError, match="or 3 files"):
        utils.get_file(
            origin=zipped(tmp_path / "x", *((str(i), b"") for i in range(4))), extract=True
        )


def test_a_size_that_a_zip_file_lies_about_is_noticed(cache, tmp_path):
    path = zipped(tmp_path / "x", ("zeros.bin", bytes(5000)))
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(signature) + at
        data[place : place + 4] = (7).to_bytes(4, "little")
    path.write_bytes(data)

    with pytest.raises(ValueError, match="cannot unpack"):
        utils.get_file(origin=path, extract=True)

    assert os.listdir(cache) == ["x_archive"]


@pytest.mark.parametrize("make", [tar, zipped])
def test_a_damaged_archive_is_not_unpacked(cache, tmp_path, make):
    path = make(tmp_path / "x", ("a.bin", os.urandom(4000)), ("b.bin", os.urandom(4000)))
    data = path.read_bytes()
    path.write_bytes(data[:3000] if make is tar else data[:3000] + bytes(9) + data[3009:])

    with pytest.raises(ValueError, match="cannot unpack"):
        utils.get_file(origin=path, extract=True)

    assert os.listdir(cache) == ["x_archive"]


@pytest.mark.parametrize("how", [{}, {"archive_format": "tar"}, {"archive_format": None}])
def test_what_is_no_archive_of_the_format_is_said(cache, tmp_path, how):
    path = zipped(tmp_path / "x", ("a.txt", b"a")) if how else tmp_path / "x"
    if not how:
        path.write_bytes(b"words")

    with pytest.raises(ValueError, match="it is no archive"):
        utils.get_file(origin=path, extract=True, **how)
