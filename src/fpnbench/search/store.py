"""Score store: what is known about networks, one SQLite file shared by all runs.

A row says what one network scored on one benchmark with one evaluator seed at one
fidelity. Rows never change: the first score of a network is kept, so that whoever asks
again sees the same number. Many processes may read and write at once (WAL).
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Score, read_score

FORMAT = 1
"""Number of the file's format, SQLite's `user_version`."""
WAIT_S = 30.0
"""How long a writer waits for the others before it gives up."""
TABLES = f"""
begin immediate;
create table if not exists scores (
    key text, benchmark text, seed integer, epochs integer,
    score text not null, environment text not null,
    primary key (key, benchmark, seed, epochs)
);
create table if not exists records (
    key text, benchmark text, seed integer, epochs integer,
    detections blob not null,
    primary key (key, benchmark, seed, epochs)
);
pragma user_version = {FORMAT};
commit;
"""
Environment = Mapping[str, Any]
AT = "where key = ? and benchmark = ? and seed = ? and epochs = ?"


@dataclass(frozen=True, slots=True)
class Place:
    """What a score is of.

    Attributes:
        key: the network's.
        benchmark: the evaluator's: all that decides a score but the rest of these.
        seed: the evaluator's.
        epochs: the fidelity.
    """

    key: str
    benchmark: str
    seed: int
    epochs: int


@dataclass(frozen=True, slots=True)
class StoredScore:
    """One row: a place, what was measured there, and what it was computed with."""

    place: Place
    score: Score
    environment: Environment


class ScoreStore:
    """The scores that all runs have measured.

    Scores are never lost for want of a store: a run has its own ledger. So a store that
    cannot be read or written is told to `warn` once, and is left alone from then on.

    Args:
        path: the file; made if it is not there.
        environment: versions and machine of this process, kept beside its scores.
        warn: told in one line why the store is not read or not written any more, and
            once where a score was computed in another environment (rounding differs).

    Raises:
        UserError: the file is a store of another format, or another kind of database.
    """

    def __init__(
        self, path: Path, environment: Environment, warn: Callable[[str], None]
    ) -> None:
        self._path, self._environment, self._warn = path, environment, warn
        self._compared = False
        self._file: sqlite3.Connection | None = None
        self._writable = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
            self._open(self._file)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def find(self, place: Place) -> Score | None:
        """Return the score of a network, None if it is not known."""
        rows = self._read(f"select score, environment from scores {AT}", astuple(place))
        if not rows:
            return None
        self._compare(json.loads(rows[0][1]))
        return read_score(json.loads(rows[0][0]))

    def records(self, place: Place) -> bytes | None:
        """Return the detections kept beside a score, None if there are none."""
        rows = self._read(f"select detections from records {AT}", astuple(place))
        return rows[0][0] if rows else None

    def add(self, place: Place, score: Score) -> None:
        """Keep a score; one that is there already stays.

        When this returns, the score is on the disk.
        """
        self.insert(StoredScore(place, score, dict(self._environment)))

    def insert(self, row: StoredScore) -> None:
        """Keep a score that was computed elsewhere, as `add`."""
        values = json.dumps(asdict(row.score)), json.dumps(row.environment)
        self._write(
            "insert or ignore into scores values (?,?,?,?,?,?)",
            (*astuple(row.place), *values),
        )

    def add_records(self, place: Place, detections: bytes) -> None:
        """Keep the detections of a score, as `add`."""
        self._write(
            "insert or ignore into records values (?,?,?,?,?)",
            (*astuple(place), detections),
        )

    def __iter__(self) -> Iterator[StoredScore]:
        """Iterate over all scores, ordered by place."""
        for *place, score, environment in self._read(
            "select * from scores order by benchmark, key, seed, epochs", ()
        ):
            read = read_score(json.loads(score)), json.loads(environment)
            yield StoredScore(Place(*place), *read)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, file: sqlite3.Connection) -> None:
        # In this order: whoever makes the tables sets the version at the same moment.
        tables = file.execute("select count(*) from sqlite_master").fetchone()[0]
        found = file.execute("pragma user_version").fetchone()[0]
        if found not in ((FORMAT,) if tables else (0, FORMAT)):
            self.close()
            raise UserError(
                f"store={self._path} has format {found}, this version reads {FORMAT}"
            )
        if not tables:
            file.executescript(TABLES)
        _use_wal(file)
        # A commit is on the disk when it returns, even if the power fails.
        file.execute("pragma synchronous = full")

    def _read(self, query: str, values: Sequence[object]) -> list[Any]:
        if self._file is None:
            return []
        try:
            return self._file.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    def _write(self, query: str, values: Sequence[object]) -> None:
        if self._file is None or not self._writable:
            return
        try:
            self._file.execute(query, values)
        except sqlite3.Error as error:
            # What is in it can still be read: full disk, read-only, locked for long.
            self._writable = False
            self._warn(f"store={self._path} is not written any more: {error}")

    def _compare(self, theirs: Environment) -> None:
        if self._compared:
            return
        ours = self._environment
        differ = [
            f"{name} {theirs.get(name)} there, {ours[name]} here"
            for name in ours
            if theirs.get(name) != ours[name]
        ]
        if differ:
            self._compared = True
            self._warn(
                f"some scores of {self._path} were computed elsewhere "
                f"({'; '.join(differ)}); a new training could differ by rounding"
            )

    def _give_up(self, error: Exception) -> None:
        self.close()
        self._warn(f"store={self._path} is not used: {error}")


def _use_wal(file: sqlite3.Connection) -> None:
    """Let readers and a writer work at once; SQLite itself does not wait for this."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            file.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
            time.sleep(0.01)
