"""Files on disk put where Keras keeps them: checked, and unpacked without trusting them."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from backprop import checks
from backprop.arguments import checked
from backprop.checks import PathLike
from backprop.datasets.cache import keras_home

WHO = "get_file()"
CHUNK = 1 << 20  # bytes that are read at a time
GROWTH = 100  # times its own size that an archive may become, beside
ROOM = 1 << 28  # so many bytes
MEMBERS = 1_000_000


@checked
def get_file(
    fname: PathLike | None = None,
    origin: PathLike | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: PathLike = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | None = "auto",
    cache_dir: PathLike | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file in Keras' cache, into which one on disk is copied. Nothing is downloaded.

    A file that is in the cache under its name is used, wherever `origin` points.

    Parameters
    ----------
    fname : str or path-like, optional
        The name in the cache. Default: the last part of `origin`.
    origin : str or path-like
        A path or a ``file://`` URL, which is copied where the cache has no such file. Of another
        URL only the name is read.
    untar : bool, default False
        Keras' older ``extract=True, archive_format="tar"``.
    md5_hash : str, optional
        Keras' older ``file_hash`` with ``hash_algorithm="md5"``.
    file_hash : str, optional
        What the file's hash must be, in hexadecimal digits.
    cache_subdir : str or path-like, default "datasets"
        Below `cache_dir`, or absolute.
    hash_algorithm : {"auto", "sha256", "md5"}
        "auto" tells by the number of digits.
    extract : bool, default False
        Unpack the archive into a directory beside it, and return that.
    archive_format : {"auto", "tar", "zip"}
        "tar" is plain, or compressed by gzip, bzip2 or xz.
    cache_dir : str or path-like, optional
        Default: the environment's ``KERAS_HOME``, else ``~/.keras``.
    force_download : bool, default False
        Copy again, although it is in the cache.

    Returns
    -------
    str
        The path of the file, or of the directory of its contents.

    Raises
    ------
    FileNotFoundError
        If the cache has no such file and `origin` is none on this disk: it says where to put it.
    ValueError
        If the hash is another; if an archive is damaged or holds what is not unpacked: names that
        lead out of it, links, devices, more than a million files, or more than 100 times its own
        size and 256 MB, or than the disk has room for. Nothing of it is kept then.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from backprop import utils
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("1,2")
    >>> path = utils.get_file(origin=folder / "a.csv", cache_dir=folder / "cache")
    >>> pathlib.Path(path).read_text()
    '1,2'
    """
    if origin is None:
        raise ValueError(f"{WHO} expects origin, the path or the URL of a file")
    checks.one_of(hash_algorithm, ("auto", "sha256", "md5"), WHO, "hash_algorithm")
    checks.one_of(archive_format, ("auto", "tar", "zip", None), WHO, "archive_format")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    name = file_name(fname, origin)
    root = keras_home() if cache_dir is None else Path(cache_dir).expanduser()
    folder = root / cache_subdir
    unpack = extract or untar
    target, unpacked = places(folder, name, bool(fname), unpack)

    wrong = "" if file_hash is None else differs(target, file_hash, hash_algorithm)
    if force_download or not target.is_file() or wrong:
        source = on_disk(origin)
        if source is None:
            raise not_here(origin, target, wrong, force_download)
        copy_checked(source, target, file_hash, hash_algorithm)
    if not unpack:
        return str(target)
    extract_archive(target, unpacked, "tar" if untar else archive_format)
    return str(unpacked)


def file_name(fname: Any, origin: str) -> str:
    """The name of the file in the cache, without a path."""
    name = os.fspath(fname) if fname else os.path.basename(urlsplit(origin).path)
    if not name or name in (".", "..") or os.sep in name or "\0" in name:
        raise ValueError(
            f"{WHO} expects fname to be the name of a file, without directories, got {fname!r} for "
            f"the origin {origin!r}; directories go into cache_dir and cache_subdir"
        )
    return name


def places(folder: Path, name: str, named: bool, unpack: bool) -> tuple[Path, Path]:
    """Where a file, and what it is unpacked into, are in the cache: Keras' names."""
    if not unpack:
        return folder / name, folder
    if named and "." in name:
        return folder / name, folder / f"{name[: name.find('.')]}_extracted"
    return folder / f"{name}_archive", folder / name


def on_disk(origin: str) -> Path | None:
    """The file that `origin` is, None for one that is elsewhere."""
    url = urlsplit(origin)
    if len(url.scheme) < 2:  # none, or a drive
        path = Path(origin).expanduser()
    elif url.scheme == "file" and url.netloc in ("", "localhost"):
        from urllib.request import url2pathname  # here, as it imports much

        path = Path(url2pathname(url.path))
    else:
        return None
    if not path.is_file():
        raise FileNotFoundError(f"{WHO}: the origin {origin} is no file on this disk")
    return path


