"""Keeps arrays by level in a folder: complete or not there at all.

A folder is filled under another name and renamed when complete, under a lock: a kill
leaves no half folder, and of two processes the second waits and reads.
"""

import contextlib
import fcntl
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
Progress = Callable[[int, int], None]


def stored(
    folder: Path,
    total: int,
    batches: Callable[[], Iterator[Arrays]],
    progress: Progress,
) -> Arrays:
    """Return the arrays of a folder, computed first if it is not there.

    Args:
        folder: its name must determine what is in it.
        total: length of the arrays.
        batches: computes them, some rows of every level at a time.
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
                    _fill(folder, total, batches(), progress)
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


def _fill(
    folder: Path, total: int, batches: Iterator[Arrays], progress: Progress
) -> None:
    """Write all batches, then give the folder its name."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    part.mkdir()
    try:
        with contextlib.ExitStack() as stack:
            files: dict[int, IO[bytes]] = {}
            done = 0
            progress(done, total)
            for arrays in batches:
                for level, array in arrays.items():
                    if level not in files:
                        path = part / f"P{level}.npy"
                        files[level] = stack.enter_context(path.open("wb"))
                        _write_header(files[level], array, total)
                    # No memory map: on a full disk that would kill the process.
                    files[level].write(np.ascontiguousarray(array).tobytes())
                done += len(next(iter(arrays.values())))
                progress(done, total)
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write_header(file: IO[bytes], array: NDArray[np.generic], total: int) -> None:
    """Begin a .npy file of `total` rows like those of `array`."""
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": (total, *array.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)


def _load(folder: Path) -> Arrays:
    paths = {int(path.stem[1:]): path for path in sorted(folder.glob("P*.npy"))}
    if not paths:
        raise ValueError("no arrays in it")
    size = sum(path.stat().st_size for path in paths.values())
    mode: Literal["r"] | None = None if size < IN_MEMORY_BYTES else "r"
    return {level: np.load(path, mmap_mode=mode) for level, path in paths.items()}
