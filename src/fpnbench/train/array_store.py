"""Keeps arrays by level in a folder: complete or not there at all.

A folder is filled under another name and renamed when complete, under a lock: a kill
leaves no half folder, and of two processes the second waits and reads. After a kill the
next one goes on behind the last batch that was written whole.
"""

import contextlib
import fcntl
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from fpnbench.graph.errors import UserError

IN_MEMORY_BYTES = 2**30  # larger folders are read from disk, batch by batch

Arrays = dict[int, NDArray[np.generic]]
Batches = Callable[[int], Iterator[Arrays]]
"""Computes some rows of every level at a time, from the given row on; it is asked to go
on only where one of its own batches began."""
Progress = Callable[[int, int], None]


def stored(folder: Path, total: int, batches: Batches, progress: Progress) -> Arrays:
    """Return the arrays of a folder, computed first if it is not there.

    Args:
        folder: its name must determine what is in it.
        total: length of the arrays.
        batches: computes them.
        progress: told (rows done, `total`) while computing.

    Returns:
        By level, in memory or mapped from disk.

    Raises:
        UserError: the folder cannot be written (full disk, no rights) or read.
    """
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _lock(folder.with_suffix(".lock")):
                if not folder.is_dir():
                    _fill(folder, total, batches, progress)
        return _load(folder)
    except OSError as error:
        raise UserError(
            f"the cache {folder} cannot be written or read: {error.strerror or error}"
        ) from error
    except (ValueError, EOFError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"the cache {folder} is damaged ({error}): delete it, it is made anew"
        ) from error


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that the system frees when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(folder: Path, total: int, batches: Batches, progress: Progress) -> None:
    """Write all batches, then give the folder its name.

    What an error leaves is removed (the disk may be full), what a kill or an interrupt
    leaves is gone on with.
    """
    part = folder.with_suffix(".part")
    mark = part / "rows"  # how many are on the disk whole, at every level
    if not mark.is_file():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    try:
        done = int(mark.read_text()) if mark.is_file() else 0
        with contextlib.ExitStack() as stack:
            files = {
                level: stack.enter_context(_behind(path, done))
                for level, path in _paths(part).items()
            }
            progress(done, total)
            for arrays in batches(done):
                for level, array in arrays.items():
                    if level not in files:
                        path = part / f"P{level}.npy"
                        files[level] = stack.enter_context(path.open("wb"))
                        _write_header(files[level], array, total)
                    # No memory map: on a full disk that would kill the process.
                    files[level].write(np.ascontiguousarray(array).tobytes())
                for file in files.values():
                    file.flush()
                    os.fsync(file.fileno())
                done += len(next(iter(arrays.values())))
                mark.with_suffix(".new").write_text(str(done))
                mark.with_suffix(".new").replace(mark)
                progress(done, total)
        part.rename(folder)
    except Exception:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _behind(path: Path, rows: int) -> IO[bytes]:
    """Open a half-written file behind its first `rows` rows; what follows is cut."""
    file = path.open("r+b")
    np.lib.format.read_magic(file)
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    file.seek(file.tell() + rows * math.prod(shape[1:]) * kind.itemsize)
    file.truncate()
    return file


def _write_header(file: IO[bytes], array: NDArray[np.generic], total: int) -> None:
    """Begin a .npy file of `total` rows like those of `array`."""
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": (total, *array.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)


def _paths(folder: Path) -> dict[int, Path]:
    return {int(path.stem[1:]): path for path in sorted(folder.glob("P*.npy"))}


def _load(folder: Path) -> Arrays:
    paths = _paths(folder)
    if not paths:
        raise ValueError("no arrays in it")
    size = sum(path.stat().st_size for path in paths.values())
    mode: Literal["r"] | None = None if size < IN_MEMORY_BYTES else "r"
    return {level: np.load(path, mmap_mode=mode) for level, path in paths.items()}
