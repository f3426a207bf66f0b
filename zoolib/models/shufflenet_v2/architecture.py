"""Which layers a ShuffleNetV2 has (Ma et al. 2018, table 5), as data and without TensorFlow.

Three networks carry the name, and they differ where the paper leaves room:

* `reference`, the TensorFlow 1 code behind the seed document: inside the first unit of a stage the
  main branch keeps the input's width; shuffles stand at the start of units 2 to n;
* `torchvision`: that branch has half the unit's output width; a shuffle ends every unit;
* `megvii`, the authors' own release: there the shortcut keeps the input's width and the main branch
  makes what is left; units 2 to n de-interleave their input, even channels pass.

Only `megvii` has the paper's 146, 299 and 591 million multiply-adds. The reference's 2.0 is 224
channels wide where the others have 244. Widths 0.25 and 0.33 are not the paper's.
"""

from __future__ import annotations

import dataclasses
import functools

from zoolib.errors import ConfigError

# width -> (channels of the first stage, channels of the last convolution)
WIDTHS = {
    "0.25": (24, 512),
    "0.33": (32, 512),
    "0.5": (48, 1024),
    "1.0": (116, 1024),
    "1.5": (176, 1024),
    "2.0": (244, 2048),
}
WIRINGS = ("torchvision", "reference", "megvii")
REPEATS = (4, 8, 4)
STEM = 24  # channels of the first convolution, at all widths
ROOT = "ShuffleNetV2"
STAGES = ("Stage2", "Stage3", "Stage4")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution without bias and the batch norm after it, or the classifier.

    Attributes:
        name: e.g. ``Stage2/unit_1/depthwise``; variables stand below it.
        kind: ``conv``, ``pointwise`` (1 x 1), ``depthwise`` or ``dense``.
        inputs, outputs: channels.
        window, stride: of the kernel.
        size: height and width of the output.
        bias: whether there is one (the classifier's).
    """

    name: str
    kind: str
    inputs: int
    outputs: int
    window: int = 1
    stride: int = 1
    size: int = 1
    bias: bool = False

    @property
    def weights(self) -> int:
        """Entries of the kernel."""
        channels = self.inputs if self.kind == "depthwise" else self.inputs * self.outputs
        return self.window**2 * channels

    @property
    def multiply_adds(self) -> int:
        """For one image; normalisation, ReLU, pooling and shuffles count nothing, as usual."""
        return self.weights * self.size**2


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit of a stage.

    Attributes:
        name: e.g. ``Stage2/unit_1``.
        inputs: channels that enter the processed branch.
        inner: channels inside the processed branch.
        main, shortcut: channels the two branches give.
        stride: 2 in the first unit of a stage, whose shortcut is a branch with layers, too.
        size: height and width of the output.
    """

    name: str
    inputs: int
    inner: int
    main: int
    shortcut: int
    stride: int
    size: int

    @functools.cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Its layers in the order of creation: main branch, then shortcut."""
        window, size = dict(window=3, stride=self.stride), self.size
        before = Layer(
            f"{self.name}/conv1x1_before",
            "pointwise",
            self.inputs,
            self.inner,
            size=size * self.stride,
        )
        depthwise = Layer(
            f"{self.name}/depthwise", "depthwise", self.inner, self.inner, **window, size=size
        )
        after = Layer(f"{self.name}/conv1x1_after", "pointwise", self.inner, self.main, size=size)
        if self.stride == 1:
            return before, depthwise, after
        second = f"{self.name}/second_branch"
        return (
            before,
            depthwise,
            after,
            Layer(
                f"{second}/depthwise", "depthwise", self.inputs, self.inputs, **window, size=size
            ),
            Layer(f"{second}/conv1x1_after", "pointwise", self.inputs, self.shortcut, size=size),
        )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network of the family.

    Args:
        width: a key of WIDTHS.
        wiring: one of WIRINGS.
        num_classes: outputs of the classifier; 0 leaves it out.
        image_size: height and width of the input.
        se: squeeze and excitation behind the processed branch (appendix, table 3).
        residual: the processed branch of units of stride 1 adds its input (appendix, figure 2 c).
        channels: of the three stages, where they are not to be the width's.

    Raises:
        ConfigError: for unknown names, odd channel numbers, or sizes below 32 pixels.
    """

    width: str = "1.0"
    wiring: str = "torchvision"
    num_classes: int = 1000
    image_size: int = 224
    se: bool = False
    residual: bool = False
    channels: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("width", self.width, tuple(WIDTHS)),
            ("wiring", self.wiring, WIRINGS),
        ):
            if value not in known:
                raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
        if self.image_size < 32:
            raise ConfigError(f"image_size: expected at least 32 pixels, got {self.image_size}")
        if self.num_classes < 0:
            raise ConfigError(f"num_classes: expected 0 or more, got {self.num_classes}")
        if any(c % 2 or c < 2 for c in self.stages):
            raise ConfigError(f"channels: expected even numbers, got {self.stages}")
        if self.wiring == "megvii" and self.stages[0] <= STEM:
            raise ConfigError(
                f"width: expected 0.33 or more in the wiring megvii, whose shortcut takes {STEM} "
                f"of the first stage's channels, got {self.width}"
            )

    @property
    def stages(self) -> tuple[int, int, int]:
        """Channels of the three stages."""
        if self.channels is not None:
            return self.channels
        first = 224 if (self.width, self.wiring) == ("2.0", "reference") else WIDTHS[self.width][0]
        return first, 2 * first, 4 * first

    @property
    def last(self) -> int:
        """Channels of the last convolution."""
        return WIDTHS[self.width][1]

    def units(self) -> tuple[tuple[Unit, ...], ...]:
        """The units of each stage."""
        size, inputs, found = _half(_half(self.image_size)), STEM, []
        for stage, outputs, repeats in zip(STAGES, self.stages, REPEATS):
            size, half = _half(size), outputs // 2
            shortcut = inputs if self.wiring == "megvii" else half
            inner = inputs if self.wiring == "reference" else half
            name = f"{ROOT}/{stage}/unit_1"
            units = [Unit(name, inputs, inner, outputs - shortcut, shortcut, 2, size)]
            for number in range(2, repeats + 1):
                name = f"{ROOT}/{stage}/unit_{number}"
                units.append(Unit(name, half, half, half, half, 1, size))
            found.append(tuple(units))
            inputs = outputs
        return tuple(found)

    def layers(self) -> tuple[Layer, ...]:
        """Every layer in the order of creation; squeeze and excitation apart."""
        units = self.units()
        stem = Layer(f"{ROOT}/Conv1", "conv", 3, STEM, 3, 2, _half(self.image_size))
        size = units[-1][-1].size
        last = Layer(f"{ROOT}/Conv5", "pointwise", self.stages[2], self.last, size=size)
        inside = [layer for stage in units for unit in stage for layer in unit.layers]
        if not self.num_classes:
            return (stem, *inside, last)
        bias = self.wiring != "megvii"
        classifier = Layer("classifier", "dense", self.last, self.num_classes, bias=bias)
        return (stem, *inside, last, classifier)


def _half(size: int) -> int:
    """Size after a stride of 2; the same for SAME padding and for a margin of 1."""
    return -(-size // 2)
