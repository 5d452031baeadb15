"""The architecture as a test: who may import whom, how long a file may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EVERY_LAYER = ("graph", "detect", "train", "latency", "search", "report", "cli")
# layer of src/fpnbench -> the other layers it may import
MAY_IMPORT = {
    "graph": (),
    "detect": ("graph",),
    "train": ("graph", "detect"),
    "latency": ("graph", "detect"),
    "search": ("graph",),
    "report": ("graph", "search"),
    "cli": EVERY_LAYER,
    "__init__.py": ("cli",),  # load_pyramid, when it is asked for
}
LINES_OF_CORE, LINES_OF_EDGE, LINES_A_FILE, LINES_A_FUNCTION = 9000, 7000, 300, 50
EDGE = ("cli", "report")  # commands and pictures: read one at a time, if at all

FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("src/fpnbench", "spaces", "searchers")
    for path in (ROOT / folder).rglob("*.py")
)
every_file = pytest.mark.parametrize("path", [*FILES, Path("run.py")], ids=str)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module, or module.name, of a file with its line, deep ones too."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                assert alias.name != "*", f"{path}:{node.lineno}: star import"
                yield f"{node.module}.{alias.name}", node.lineno


def allowed(path: Path, module: str) -> bool:
    """Tell whether the design's table lets a file import a module."""
    first, *rest = module.split(".")
    if first in sys.stdlib_module_names:
        return True
    if first in ("hydra", "omegaconf"):
        return path.name == "run.py" or path.parts[:3] == ("src", "fpnbench", "cli")
    if first == "nni":
        return path == Path("searchers/supernet_nni.py")
    if path.parts[0] == "spaces":
        # A space that is a folder may import its own files.
        own = len(path.parts) > 2 and [first, *rest][:2] == list(path.parts[:2])
        return own or (first == "fpnbench" and rest[0] == "graph")
    if path.parts[0] == "searchers":
        layers = ["graph", "search"]
        layers += ["detect", "train"] * path.name.startswith("supernet")
        return first != "spaces" and (first != "fpnbench" or rest[0] in layers)
    if path.name == "run.py":
        return first not in ("spaces", "searchers")
    layer = path.parts[2]
    if first == "fpnbench":
        return rest[0] in (layer, *MAY_IMPORT[layer])
    return layer != "graph" and first not in ("spaces", "searchers")


@every_file
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    wrong = [f"{path}:{n}: {m}" for m, n in imports(path) if not allowed(path, m)]
    assert not wrong


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("src/fpnbench/graph/ops.py", "torch"),
        ("src/fpnbench/graph/ops.py", "fpnbench.search.trial"),
        ("src/fpnbench/detect/pyramid.py", "fpnbench.train.data"),
        ("src/fpnbench/train/data.py", "hydra"),
        ("src/fpnbench/search/loop.py", "fpnbench.report.table"),
        ("src/fpnbench/report/table.py", "fpnbench.train.data"),
        ("src/fpnbench/cli/search.py", "spaces.mnasfpn"),
        ("src/fpnbench/cli/search.py", "nni.nas"),
        ("spaces/mnasfpn.py", "fpnbench.search.trial"),
        ("spaces/mnasfpn.py", "spaces.nasfpn"),
        ("spaces/mnasfpn.py", "numpy"),
        ("spaces/handcrafted/fpn.py", "spaces.mnasfpn"),
        ("spaces/handcrafted/fpn.py", "fpnbench.search.trial"),
        ("searchers/ppo.py", "spaces.mnasfpn"),
        ("searchers/ppo.py", "fpnbench.train.data"),
        ("run.py", "searchers.ppo"),
    ],
)
def test_the_table_forbids(path: str, module: str) -> None:
    assert not allowed(Path(path), module)


@every_file
def test_a_file_is_short_and_so_are_its_functions(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert text.count("\n") < LINES_A_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            # A docstring that explains many arguments makes nothing harder to read.
            lines -= len((ast.get_docstring(node) or "").splitlines())
            assert lines <= LINES_A_FUNCTION, f"{path}:{node.lineno}: {node.name}"


def code_lines(text: str) -> int:
    """Count the lines that hold code: no blank ones, comments or docstrings."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            told.update(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(
        n not in told and not line.strip().startswith("#") and bool(line.strip())
        for n, line in lines
    )


def test_code_is_counted_without_what_explains_it() -> None:
    text = '"""A.\n\nB.\n"""\n\n# why\nx = 1\n\ndef f():\n    """D."""\n    return x\n'
    assert code_lines(text) == 3


def test_the_whole_can_be_read() -> None:
    total = {True: 0, False: 0}
    for path in FILES:
        edge = path.parts[0] == "src" and path.parts[2] in EDGE
        total[edge] += code_lines((ROOT / path).read_text())
    assert 0 < total[False] < LINES_OF_CORE
    assert 0 < total[True] < LINES_OF_EDGE


def tracked() -> list[Path]:
    """Every file that git knows."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if (ROOT / name).is_file()]


def test_nothing_names_a_folder_of_one_machine_or_edits_the_path() -> None:
    # Put together here, so that this file does not find itself.
    folders = [f"/{name}/" for name in ("home", "root", "Users", "work")]
    wrong = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # pictures
        banned = folders + ["sys" + ".path"] * (path.suffix == ".py")
        wrong += [
            f"{path.relative_to(ROOT)}: {word}" for word in banned if word in text
        ]
    assert not wrong
