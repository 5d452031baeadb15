# ruff: noqa: N803, N806
"""PPO: a recurrent controller that predicts the decisions one after another.

The controller is the one of NASNet, which NAS-FPN and MnasFPN took over: an LSTM whose
input is the embedding of the last choice, and a softmax for every decision. Proposals
are sampled from it; every batch of trials told is one update.

Sources: Zoph et al. 2018 (arXiv 1707.07012, appendix A.2: sizes, initialisation,
baseline, entropy); Schulman et al. 2017 (arXiv 1707.06347, eq. 7: clipped surrogate).

Tensor names end in their axes: B children of a batch, T decisions, K options of the
largest decision (smaller ones are padded), H hidden units.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import generator
from fpnbench.search.trial import Proposal, Trial


class Controller(nn.Module):
    """The policy: probabilities of every decision given the choices before it."""

    def __init__(self, sizes: Sequence[int], hidden: int, seed: int) -> None:
        """Build a controller with weights from U(-.1, .1).

        Args:
            sizes: number of options of each decision.
            hidden: units of the LSTM and of the embeddings.
            seed: of the initial weights; the global generator is left alone.
        """
        super().__init__()
        self.sizes = tuple(sizes)
        shape = (len(sizes), max(sizes), hidden)
        self.start_H = nn.Parameter(torch.empty(hidden))
        self.embed_TKH = nn.Parameter(torch.empty(shape))
        self.weight_TKH = nn.Parameter(torch.empty(shape))
        self.bias_TK = nn.Parameter(torch.empty(shape[:2]))
        # torch's own initialisation would draw from the global generator.
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True, device="meta")
        self.lstm.to_empty(device="cpu")
        random = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=random)
        self.padding_TK = torch.arange(max(sizes)) >= torch.tensor(sizes)[:, None]

    @torch.no_grad()
    def sample(self, uniforms: Sequence[float]) -> Choices:
        """Draw one choice vector by inverting each decision's distribution.

        Args:
            uniforms: a number in [0, 1) for each decision.
        """
        # One cell a step: nn.LSTM takes four times as long on a sequence of one.
        weights = self.lstm.all_weights[0]
        h_1H = c_1H = torch.zeros(1, self.lstm.hidden_size)
        inputs_H: Tensor = self.start_H
        choices: list[int] = []
        for t, (uniform, size) in enumerate(zip(uniforms, self.sizes, strict=True)):
            h_1H, c_1H = torch.lstm_cell(inputs_H[None], (h_1H, c_1H), *weights)
            logits_K = (self.weight_TKH[t] @ h_1H[0] + self.bias_TK[t])[:size]
            masses = np.exp((logits_K - logits_K.max()).double().numpy()).cumsum()
            choice = int(np.searchsorted(masses, uniform * masses[-1], side="right"))
            choices.append(min(choice, size - 1))
            inputs_H = self.embed_TKH[t, choices[-1]]
        return tuple(choices)

    def forward(self, choices_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities of the choices and entropies, both (B, T)."""
        batch, length = choices_BT.shape
        chosen_BTH = self.embed_TKH[torch.arange(length), choices_BT]
        first_B1H = self.start_H.expand(batch, 1, -1)
        inputs_BTH = torch.cat([first_B1H, chosen_BTH[:, :-1]], dim=1)
        hidden_BTH, _ = self.lstm(inputs_BTH)
        logits_BTK = torch.einsum("bth,tkh->btk", hidden_BTH, self.weight_TKH)
        logits_BTK = (logits_BTK + self.bias_TK).masked_fill(
            self.padding_TK, -torch.inf
        )
        log_BTK = logits_BTK.log_softmax(dim=-1)
        log_BT = log_BTK.gather(-1, choices_BT[..., None])[..., 0]
        finite_BTK = log_BTK.masked_fill(self.padding_TK, 0.0)
        return log_BT, -(log_BTK.exp() * finite_BTK).sum(dim=-1)


