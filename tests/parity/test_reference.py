"""The reference is independent: it knows torch and the class that owns weights."""

import ast
import sys
from pathlib import Path
from types import ModuleType


def test_the_reference_imports_torch_and_the_pyramid_s_class_alone(
    reference: ModuleType,
) -> None:
    tree = ast.parse(Path(str(reference.__file__)).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    others = {
        name for name in found if name.split(".")[0] not in sys.stdlib_module_names
    }
    ours = {name for name in others if name.split(".")[0] != "torch"}
    assert ours == {"fpnbench.detect.pyramid.FeaturePyramid"}