def not_here(origin: str, target: Path, wrong: str, forced: bool) -> Exception:
    """The error for a file that would have to be downloaded."""
    if forced:
        return ValueError(
            f"{WHO} downloads nothing, so force_download=True needs an origin on this disk, got "
            f"{origin}: leave it out to use {target}"
        )
    kind = ValueError if wrong else FileNotFoundError
    why = wrong if target.is_file() else f"there is no {target}"
    return kind(f"{WHO} downloads nothing, and {why}: get {origin} and put it there")


# ---------------------------------------------------------------------------------- copies, hashes


def differs(path: Path, file_hash: str, algorithm: str, shown: Path | None = None) -> str:
    """In what the hash of a file differs from the one expected; nothing where it does not, or where
    there is no file. The file is `shown` under another name."""
    import hashlib  # here, as few programs need it

    if not path.is_file():
        return ""
    sha256 = algorithm == "sha256" or (algorithm == "auto" and len(file_hash) == 64)
    algorithm = "sha256" if sha256 else "md5"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found == file_hash.lower():
        return ""
    return f"the {algorithm} of {shown or path} is {found} and should be {file_hash}"


def copy_checked(source: Path, target: Path, file_hash: str | None, algorithm: str) -> None:
    """Put a copy where `target` says, as a whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
        copy = Path(beside, target.name)
        shutil.copyfile(source, copy)
        wrong = "" if file_hash is None else differs(copy, file_hash, algorithm, source)
        if wrong:
            raise ValueError(f"{WHO}: {wrong}")
        os.replace(copy, target)


# ---------------------------------------------------------------------------------------- archives


def extract_archive(path: Path, into: Path, archive_format: str | None) -> None:
    """Unpack an archive of plain files and directories, beside the place first, so that nothing is
    there of one that cannot be unpacked as a whole."""
    import tarfile
    import zipfile

    formats: dict[str, tuple[Callable, Callable]] = {
        "tar": (tarfile.is_tarfile, tar_members),
        "zip": (zipfile.is_zipfile, zip_members),
    }
    tried = ("tar", "zip") if archive_format == "auto" else filter(None, (archive_format,))
    members = next((read for kind in tried for fits, read in [formats[kind]] if fits(path)), None)
    if members is None:
        raise ValueError(
            f"{WHO} cannot unpack {path}: it is no archive of archive_format={archive_format!r}"
        )
    limit = min(path.stat().st_size * GROWTH + ROOM, shutil.disk_usage(path.parent).free)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{into.name}.") as beside:
        contents = Path(beside, into.name)
        contents.mkdir()
        with damaged(path):
            write_members(members(path), contents, limit, path)
        shutil.copytree(contents, into, dirs_exist_ok=True, copy_function=os.replace)


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """What the readers of archives raise, in one sentence."""
    import lzma
    import tarfile
    import zipfile

    broken = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
    try:
        yield
    except (*broken, EOFError, RuntimeError, NotImplementedError, UnicodeDecodeError) as error:
        raise ValueError(f"{WHO} cannot unpack {path}: {error}") from error


Member = tuple[str, bool, str, int, Callable[[], IO[bytes]]]  # name, directory?, kind, size, open


def tar_members(path: Path) -> Iterator[Member]:
    import tarfile

    with tarfile.open(path) as archive:
        for info in archive:
            kind = "" if info.isreg() or info.isdir() else "a link" if info.islnk() else "a device"
            kind = "a link" if info.issym() else kind
            yield (
                info.name,
                info.isdir(),
                kind,
                info.size,
                lambda info=info: archive.extractfile(info),  # type: ignore[return-value]
            )


def zip_members(path: Path) -> Iterator[Member]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            plain = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
            kind = "" if plain else "a link" if stat.S_ISLNK(mode) else "a device"
            yield (
                info.filename,
                info.is_dir(),
                kind,
                info.file_size,
                lambda info=info: archive.open(info),
            )


def write_members(members: Iterator[Member], into: Path, limit: int, path: Path) -> None:
    """Write the files of an archive; raise before one that should not be there."""
    total = 0
    for number, (name, is_folder, kind, size, opened) in enumerate(members):
        total += max(size, 0)
        refused = kind or outside(name)
        if refused:
            raise ValueError(f"{WHO} does not unpack {path}: {name!r} in it is {refused}")
        if total > limit or number >= MEMBERS:
            raise ValueError(
                f"{WHO} does not unpack {path}: it holds more than {limit:,} bytes or {MEMBERS:,} "
                "files; unpack it by hand if you trust it"
            )
        place = into / PurePosixPath(name)
        if is_folder:
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        with opened() as file, place.open("wb") as copy:
            write_bounded(file, copy, size, name)


def outside(name: str) -> str:
    """Why a name may not be in an archive; nothing where it may."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts:
        return "a path that leads out of it"
    if "\\" in name or "\0" in name or name[1:2] == ":":
        return "a name that is a path on another system"
    return ""


def write_bounded(file: IO[bytes], copy: IO[bytes], size: int, name: str) -> None:
    """Copy a file that must be as long as its archive says."""
    left = size
    while chunk := file.read(CHUNK):
        left -= len(chunk)
        if left < 0:
            break
        copy.write(chunk)
    if left:
        raise EOFError(f"{name!r} is not of the {size} bytes that are announced")
