"""Every weight that the networks of a space can use, and how each uses its part.

A parameter is shared by all nodes of one place (`graph.sharing`). It is as large as the
widest of them needs; a narrower one uses the first channels (slimmable networks, Yu et
al. 2019, arXiv 1812.08928). Kernels of different size are different weights (`own`), as
in single-path one-shot (Guo et al. 2020, arXiv 1904.00420), or the middle of the
largest (`crop`), as in once-for-all (Cai et al. 2020, arXiv 1908.09791).

A path runs through `FeaturePyramid` itself, given slices instead of parameters, so that
it computes what the stand-alone network would. Batch norms use the statistics of the
batch: running ones of different paths must not be mixed.
"""

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fpnbench.detect.detector import Detector
from fpnbench.detect.head import Head
from fpnbench.detect.pyramid import BuildOp, FeaturePyramid, build_op
from fpnbench.detect.shared_bank import (
    ANY_PX,
    Kernel,
    Shape,
    address,
    bank_shapes,
    cut,
    parameter_shapes,
    survey,
)
from fpnbench.detect.targets import Predictions
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Op
from fpnbench.graph.protocols import Space
from fpnbench.graph.sharing import Place, Share, shared_form
from fpnbench.graph.trace import trace

MakeHead = Callable[[Mapping[int, int]], Head]
"""Given the channels of every level."""


