"""What a person sees while a search runs, on a terminal and in a log file."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from fpnbench.search.budget import Budget, tally_of
from fpnbench.search.trial import Trial

LOG_SECONDS = 10.0
"""Seconds between two lines where there is no terminal to redraw."""

PREPARATION_SECONDS = 3.0
"""Likewise while data are prepared."""


class SearchProgress:
    """One line that is redrawn on a terminal; elsewhere a plain line now and then.

    Args:
        budget: limits, for the bar and the time left.
        recorded: trials of an earlier start of this run.
        console: where to print.
    """

    def __init__(
        self, budget: Budget, recorded: Sequence[Trial], console: Console
    ) -> None:
        self._budget, self._console = budget, console
        self._tally = tally_of(recorded)
        # Of the longest trainings: rewards of shorter ones cannot be compared.
        worth = [(t.epochs, t.reward) for t in recorded if t.reward is not None]
        self._best = max(worth, default=None)
        self._recorded, self._share_before = len(recorded), self._share()
        self._began = self._printed = time.monotonic()
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._live.add_task("starting")

    def __enter__(self) -> "SearchProgress":
        """Begin to draw."""
        if self._recorded:
            self._console.print(f"continuing after {self._recorded} recorded trials")
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop drawing."""
        self._live.stop()

    def __call__(self, trial: Trial) -> None:
        """Show one more trial; a failure gets a line of its own at once."""
        self._tally.add(trial)
        if trial.reward is None:
            reason = f"trial {trial.number} {trial.status}: {trial.reason}"
            self._console.print(reason, markup=False, style="yellow", soft_wrap=True)
        elif self._best is None or (trial.epochs, trial.reward) > self._best:
            self._best = trial.epochs, trial.reward
        line = self._line()
        self._live.update(self._bar, description=line)
        silent = time.monotonic() - self._printed
        if not self._console.is_terminal and silent > LOG_SECONDS:
            self._printed = time.monotonic()
            self._console.print(line, soft_wrap=True, highlight=False)

    def _share(self) -> float:
        """Return the used share of the tightest limit."""
        return max(self._budget.used(self._tally, (0.0, 0, 0.0)).values(), default=0.0)

    def _line(self) -> str:
        tally, share = self._tally, self._share()
        best = "-" if self._best is None else f"{self._best[1]:.4f}"
        elapsed = time.monotonic() - self._began
        rate = (tally.trials - self._recorded) / max(elapsed, 1e-9)
        gained = share - self._share_before
        left = "?" if gained <= 0 else clock(elapsed * max(1 - share, 0) / gained)
        speed = f"{rate:.1f}/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.1f} s each"
        return (
            f"trial {tally.trials}, best {best}, {len(tally.keys)} unique / "
            f"{tally.repeats} repeated / {tally.failures} failed, "
            f"{speed}, {left} left"
        )


class Preparation:
    """Tells now and then how far something that comes before the search is.

    The evaluator calls it with what is prepared, how much is done, how much there is.
    """

    def __init__(self) -> None:
        self._console, self._printed = Console(), time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Print a line if the last one is some seconds old."""
        if time.monotonic() - self._printed > PREPARATION_SECONDS:
            self._printed = time.monotonic()
            line = f"preparing {what}: {done} of {total}"
            self._console.print(line, soft_wrap=True, highlight=False)


def result_table(summary: dict[str, object]) -> Table:
    """Return the short table that ends a search."""
    table = Table(show_header=False, box=None)
    best, hits = summary["best"], summary.get("store_hits")
    found = f"; {hits} found in the store" if hits else ""
    rows: dict[str, object] = {
        "status": f"{summary['status']}: {summary['reason']}",
        "trials": (
            f"{summary['trials']} = {summary['evaluations']} evaluations + "
            f"{summary['repeats']} repeats + {summary['failures']} failures"
            f"{found}"
        ),
        "networks": f"{summary['unique']} different",
        "used": (
            f"{summary['seconds']:.1f} s charged, {summary['wall_s']:.1f} s wall, "
            f"{summary['images']} images, {summary['gmacs']:.1f} GMAC, "
            f"{summary['peak_memory_mb']:,.0f} MB of memory at most"
        ),
    }
    if summary["val_queries"] != summary["evaluations"]:
        rows["search-val"] = f"{summary['val_queries']} networks scored on it"
    if "updates" in summary:
        rows["controller"] = f"{summary['updates']} updates"
    if isinstance(best, dict):
        score = best["score"]
        # A reward of an evaluator that measures no AP stands alone.
        ap = "" if score["ap"] is None else f"AP {score['ap']:.4f}, "
        rows["best"] = (
            f"reward {best['reward']:.4f} (trial {best['number']}), "
            f"{ap}{score['macs'] / 1e6:,.1f} MMAC, "
            f"{score['params'] / 1e3:,.1f} k parameters"
        )
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def clock(seconds: float) -> str:
    """Write a duration as 1:05 or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
