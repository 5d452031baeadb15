"""Primitive operations: frozen values that know their shape, MACs and parameters.

Shapes are (channels, height, width). A pyramid level `l` has stride 2**l; the sizes of
all levels are fixed by the image (`LevelSizes`), so that odd sizes come out as the
sources pad them ("SAME": divide and round up). MACs are those of convolutions only, as
in the papers' tables (facts 3.2); parameters are the trainable ones. The module that
runs an op stands in `fpnbench.detect.pyramid`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Shape = tuple[int, int, int]
"""(channels, height, width)."""
LevelSizes = Callable[[int], tuple[int, int]]
"""Height and width of a pyramid level."""
Activation = Literal["none", "relu", "relu6"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Output shape, MACs per image and trainable parameters of one op at its place."""

    shape: Shape
    macs: int
    params: int


@dataclass(frozen=True, slots=True)
class Input:
    """Backbone feature map C`level`; its shape is given by the backbone."""

    level: int

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost; `inputs` holds the backbone's own shape."""
        return Cost(inputs[0], 0, 0)


@dataclass(frozen=True, slots=True)
class Conv:
    """Activation, `kernel` x `kernel` convolution to `width` channels, batch norm.

    NAS-FPN's ReLU-conv-BN is `Conv(width, 3, "relu", bias=True)`, MnasFPN's expansion
    `Conv(F, 1, "none", bias=False)`.
    """

    width: int
    kernel: int
    activation: Activation
    bias: bool
    norm: bool = True

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        channels, height, width = inputs[0]
        weights = channels * self.width * self.kernel**2
        params = weights + self.bias * self.width + self.norm * 2 * self.width
        return Cost((self.width, height, width), weights * height * width, params)


@dataclass(frozen=True, slots=True)
class SepConv:
    """Activation, depthwise `kernel` x `kernel`, pointwise to `width`, one batch norm.

    The depthwise part has neither bias nor norm of its own (slim's separable_conv2d,
    facts 2.2).
    """

    width: int
    kernel: int
    activation: Activation
    bias: bool

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        channels, height, width = inputs[0]
        weights = channels * self.kernel**2 + channels * self.width
        params = weights + self.bias * self.width + 2 * self.width
        return Cost((self.width, height, width), weights * height * width, params)


@dataclass(frozen=True, slots=True)
class Project:
    """1x1 convolution and batch norm where the input has not `width` channels already.

    Source: facts 1.2 (tensorflow/tpu resamples channels only if they differ).
    """

    width: int
    bias: bool

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        if inputs[0][0] == self.width:
            return Cost(inputs[0], 0, 0)
        return Conv(self.width, 1, "none", self.bias).cost(inputs, sizes)


@dataclass(frozen=True, slots=True)
class SepProject:
    """`Project` as a separable convolution: depthwise 1x1, pointwise, batch norm.

    Source: facts 1.2 (the separable option of tensorflow/tpu replaces these, too).
    """

    width: int
    bias: bool

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        if inputs[0][0] == self.width:
            return Cost(inputs[0], 0, 0)
        return SepConv(self.width, 1, "none", self.bias).cost(inputs, sizes)


@dataclass(frozen=True, slots=True)
class StridedConv:
    """Activation, convolution from level `source` down to `target`, batch norm.

    Padded as TensorFlow's SAME. A separable one has a depthwise part with the stride
    and a pointwise part, without anything between them, as `SepConv`.
    """

    source: int
    target: int
    width: int
    kernel: int
    activation: Activation
    bias: bool
    norm: bool = True
    separable: bool = False

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        shape = (inputs[0][0], *sizes(self.target))
        if self.separable:
            conv = SepConv(self.width, self.kernel, self.activation, self.bias)
            cost = conv.cost([shape], sizes)
            absent = 0 if self.norm else 2 * self.width
            return Cost(cost.shape, cost.macs, cost.params - absent)
        plain = Conv(self.width, self.kernel, self.activation, self.bias, self.norm)
        return plain.cost([shape], sizes)


@dataclass(frozen=True, slots=True)
class Resample:
    """Bring a feature to the size of level `target`: max-pool down, nearest up.

    Attributes:
        source: level of the input.
        target: level of the output, never equal to `source`.
        kernel: pooling window downwards; 0 means as large as the stride (NAS-FPN),
            MnasFPN's code has 3. Always 0 upwards.
    """

    source: int
    target: int
    kernel: int = 0

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        return Cost((inputs[0][0], *sizes(self.target)), 0, 0)


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum of two or more features of one shape."""

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost; the inputs have one shape."""
        return Cost(inputs[0], 0, 0)


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Sum with a learned weight for each operand.

    `w = relu(v) / (sum of relu(v) + 1e-4)`, v = 1 at first.

    Source: EfficientDet's fast normalised fusion, Tan et al. 2020, section 3.3.
    """

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost; the inputs have one shape."""
        return Cost(inputs[0], 0, len(inputs))


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """Global-pooling attention of (coarse, fine).

    `coarse + fine * sigmoid(max over H, W of coarse)`, per channel.

    Source: NAS-FPN Fig. 4 and released code (facts 0.1). MnasFPN's SE is this op on
    F-channel maps: our reading.
    """

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost; the inputs have one shape."""
        return Cost(inputs[0], 0, 0)


@dataclass(frozen=True, slots=True)
class Residual:
    """(x, skip): `x + skip` where both have the same shape, else `x`.

    Source: MnasFPN's cell-wide residual (facts 2.2).
    """

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost of (x, skip)."""
        return Cost(inputs[0], 0, 0)


@dataclass(frozen=True, slots=True)
class Rolled:
    """The map of another image of the batch: wrong information, right statistics.

    A control: a pyramid whose fusion goes through it should do no better than one
    without any. See `fpnbench.detect.controls` for a batch of one image.
    """

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        return Cost(inputs[0], 0, 0)


@dataclass(frozen=True, slots=True)
class Noise:
    """Gaussian noise of the input's mean and standard deviation: no information.

    A control, as `Rolled`; nothing is learned through it.
    """

    def cost(self, inputs: Sequence[Shape], sizes: LevelSizes) -> Cost:
        """Return the cost on one input."""
        return Cost(inputs[0], 0, 0)


Op = (
    Input
    | Conv
    | SepConv
    | StridedConv
    | Project
    | SepProject
    | Resample
    | Sum
    | WeightedSum
    | GlobalPool
    | Residual
    | Rolled
    | Noise
)
OPS: tuple[type[Op], ...] = get_args(Op)
COMMUTATIVE = (Sum, WeightedSum)
"""Ops whose operands have no order."""
