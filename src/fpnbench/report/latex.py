"""The matrix as LaTeX, for a paper of one or two columns of text."""

import re
from collections.abc import Sequence

from fpnbench.report.tables import Cells

ESCAPES = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"},
        **{"^": r"\textasciicircum{}", "|": r"\textbar{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}"},
        **{"±": r"$\pm$", "–": "--", "≤": r"$\le$"},
    }
)


def latex(parts: Sequence[Cells], caption: str, notes: Sequence[str]) -> str:
    """Return a LaTeX table (packages booktabs and graphicx), notes below.

    Args:
        parts: cells that stand one below the other, so that many columns stay legible.
        caption: stands above.
        notes: sentences, below.
    """
    return "\n".join(
        [
            r"% \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{escaped(caption)}}}",
            "\n\\par\\medskip\n".join(map(tabular, parts)),
            rf"\par\smallskip\raggedright {escaped(' '.join(notes))}",
            r"\end{table}",
            "",
        ]
    )


def tabular(cells: Cells) -> str:
    """Return cells as a tabular, at most as wide as the text.

    A line is drawn where a new group begins: where the first column is not empty.
    """
    body: list[str] = []
    for line in cells[1:]:
        body += [r"\midrule"] * bool(line[0]) + [row(line)]
    return "\n".join(
        [
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{ll{'r' * (len(cells[0]) - 2)}}}",
            r"\toprule",
            row(cells[0]),
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
        ]
    )


def row(cells: Sequence[str]) -> str:
    """Return one line of a tabular."""
    return " & ".join(map(escaped, cells)) + r" \\"


def escaped(text: str) -> str:
    """Return text with LaTeX's signs escaped; a hyphen before a number is a minus."""
    return re.sub(r"(?<!\S)-(?=[\d.])|(?<=\()-(?=\d)", "$-$", text.translate(ESCAPES))
