"""`mode=gallery`, `mode=draw detail=ops`, and the page that is committed."""

import json
import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from omegaconf import OmegaConf

from fpnbench.cli.build import CONF
from fpnbench.graph.genotype import from_json

Cli = Callable[..., tuple[int, str, str]]
SVG = "{http://www.w3.org/2000/svg}"
COMMITTED = CONF.parent / "docs" / "gallery"
COMMAND = "python run.py mode=gallery out=docs/gallery"
CELLS = sorted(path.stem for path in (CONF / "cell").glob("*.json"))


@pytest.fixture(scope="module")
def page() -> str:
    return (COMMITTED / "README.md").read_text()


@pytest.mark.parametrize("name", CELLS)
def test_the_committed_page_shows_every_cell(page, name):
    section = re.search(rf"^### {name}$(.*?)(^##|\Z)", page, re.M | re.S)
    assert section, f"{name} is missing: {COMMAND}"
    data = json.loads((CONF / "cell" / f"{name}.json").read_text())
    assert data["source"] in section[1]
    assert re.search(r"^\d+\.\d{3} M parameters, \d+\.\d{3} GMAC", section[1], re.M)
    for link in (f"![{name}]({name}.svg)", f"[operations]({name}-ops.svg)"):
        assert link in section[1]


def test_the_committed_gallery_is_what_the_command_writes(cli, tmp_path, page):
    assert f"    {COMMAND}\n" in page
    assert cli("mode=gallery", "out=made").code == 0
    made, committed = (
        {path.name: path.read_text() for path in folder.iterdir()}
        for folder in (tmp_path / "made", COMMITTED)
    )
    stale = [name for name in made | committed if made.get(name) != committed.get(name)]
    assert not stale, f"{COMMAND}, and remove what no cell has: {stale}"
    assert made.keys() == {"README.md"} | {
        f"{name}{part}.svg" for name in CELLS for part in ("", "-ops")
    }
    for name in made.keys() - {"README.md"}:
        assert ElementTree.fromstring(made[name]).tag == SVG + "svg"
    assert sum(map(len, made.values())) < 2e6


def test_searched_and_hand_made_cells_stand_apart(page):
    _, searched, by_hand = re.split(r"^## .*$", page, flags=re.M)
    found = re.findall(r"^### (.*)$", searched, re.M)
    assert {"nasfpn", "mnasfpn"} <= set(found)
    assert {"fpn_vanilla"} <= set(re.findall(r"^### (.*)$", by_hand, re.M))
    listed = OmegaConf.load(CONF / "mode" / "gallery.yaml").mode.searched
    assert set(listed) <= set(found)


def test_costs_are_those_of_the_stated_size(page):
    # One 3x3 convolution 256 -> 256 a level, with bias and norm; C3 to C5 projected.
    pixels = [(640 // 2**level) ** 2 for level in range(3, 8)]
    macs = 9 * 256 * 256 * sum(pixels)
    params = 5 * (9 * 256 * 256 + 3 * 256)
    for channels, size in zip((512, 1024, 2048), pixels, strict=False):
        macs += channels * 256 * size
        params += channels * 256 + 3 * 256
    line = f"{params / 1e6:.3f} M parameters, {macs / 1e9:.3f} GMAC"
    (section,) = re.findall(r"### fpn_vanilla\n(.*?)\n!", page, re.S)
    assert line in section
    assert "640 px, on maps of (C3 512, C4 1024, C5 2048) channels" in page


def test_operations_are_drawn_and_written_as_data(cli, tmp_path):
    assert cli("mode=draw", "cell=nasfpn", "detail=ops", "repeats=2", "out=o").code == 0
    assert (tmp_path / "o" / "cell.png").read_bytes().startswith(b"\x89PNG")
    genotype = from_json(json.loads((tmp_path / "o" / "cell.json").read_text()))
    root = ElementTree.parse(tmp_path / "o" / "cell.svg").getroot()
    drawn = {(p.get("data-from"), p.get("data-to")) for p in root.iter(SVG + "path")}
    edges = {
        (f"n{source}", f"n{index}")
        for index, node in enumerate(genotype.nodes)
        for source in node.inputs
    }
    assert len(edges) > 30
    assert edges <= drawn


def test_an_unknown_detail_is_one_line(cli):
    done = cli("mode=draw", "cell=nasfpn", "detail=pixels", "out=o")
    assert done.code == 2
    assert done.err.strip().count("\n") == 0
    assert "detail=pixels is not one of blocks, ops" in done.err