def ppo_loss(
    log_BT: Tensor,
    old_BT: Tensor,
    entropy_BT: Tensor,
    advantage_B: Tensor,
    *,
    clip: float,
    entropy: float,
) -> Tensor:
    """Return the loss of a batch: minus the clipped surrogate, minus the entropy bonus.

    mean over B, T of -min(r A, clip(r, 1 - e, 1 + e) A) - w H, with r = exp(log - old):
    a child's advantage A counts for each of its decisions.

    Args:
        log_BT: log-probability of the choices under the policy that is trained.
        old_BT: the same under the policy before the update.
        entropy_BT: entropy of each decision's distribution, in nats.
        advantage_B: advantage of each child.
        clip: e.
        entropy: w.

    Source: Schulman et al. 2017, eq. 7 and 9; no value network, as in NASNet.
    """
    ratio_BT = (log_BT - old_BT).exp()
    advantage_B1 = advantage_B[:, None]
    clipped_BT = ratio_BT.clamp(1 - clip, 1 + clip) * advantage_B1
    surrogate_BT = torch.minimum(ratio_BT * advantage_B1, clipped_BT)
    return -(surrogate_BT + entropy * entropy_BT).mean()


def advantages(rewards: Sequence[float], baseline: float) -> list[float]:
    """Return each reward's distance from the baseline over their root mean square.

    Centred on the baseline and not on the batch, whose mean would cancel it. Equal
    rewards say nothing of each other: they give zeros, which also keeps rounding from
    being scaled up. So a change of the rewards' unit or origin changes nothing.
    """
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    deviations = np.array(rewards) - baseline
    scaled: list[float] = (deviations / np.sqrt(np.mean(deviations**2))).tolist()
    return scaled


class PPO:
    """Proximal policy optimisation of the controller.

    Attributes:
        updates: updates done so far.
    """

    def __init__(
        self,
        hidden: int,
        batch: int,
        epochs: int,
        learning_rate: float,
        clip: float,
        entropy: float,
        baseline_decay: float,
    ) -> None:
        """Set the hyper-parameters.

        Args:
            hidden: units of the LSTM.
            batch: trials of an update.
            epochs: gradient steps of an update, each on the whole batch.
            learning_rate: of Adam.
            clip: how far a probability ratio may move before its gradient stops.
            entropy: weight of the entropy bonus.
            baseline_decay: weight of the past in the moving average of rewards.

        Raises:
            UserError: a count is below 1.
        """
        if min(hidden, batch, epochs) < 1:
            raise UserError(
                f"hidden={hidden}, batch={batch} and epochs={epochs} must be >= 1"
            )
        self._hidden, self._batch, self._epochs = hidden, batch, epochs
        self._learning_rate, self._clip = learning_rate, clip
        self._entropy, self._decay = entropy, baseline_decay
        self.updates = 0

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run with a fresh controller; nothing is kept in `folder`."""
        sizes = [len(decision.options) for decision in space.decisions]
        self._seed, self._asked, self.updates = seed, 0, 0
        self._controller = Controller(sizes, self._hidden, seed)
        self._adam = torch.optim.Adam(
            self._controller.parameters(), lr=self._learning_rate
        )
        self._baseline: float | None = None
        self._told: list[Trial] = []

    def ask(self) -> Proposal:
        """Propose a sample of the controller as it is now."""
        uniforms = generator(self._seed, self._asked).random(
            len(self._controller.sizes)
        )
        self._asked += 1
        return Proposal(self._controller.sample(uniforms.tolist()))

    def tell(self, trial: Trial) -> None:
        """Collect a trial; every `batch` of them, as they are told, are an update."""
        self._told.append(trial)
        if len(self._told) == self._batch:
            self._update(self._told)
            self._told = []

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): updates take milliseconds, uncharged."""
        return 0.0, 0, 0.0

    def _update(self, trials: Sequence[Trial]) -> None:
        """Train on a batch; failures take its lowest reward, or all of them none.

        The old log-probabilities are those of the trials' own choices under the
        controller as it stands here: it has not moved since it proposed them, unless
        several asks were out at once; then the batch counts as drawn from it
        nevertheless.
        """
        known = [trial.reward for trial in trials if trial.reward is not None]
        if not known:
            return
        rewards = [min(known) if t.reward is None else t.reward for t in trials]
        mean = float(np.mean(rewards))
        if self._baseline is None:
            self._baseline = mean
        advantage_B = torch.tensor(advantages(rewards, self._baseline))
        self._baseline = self._decay * self._baseline + (1 - self._decay) * mean
        choices_BT = torch.tensor([trial.choices for trial in trials])
        with torch.no_grad():
            old_BT, _ = self._controller(choices_BT)
        for _ in range(self._epochs):
            log_BT, entropy_BT = self._controller(choices_BT)
            loss = ppo_loss(
                log_BT,
                old_BT,
                entropy_BT,
                advantage_B,
                clip=self._clip,
                entropy=self._entropy,
            )
            self._adam.zero_grad()
            torch.autograd.backward(loss)
            self._adam.step()
        self.updates += 1
