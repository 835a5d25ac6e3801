"""Where Keras keeps files of data, and where they are looked for here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from backprop.checks import as_path


def keras_home() -> Path:
    """Keras' own directory: the environment's ``KERAS_HOME``, else ``~/.keras``.

    Where the home directory cannot be written to, ``.keras`` among the temporary files, as in
    Keras.
    """
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path("~").expanduser()
    return (home if os.access(home, os.W_OK) else Path(tempfile.gettempdir())) / ".keras"


def find(
    who: str, path: Any, names: tuple[str, ...], folders: tuple[str, ...] = (), where: str = ""
) -> Path:
    """The first of some files that is there.

    Parameters
    ----------
    who : str
        For the error.
    path : str, path-like or None
        One of them, or a directory in which one of `names` is: absolute, or in Keras' directory of
        data, or in the present one. None is Keras' directory.
    names : tuple of str
        What they are usually called.
    folders : tuple of str, optional
        Directories below Keras' in which they usually are.
    where : str, optional
        Where such a file is to be had.

    Raises
    ------
    FileNotFoundError
        If none is there; it says what was looked for.
    """
    cache = keras_home() / "datasets"
    if path is None:
        places = [cache, *(cache / folder for folder in folders)]
        tried = [place / name for place in places for name in names]
    else:
        given = Path(as_path(path, who, "path")).expanduser()
        places = [given] if given.is_absolute() else [cache / given, Path.cwd() / given]
        tried = [p for place in places for p in (*(place / name for name in names), place)]
    found = next((p for p in tried if p.is_file()), None)
    if found is None:
        shown = ", ".join(str(p) for p in tried)
        raise FileNotFoundError(
            f"{who} downloads nothing and finds no file: it looked for {shown}"
            + (f". {where}" if where else "")
        )
    return found