class Parts:
    """Modules without weights, used again: to make them takes longer than a forward.

    No module is used twice in one network, which would mix their weights.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Op, tuple[int, ...]], list[nn.Module]] = {}

    def new(self) -> BuildOp:
        """Return what builds the ops of one network."""
        used: Counter[tuple[Op, tuple[int, ...]]] = Counter()

        def build(op: Op, inputs: list[int]) -> nn.Module:
            key = op, tuple(inputs)
            made = self._made.setdefault(key, [])
            if used[key] == len(made):
                with torch.device("meta"):
                    made.append(without_statistics(build_op(op, inputs)))
            used[key] += 1
            return made[used[key] - 1]

        return build


class SharedPyramid(nn.Module):
    """The pyramids of a space, all out of one bank of weights.

    Attributes:
        out_channels: of each output level, the widest network's.
    """

    def __init__(
        self, space: Space, channels: Mapping[int, int], share: Share, kernel: Kernel
    ) -> None:
        """Make the bank; weights are drawn from torch's global generator.

        Args:
            space: whose networks it holds.
            channels: channels of each backbone level.
            share: which nodes use the same weights.
            kernel: how kernels of different size do.

        Raises:
            UserError: a space of fewer than two decisions (networks made by hand).
        """
        super().__init__()
        if sum(len(decision.options) > 1 for decision in space.decisions) < 2:
            raise UserError(
                f"space {space.name} cannot be shared: it has fewer than two "
                "decisions, so that its networks have no parts in common"
            )
        found = survey(space, channels, share, kernel)
        self.out_channels = dict(found.widths)
        shapes = bank_shapes(found)
        self.bank = nn.ParameterDict(
            {
                name: nn.Parameter(_initial(name, shapes[name]))
                for name in sorted(shapes)
            }
        )
        self._name, self._channels = space.name, dict(channels)
        self._share, self._kernel = share, kernel
        self._parts = Parts()

    def form(
        self, genotype: Genotype, levels: tuple[int, ...]
    ) -> tuple[Genotype, tuple[Place, ...]]:
        """Return what is run of a decoded genotype, and where its weights live."""
        return shared_form(genotype, levels, self._share)

    def weights(self, form: Genotype, places: tuple[Place, ...]) -> dict[str, Tensor]:
        """Return the slices of a path, under `FeaturePyramid`'s names.

        Raises:
            UserError: the space has a network unlike all that were looked at.
        """
        rows = trace(form, self._channels, ANY_PX).rows
        found = {}
        for index, (node, place) in enumerate(zip(form.nodes, places, strict=True)):
            inputs = tuple(rows[i].shape[0] for i in node.inputs)
            for name, shape in parameter_shapes(node.op, inputs):
                where = address(place, name, shape, self._kernel)
                if where not in self.bank:
                    raise UserError(f"space {self._name} cannot be shared: {where}")
                found[f"ops.{index}.{name}"] = cut(self.bank[where], shape)
        return found

    def forward(
        self,
        feats: Mapping[int, Tensor],
        form: Genotype,
        places: tuple[Place, ...],
    ) -> dict[int, Tensor]:
        """Merge backbone maps, (B, C, H, W) each, into pyramid levels, by one path."""
        skeleton = FeaturePyramid(form, self._channels, self._parts.new())
        weights = self.weights(form, places)
        maps: dict[int, Tensor] = functional_call(skeleton, weights, (feats,))
        return maps

    def extract(self, form: Genotype, places: tuple[Place, ...]) -> FeaturePyramid:
        """Return a path as a pyramid of its own, with copies of its slices."""
        pyramid = FeaturePyramid(form, self._channels)
        pyramid.load_state_dict(self.weights(form, places), strict=False)
        return pyramid


class SharedDetector(nn.Module):
    """A detector for every network of a space; one of them, the path, is run.

    The head is the widest network's; where a narrower one gives it fewer channels, it
    is cut as the pyramid's weights are: the first channels.

    Attributes:
        backbone: None where its maps come from a cache; else one for all.
        pyramid: the bank.
        head: of the widest network; its loss and decoding are those of every path.
    """

    def __init__(
        self,
        backbone: nn.Module | None,
        pyramid: SharedPyramid,
        make_head: MakeHead,
        levels: tuple[int, ...],
    ) -> None:
        """Put the parts together.

        Args:
            backbone: see the class.
            pyramid: likewise.
            make_head: makes the head of a network.
            levels: outputs that are read, as far as a network has them.
        """
        super().__init__()
        self.backbone = backbone
        self.pyramid = pyramid
        self.head = cast(nn.Module, make_head(pyramid.out_channels))
        self._make_head, self._levels = make_head, levels
        self._skeletons: dict[tuple[tuple[int, int], ...], nn.Module] = {}

    def take(self, genotype: Genotype) -> Genotype:
        """Make a decoded genotype the path; return what is run of it."""
        self._path = self.pyramid.form(genotype, self._levels)
        return self._path[0]

    def forward(self, inputs: dict[int, Tensor]) -> Predictions:
        """Predict by the path, see `Detector`."""
        feats = inputs if self.backbone is None else self.backbone(inputs[0])
        maps = self.pyramid(feats, *self._path)
        skeleton = self._skeleton({level: x.shape[1] for level, x in maps.items()})
        buffers = dict(self.head.named_buffers())
        state = self._cut(skeleton) | {
            name: buffers[name] for name, _ in skeleton.named_buffers()
        }
        predictions: Predictions = functional_call(skeleton, state, (maps,))
        return predictions

    def extract(self) -> Detector:
        """Return the path as a detector of its own, with copies of its weights."""
        pyramid = self.pyramid.extract(*self._path)
        skeleton = self._skeleton(pyramid.out_channels)
        head = cast(nn.Module, self._make_head(pyramid.out_channels))
        head.load_state_dict(self._cut(skeleton), strict=False)
        backbone = copy.deepcopy(self.backbone)
        return Detector(backbone, pyramid, cast(Head, head))

    def _cut(self, skeleton: nn.Module) -> dict[str, Tensor]:
        whole = dict(self.head.named_parameters())
        shapes: dict[str, Shape] = {
            name: tuple(p.shape) for name, p in skeleton.named_parameters()
        }
        return {name: cut(whole[name], shape) for name, shape in shapes.items()}

    def _skeleton(self, channels: Mapping[int, int]) -> nn.Module:
        """Return a head for maps of these channels; its weights are not used."""
        key = tuple(sorted(channels.items()))
        if key not in self._skeletons:
            with torch.random.fork_rng(devices=[]):
                head = cast(nn.Module, self._make_head(dict(key)))
            self._skeletons[key] = without_statistics(head)
        return self._skeletons[key]


def without_statistics(module: nn.Module) -> nn.Module:
    """Let all batch norms of a module use the statistics of the batch; return it."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
    return module


def _initial(name: str, shape: Shape) -> Tensor:
    """Draw a parameter of the bank as `FeaturePyramid` draws those of its kind."""
    if len(shape) == 1:
        *_, last, _ = name.replace("_", " ").split(" ")
        return torch.zeros(shape) if last == "bias" else torch.ones(shape)
    weight = torch.empty(shape)
    depthwise = shape[1] == 1
    mode = "fan_in" if depthwise else "fan_out"
    nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")  # type: ignore[arg-type]
    return weight
