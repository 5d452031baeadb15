import errno
import json
from pathlib import Path

import pytest

from fpnbench.cli.folder import flat, only_process, write_json, write_text, write_whole
from fpnbench.graph.errors import UserError


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def half(part: Path) -> None:
        part.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"a\.txt cannot be written: No space left"):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_lists_of_numbers_stand_on_one_line(tmp_path: Path) -> None:
    value = {"choices": [1, -2, 3.5e-7], "names": ["a", "b"], "none": [], "deep": [[1]]}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == value
    assert '"choices": [1, -2, 3.5e-07]' in text


def test_flat_keys_are_dotted() -> None:
    nested = {"a": {"b": 1, "c": {"d": [2]}}, "e": None}
    assert flat(nested) == {"a.b": 1, "a.c.d": [2], "e": None}


def test_a_folder_is_free_again_after_use(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            only_process(tmp_path),
            pytest.raises(UserError, match="another process"),
            only_process(tmp_path),
        ):
            pass
