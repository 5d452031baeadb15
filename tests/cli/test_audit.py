"""`mode=audit` on networks whose every score is given: nothing is trained."""

import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scipy import stats

from fpnbench.cli import audit, audit_set
from fpnbench.cli.build import build_evaluator, build_space
from fpnbench.cli.checks._networks import draw
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Score
from fpnbench.report.runs import SUMMARY, TRIALS
from fpnbench.search.store import Place, ScoreStore
from fpnbench.train.shared import PathScore
from fpnbench.train.shared_fit import Epoch

Cli = Callable[..., Any]
NETWORKS, CANDIDATES = 12, 20
SMALL = (
    *("mode=audit", "space=nasfpn", "audit.resamples=5"),
    *("audit.zerocost=[]", "audit.top=3", "out=run", "store=scores.sqlite"),
    *("audit.sets.A.networks=[0,4]", "audit.sets.B.networks=[4,12]"),
    *(f"audit.sets.B.candidates={CANDIDATES}", "audit.sets.B.again=4"),
    "audit.supernet._target_=fake_supernet.train",
)


class World:
    """What is true of networks, and what fake supernets say of them."""

    def __init__(self, conf: Callable[..., Any], tiny: tuple[str, ...]) -> None:
        self.args = (*tiny, *SMALL)
        cfg = conf(*self.args)
        self.proxy: Any = build_evaluator(cfg)
        self.space = build_space(cfg)
        self.drawn = draw(self.space, self.proxy, 0, NETWORKS + CANDIDATES, "")
        self.ap = {
            each.key: (n * 7 % 32 + 1) / 100 for n, each in enumerate(self.drawn)
        }
        self.trained: list[tuple[Any, int]] = []
        self.asked: list[tuple[Any, int, str]] = []
        # By settings and seed: what its weights say of a network of this AP.
        self.says: Callable[[Any, int, float], float] = lambda settings, seed, ap: (
            ap / 2
        )

    def train(self, *, settings: Any, seed: int, **_: Any) -> Any:
        self.trained.append((settings, seed))
        return (settings, seed), [Epoch(1, 1.0, 2.0, 10, 0.5)]

    def score(
        self, proxy: Any, space: Any, weights: Any, vectors: Any, norms: int
    ) -> Any:
        for vector in vectors:
            form = canonical(space.decode(vector).restrict(proxy.levels))
            key = digest(form)
            self.asked.append((*weights, key))
            ap = self.says(*weights, self.ap[key])
            yield PathScore(ap, 1 - ap, 5, 0.25, 3, 0.125)

    def store(self, path: Path, seeds: tuple[int, ...] = (0, 1)) -> None:
        store = ScoreStore(path, {}, print)
        for number, each in enumerate(self.drawn):
            for seed in seeds:
                ap = self.ap[each.key] + 0.01 * seed * (-1) ** number
                known = Score(
                    *(ap, None, None, None, None, 1.0, 100 - number, 7, None),
                    *(2.5, 1, 1.0),
                )
                place = Place(each.key, self.proxy.benchmark, seed, self.proxy.epochs)
                store.add(place, known)


@pytest.fixture
def world(conf, tiny, tmp_path, monkeypatch) -> World:
    made = World(conf, tiny)
    made.store(tmp_path / "scores.sqlite")
    fake = ModuleType("fake_supernet")
    fake.train = made.train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake_supernet", fake)
    monkeypatch.setattr(audit_set, "shared_scores", made.score)
    return made


def write_run(folder: Path, world: World, searcher: str, networks: list[Any]) -> None:
    """Write what the best networks are read from; the first is the best."""
    folder.mkdir()
    kind = "supernet.Supernet" if searcher == "enas" else f"{searcher}.Search"
    target = f"{{dedup: replay, _target_: searchers.{kind}}}"
    (folder / "config.yaml").write_text(f"searcher: {target}\n")
    summary = dict.fromkeys(SUMMARY, 0) | {"searcher": searcher}
    summary["benchmark"] = world.proxy.benchmark
    (folder / "summary.json").write_text(json.dumps(summary))
    with (folder / "trials.csv").open("w") as file:
        writer = csv.DictWriter(file, ["number", *TRIALS])
        writer.writeheader()
        for number, each in enumerate(networks):
            choices = " ".join(map(str, each.choices))
            row = {"number": number, "key": each.key, "choices": choices}
            row |= {"status": "evaluation", "reward": 1 - number / 10}
            writer.writerow(row)


def told(folder: Path) -> Any:
    return json.loads((folder / "run" / "audit.json").read_text())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "run" / "audit.csv").open() as file:
        return list(csv.DictReader(file))


