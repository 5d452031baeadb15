"""The tables as text: what stands in them, and that LaTeX takes them."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from fpnbench.report import tables
from fpnbench.report.frontier import points, volumes
from fpnbench.report.latex import latex as to_latex
from fpnbench.report.matrix import matrix
from fpnbench.report.runs import Run, counts

TEX = [name for name in ("pdflatex", "tectonic") if shutil.which(name)]
NASTY = r"a\b & 50% _c_ #1 {x} $y$ ~z^2 <p|q> ± – ≤"


def shown(table: pd.DataFrame) -> list[dict[str, str]]:
    header, *rows = tables.matrix_cells(table)
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.fixture
def judged(make_run) -> list[Run]:
    """Random, three seeds, and PPO, two, with finalists."""
    aps = {"random": (0.30, 0.20, 0.40), "ppo": (0.45, 0.375)}
    return [
        make_run(
            seed,
            [0.5, 0.125 * seed],
            searcher=searcher,
            finals=[(f"{seed}-0", [ap, ap]), (f"{seed}-1", [0.1, 0.1])],
        )
        for searcher, found in aps.items()
        for seed, ap in enumerate(found)
    ]


def test_cells_of_a_report_with_finalists(judged):
    ppo, random, sampled = shown(matrix(judged, "random"))
    assert ppo == {
        **{"space": "nasfpn", "searcher": "ppo", "dedup": "replay"},
        **{"AP": "0.4125 ± 0.0530", "95 %": "–", "behind best": "best"},
        **{"AP of all": "0.2562", "± images": "0.0300", "MMAC": "1.0"},
        **{"best reward": "0.5000 ± 0.0000", "optimism": "+0.0875"},
        # .45 + .375 to .3 + .2
        **{"over random": "+65.0 %", "evaluations": "2", "seeds": "2"},
    }
    assert random["space"] == ""
    assert random["95 %"] == "0.0516 to 0.5484"
    # Differences .15 and .175 within the two seeds that both have.
    assert random["behind best"] == "0.1625 ± 0.0177"
    assert random["over random"] == "–"
    assert sampled["searcher"] == "random, each evaluation"
    assert sampled["best reward"] == "0.3125 ± 0.2201"
    assert sampled["AP"] == ""


def test_ties_are_shown_as_such(make_run):
    runs = [
        make_run(seed, [best - gap], searcher=searcher)
        for searcher, gaps in {"ppo": (0, 0, 0), "random": (0.125, 0.25, 0.375)}.items()
        for seed, (best, gap) in enumerate(zip((0.75, 0.5, 0.625), gaps, strict=True))
    ]
    assert shown(matrix(runs, None))[1]["behind best"] == "tie (0.2500 ± 0.1250)"


def test_without_finalists_their_columns_are_empty_and_that_is_said_once(make_run):
    table = matrix([make_run(seed, [0.25 + seed / 100]) for seed in range(3)], "random")
    row = shown(table)[0]
    for name in ("AP", "AP of all", "± images", "optimism"):
        assert row[name] == "–"
    assert row["95 %"] == "0.2352 to 0.2848"
    assert row["best reward"] == "0.2600 ± 0.0100"
    assert sum("No run has finalists" in note for note in tables.notes(table)) == 1
    assert "best reward of a search" in tables.title(table)


def test_latency_and_gains_have_columns_where_there_are_any(make_run):
    run = make_run(0, [0.1], trials={"latency_ms": [12.34]})
    assert shown(matrix([run], None))[0]["ms"] == "12.3"
    assert "over random" not in shown(matrix([run], None))[0]
    assert "ms" not in shown(matrix([make_run(0, [0.1])], None))[0]


def test_digits_and_toys_are_a_demo_and_aquarium_is_not(make_run):
    real = matrix([make_run(0, [0.1])], None)
    digits = ({"data": name} for name in ("digits", "digits_context"))
    for made_up in (*digits, {"evaluator": "toy"}):
        demo = matrix([make_run(0, [0.1], **made_up)], None)
        assert tables.title(demo).startswith("DEMO: ")
        assert any(note.startswith("DEMO") for note in tables.notes(demo))
    assert not tables.is_demo(real)
    assert "DEMO" not in tables.title(real) + " ".join(tables.notes(real))
    assert tables.SENTENCE in tables.notes(real)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([{}, {"rewards": [None]}], "all of their trials failed"),
        ([{}, {"reason": "stopped by the user"}], "these ended because: stopped by"),
        ([{"finals": [("0-0", [0.1])]}, {}], "runs with finalists: 1 have none"),
        (
            [{"finals": [("0-0", [0.1])]}, {"finals": [("1-0", [0.1, 0.2])]}],
            "Finalists: 1 a run by reward, trained on all of train with 1.5",
        ),
        ([{"searcher": "ppo"}], "Without one row of random to compare with: nas"),
    ],
)
def test_what_makes_a_comparison_unfair_is_said(make_run, made, said):
    runs = [
        make_run(seed, **{"rewards": [0.3], **values})
        for seed, values in enumerate(made)
    ]
    assert any(said in note for note in tables.notes(matrix(runs, "random")))
    fair = [make_run(0, [0.3]), make_run(1, [0.3])]
    assert not any(said in note for note in tables.notes(matrix(fair, "random")))


def test_unequal_finalists_are_said(judged, make_run):
    other = make_run(0, [0.5], searcher="evolution", finals=[("0-0", [0.1])])
    (note,) = [n for n in tables.notes(matrix([*judged, other], None)) if "AP of" in n]
    assert "Finalists: 1 or 2 (unequal: no fair comparison) a run" in note
    assert "with 1 or 2 (unequal: no fair comparison) evaluator seeds" in note


def test_counts_are_summed_over_seeds(make_run):
    runs = [make_run(0, [0.1, 0.1, None], keys=["a", "a", "b"]), make_run(1, [0.2])]
    assert tables.count_cells(counts(runs)) == [
        [
            *("space", "searcher", "requested", "unique", "repeated", "failed"),
            *("store hits", "runs"),
        ],
        ["nasfpn", "random", "4", "3", "1", "1", "2", "2"],
    ]


def test_volumes_stand_beside_ap_at_matched_cost(make_run):
    runs = [make_run(0, [0.2, 0.4], macs=[1e6, 3e6])]
    assert tables.volume_cells(volumes(points(runs)), "macs") == [
        [
            *("space", "searcher", "hypervolume", "95 %"),
            *("AP at 1.5 MMAC", "AP at 2.0 MMAC", "AP at 2.5 MMAC", "seeds"),
        ],
        ["nasfpn", "random", "0.2182", "–", "0.2000", "0.2000", "0.2000", "1"],
    ]


def test_markdown_has_a_column_a_cell(judged):
    cells = tables.matrix_cells(matrix(judged, "random"))
    lines = tables.markdown(cells).splitlines()
    assert {line.count("|") for line in lines} == {len(cells[0]) + 1}
    assert lines[1].startswith("| --- | --- | ---: |")
    assert "| 0.4125 ± 0.0530 |" in lines[2]


def signs(text: str, sign: str) -> int:
    """How often a sign stands in LaTeX with its own meaning."""
    return len(re.findall(rf"(?<!\\){re.escape(sign)}", text))


def latex(judged: Sequence[Run]) -> str:
    table = matrix(judged, "random")
    parts = [tables.matrix_cells(table, part) for part in tables.PARTS]
    parts[0][1][1] = NASTY
    return to_latex(parts, tables.title(table), [*tables.notes(table), NASTY])


def test_latex_is_balanced_and_its_signs_are_escaped(judged):
    text = latex(judged)
    first, *body = text.splitlines()
    assert first == r"% \usepackage{booktabs,graphicx}"
    rows = [line for line in body if line.endswith(r" \\")]
    both = re.findall(r"\\begin\{tabular\}\{(l+r+)\}", text)
    # Sampling at random stands in the second alone.
    wanted = [
        len(columns) - 1
        for columns, count in zip(both, (3, 4), strict=True)
        for _ in range(count)
    ]
    assert [signs(row, "&") for row in rows] == wanted
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == 2
    for name, count in (("table", 1), ("tabular", 2)):
        assert text.count(rf"\begin{{{name}}}") == count
        assert text.count(rf"\end{{{name}}}") == count
    assert signs(text, "{") == signs(text, "}")
    assert signs(text, "$") % 2 == 0
    assert text.isascii()
    for sign in "#_~^<|":
        assert sign not in re.sub(r"\\[#_]|width>", "", "\n".join(body))
    # A resized box ends its line by a comment: no blank before the table.
    comments = [line for line in body if signs(line, "%")]
    assert len(comments) == 2
    assert all(line.endswith("{!}{%") for line in comments)
    assert r"\textbackslash{}b \& 50\% \_c\_ \#1 \{x\} \$y\$" in text


def test_the_two_parts_of_a_page_hold_every_column():
    assert {name for part in tables.PARTS for name in part} == set(tables.COLUMNS)


def test_a_negative_number_has_a_minus_and_a_word_its_hyphen():
    text = to_latex([[["a-b", "x"], ["-1.5", "(-2 to +3)"]]], "p-q", [])
    assert "a-b & x" in text
    assert "$-$1.5 & ($-$2 to +3)" in text


@pytest.mark.skipif(not TEX, reason="no pdflatex or tectonic")
def test_latex_compiles_to_a_pdf(judged, tmp_path: Path):
    (tmp_path / "matrix.tex").write_text(latex(judged))
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
    page = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{matrix}}"
    (tmp_path / "page.tex").write_text(page + r"\end{document}")
    options = ["-interaction=nonstopmode", "-halt-on-error"] * (TEX[0] == "pdflatex")
    done = subprocess.run(
        [TEX[0], *options, "page.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    # Up to rounding the table is as wide as the text.
    wide = re.findall(r"Overfull \\hbox \((\d+)", done.stdout)
    assert not any(int(points) for points in wide)
