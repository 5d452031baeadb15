"""What a person sees while a search runs, on a terminal and in a log file."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from fpnbench.search.budget import Budget, Tally
from fpnbench.search.trial import Trial

LOG_SECONDS = 10.0
"""Seconds between two lines where there is no terminal to redraw."""


class SearchProgress:
    """One line that is redrawn on a terminal; elsewhere a plain line now and then.

    Args:
        budget: limits, for the bar and the time left.
        console: where to print.
    """

    def __init__(self, budget: Budget, console: Console) -> None:
        self._budget, self._console = budget, console
        self._best: float | None = None
        self._bar: TaskID | None = None
        self._began = self._printed = time.monotonic()
        self._share_before: float | None = None
        self._new = 0
        self._live = Progress(
            SpinnerColumn(),
            BarColumn(20),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "SearchProgress":
        """Begin to draw."""
        self._live.start()
        self._bar = self._live.add_task("starting", total=1.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop drawing."""
        self._live.stop()

    def replayed(self, trials: tuple[Trial, ...], tally_share: float) -> None:
        """Say how much of the run is already there."""
        for trial in trials:
            self._see(trial)
        self._share_before = tally_share
        if trials:
            self._console.print(f"continuing after {len(trials)} recorded trials")

    def __call__(self, trial: Trial, tally: Tally) -> None:
        """Show one more trial; a failure gets a line of its own at once."""
        self._see(trial)
        self._new += 1
        if trial.reward is None:
            reason = f"trial {trial.number} {trial.status}: {trial.reason}"
            self._console.print(reason, markup=False, style="yellow", soft_wrap=True)
        share = max(self._budget.used(tally, (0.0, 0, 0.0)).values(), default=0.0)
        line = self._line(trial, tally, share)
        if self._console.is_terminal and self._bar is not None:
            self._live.update(self._bar, completed=min(share, 1.0), description=line)
        elif time.monotonic() - self._printed > LOG_SECONDS:
            self._printed = time.monotonic()
            self._console.print(line, soft_wrap=True)

    def _see(self, trial: Trial) -> None:
        if trial.reward is not None:
            better = self._best is None or trial.reward > self._best
            self._best = trial.reward if better else self._best

    def _line(self, trial: Trial, tally: Tally, share: float) -> str:
        best = "-" if self._best is None else f"{self._best:.4f}"
        elapsed = time.monotonic() - self._began
        gained = share - (self._share_before or 0.0)
        left = "?" if gained <= 0 else _clock(elapsed * max(1 - share, 0) / gained)
        return (
            f"trial {trial.number + 1}  best {best}  "
            f"{len(tally.keys)} unique / {tally.repeats} repeated / "
            f"{tally.failures} failed  {self._new / max(elapsed, 1e-9):.2f} trials/s  "
            f"{left} left"
        )


def result_table(summary: dict[str, object]) -> Table:
    """Return the short table that ends a search."""
    table = Table(show_header=False, box=None)
    best = summary["best"]
    rows: dict[str, object] = {
        "status": f"{summary['status']}: {summary['reason']}",
        "trials": (
            f"{summary['trials']} = {summary['evaluations']} evaluations + "
            f"{summary['repeats']} repeats + {summary['failures']} failures"
        ),
        "networks": f"{summary['unique']} different",
        "used": (
            f"{summary['seconds']:.1f} s charged, {summary['wall_s']:.1f} s wall, "
            f"{summary['images']} images, {summary['gmacs']:.1f} GMAC"
        ),
    }
    if "updates" in summary:
        rows["controller"] = f"{summary['updates']} updates"
    if isinstance(best, dict):
        score = best["score"]
        rows["best"] = (
            f"reward {best['reward']:.4f} (trial {best['number']}), AP "
            f"{score['ap']:.4f}, {score['macs'] / 1e6:,.1f} MMAC, "
            f"{score['params'] / 1e3:,.1f} k parameters"
        )
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