def test_set_b_is_reported_beside_macs_and_a_second_training(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    """Seed 0 ranks as trainings do, seed 1 the other way round."""
    world.says = lambda settings, seed, ap: ap if seed == 0 else 1 - ap
    done = cli(*world.args)
    assert (done.code, done.err) == (0, "")
    result, table = told(tmp_path), rows(tmp_path)
    # Eight random networks after those of A, then the best two of the twenty after.
    tail = sorted(world.drawn[NETWORKS:], key=lambda each: -world.ap[each.key])
    wanted = [each.key for each in (*world.drawn[4:NETWORKS], *tail[:2])]
    assert [row["key"] for row in table] == wanted
    assert [row["group"] for row in table[-3:]] == ["random", *[audit_set.DECILE] * 2]
    assert "0 of 25 bests of searchers (runs= has no more)" in done.out
    aps = [world.ap[key] for key in wanted]
    assert [float(row["ap"]) for row in table] == pytest.approx(aps)
    # Four of ten, evenly; second seeds are .01 off: the sd within is .01 / sqrt(2).
    assert [n for n, row in enumerate(table) if row["second seed"]] == [0, 3, 6, 9]
    assert result["noise"] == pytest.approx(0.01 / 2**0.5)
    found = {name: each["all"] for name, each in result["predictors"].items()}
    taus = {
        name: each["figures"]["kendall_tau"]["value"] for name, each in found.items()
    }
    macs = stats.kendalltau([float(row["macs"]) for row in table], aps)[0]
    depth = stats.kendalltau([float(row["depth"]) for row in table], aps)[0]
    assert taus == pytest.approx(
        taus
        | {"slot-fair-own-n4-s0": 1, "slot-fair-own-n4-s0 loss": 1}
        | {"slot-fair-own-n4-s1": -1, "slot-fair-own-n4-s1 loss": -1}
        | {"macs": macs, "depth": depth},
        nan_ok=True,
    )
    assert found["second seed"]["networks"] == 4
    assert [bar["held"] for bar in result["bars"]] == [True, True, False, False]
    assert "slot-fair-own-n4-s0 ranks better than MACs" in done.out
    assert "slot-fair-own-n4-s1 ranks no better than MACs: its tau given" in done.out
    assert "NOT HELD" in done.out
    assert result["lines"][-1].endswith(
        "tau between supernet seeds -1.00 [-1.00, -1.00]"
    )
    # Training, then 20 + 10 paths by seed 0, of which the decile's two are known.
    spent = result["spent"]
    assert spent["slot-fair-own-s0"] == {"seconds": 2, "images": 10, "gmacs": 0.5}
    assert spent["slot-fair-own-s0-n4"]["images"] == 3 * (CANDIDATES + 8)
    assert spent["slot-fair-own-s1-n4"]["images"] == 3 * 10
    assert (tmp_path / "run" / "audit.png").is_file()
    # The same command again trains supernets from their folder and scores no path.
    world.asked.clear()
    assert cli(*world.args).code == 0
    assert (world.asked, told(tmp_path)) == ([], result)


def test_set_a_ranks_every_setting_by_its_mean_tau(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    def says(settings: Any, seed: int, ap: float) -> float:
        return ap if (settings.share, settings.sampling) == ("slot", "fair") else -ap

    world.says = says
    wanted = ("audit.set=A", "audit.sets.A.norm_batches=[0,4]", "audit.noise=0.02")
    wanted += ("audit.supernet_seeds=[3]",)
    done = cli(*world.args, *wanted)
    assert (done.code, done.err) == (0, "")
    assert "(audit.noise)" in done.out
    best = (
        "the highest first: slot-fair-own-n0 1.000, slot-fair-own-n4 1.000, slot-unif"
    )
    assert best in done.out
    # Two rules, two laws: each trained once for both numbers of batches.
    assert len(world.trained) == 4
    assert len(world.asked) == 2 * 4 * 4
    assert {row["group"] for row in rows(tmp_path)} == {"random"}
    assert [row["key"] for row in rows(tmp_path)] == [e.key for e in world.drawn[:4]]
    assert told(tmp_path)["predictors"]["second seed"] == {}


def test_bests_are_other_searchers_best_networks_in_turn(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    """Each run gives its best, then each its second; A and B's own are passed over."""
    for name, places in {"a": [0, 12, 13], "b": [12, 14], "enas": [15]}.items():
        folder = tmp_path / name
        write_run(folder, world, name, [world.drawn[place] for place in places])
    wanted = (
        "audit.sets.B.candidates=0",
        "audit.sets.B.bests=3",
        "runs=[a,b,enas]",
        "audit.sets.B.again=0",
    )
    done = cli(*world.args, *wanted)
    assert (done.code, done.err) == (0, "")
    found = [row["key"] for row in rows(tmp_path) if row["group"] == audit_set.BESTS]
    assert found == [world.drawn[place].key for place in (12, 14, 13)]
    assert "3 of 3 bests of searchers" in done.out
    # Nothing says what noise there is.
    assert "no sparse tau: audit.noise=null" in done.out
    macs = told(tmp_path)["predictors"]["macs"]["all"]["figures"]
    assert macs["sparse_tau"]["value"] is None


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("audit.set=C",), "audit.set=C is not one of A, B"),
        (("audit.sets.B.share=[rank]",), "share=rank is not one of position, slot"),
        (("audit.sets.B.networks=[9,4]",), "networks=[9, 4]: it must be two numbers"),
        (("audit.sets.B.candidates=-1",), "it must be a whole number from 0 on"),
        (("audit.sets.B.norm_batches=[]",), "it must be a list of 1 different whole"),
        (("audit.supernet_seeds=[-1]",), "supernet_seeds=[-1]: they must be 0 or more"),
        (("audit.noise=-1",), "audit.noise=-1: it must be null, or 0 or more"),
        (("runs=nowhere",), "runs=nowhere: no finished run"),
        (("audit.noise=much",), "audit.noise=much: it must be a number or null"),
        (("audit.zerocost=[snip]",), "it must be a list of one of synflow"),
        (("audit.second_seed=0",), "audit.second_seed=0 is evaluator.seed"),
        (("evaluator=toy",), "mode=audit compares with trainings: evaluator=proxy"),
        (("store=null",), "store=null: mode=audit keeps trained APs in the store"),
        (
            ("audit.supernet._target_=nowhere.train",),
            "nowhere.train cannot be imported",
        ),
    ],
)
def test_mistakes_are_said(
    conf: Callable[..., Any],
    tiny: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # where `store=` is looked for
    fake = "audit.supernet._target_=builtins.dict"
    with pytest.raises(UserError, match=re.escape(said)):
        audit.main(conf(*tiny, *SMALL, fake, *args))
