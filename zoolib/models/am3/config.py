"""Settings of the four few-shot learners; what the earlier scripts' flags mean is in `seed_flags`.

Defaults are those of the published scripts where they have one that means something (spec 2.1);
presets (`presets`) hold the published recipes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from zoolib.core.config import setting
from zoolib.errors import ConfigError
from zoolib.models.am3 import seed_flags
from zoolib.models.am3.settings import TrainingSettings

ATT_INPUTS = ("word", "proto", "word_original", "combined", "queryword", "queryproto")
MIXINGS = ("adaptive", "fixed", "visual", "words")
LAYERS = ("non-linear", "linear")


@dataclasses.dataclass(frozen=True)
class AM3Config(TrainingSettings):
    """Settings of ProtoNet++, AM3-ProtoNet++, TADAM and AM3-TADAM."""

    model = "am3"
    translated = seed_flags.TRANSLATED
    meaningless = seed_flags.MEANINGLESS

    # ---- network
    filters: int = setting(
        64,
        "Channels of the first block.",
        low=1,
        high=1024,
        aliases=("num_filters",),
        advanced=True,
    )
    blocks: int = setting(
        4, "Residual blocks.", low=1, high=8, aliases=("num_blocks",), advanced=True
    )
    units: int = setting(
        3,
        "3x3 convolutions in a block.",
        low=1,
        high=8,
        aliases=("num_units_in_block",),
        advanced=True,
    )
    pools: int = setting(
        3,
        "Blocks that end in a pooling.",
        low=0,
        high=8,
        aliases=("num_max_pools",),
        advanced=True,
    )
    growth: float = setting(
        2.0,
        "Factor of the channels from block to block.",
        low=1.0,
        high=4.0,
        aliases=("block_size_growth",),
        advanced=True,
    )
    most_filters: int = setting(
        4096, "Most channels of a block.", low=1, high=65_536, advanced=True
    )
    activation: str = setting(
        "swish-1",
        "Activation of the backbone.",
        choices=("relu", "selu", "swish-1"),
        advanced=True,
    )
    init_factor: float = setting(
        0.1,
        "Factor of the variance of initial weights.",
        low=0.0,
        high=100.0,
        aliases=("weights_initializer_factor",),
        advanced=True,
    )
    bn_momentum: float = setting(
        0.95, "Weight of the old running statistics.", low=0.0, high=0.9999, advanced=True
    )

    # ---- words
    mixing: str = setting(
        "adaptive",
        "Share of the picture: learned per class, a constant, or pictures or words alone.",
        choices=MIXINGS,
        aliases=("task_encoder",),
    )
    fixed_lambda: float = setting(
        1.0,
        "The constant share of the picture (mixing fixed).",
        low=0.0,
        high=1.0,
        aliases=("alpha",),
    )
    class_names: str = setting(
        "true",
        "shuffled: give the classes one another's names, a control.",
        choices=("true", "shuffled"),
    )
    att_input: str = setting(
        "word",
        "What the share is computed from; word is the published one.",
        choices=ATT_INPUTS,
        advanced=True,
    )
    mlp_type: str = setting(
        "non-linear", "Layers of g, words to prototypes.", choices=LAYERS, advanced=True
    )
    att_type: str = setting("non-linear", "Layers of h, the share.", choices=LAYERS, advanced=True)
    activation_mlp: str = setting(
        "relu", "Activation in g and h.", choices=("relu", "selu", "swish-1"), advanced=True
    )
    hidden: int = setting(
        300, "Units between the layers of g and of h.", low=1, high=4096, advanced=True
    )
    g_dropout: float = setting(
        0.0, "Share of hidden units of g dropped in training.", low=0.0, high=0.99
    )
    h_dropout: float = setting(
        0.0,
        "Share of hidden units of h dropped in training.",
        low=0.0,
        high=0.99,
        aliases=("att_dropout",),
    )

    # ---- metric and task conditioning
    scale: float = setting(
        10.0,
        "Factor of the distances (TADAM variants).",
        low=0.0,
        high=1e4,
        aliases=("metric_multiplier_init",),
    )
    scale_trainable: bool = setting(
        False,
        "Whether the factor is learned.",
        aliases=("metric_multiplier_trainable",),
        advanced=True,
    )
    metric_order: int = setting(
        1,
        "Degree of the polynomial in the distance.",
        low=1,
        high=8,
        aliases=("polynomial_metric_order",),
        advanced=True,
    )
    ten_at_eval: bool = setting(
        True, "Task conditioning also in evaluation; the earlier code lost it there."
    )

    # ---- auxiliary classification (TADAM variants)
    aux: bool = setting(False, "Train the backbone to tell all training classes apart, too.")
    aux_batch: int = setting(
        64,
        "Images of an auxiliary batch.",
        low=1,
        high=4096,
        aliases=("pre_train_batch_size",),
        advanced=True,
    )
    aux_classes: int = setting(
        0,
        "Outputs of the auxiliary head; 0: as many as training classes.",
        low=0,
        high=100_000,
        aliases=("num_classes_pretrain",),
        advanced=True,
    )
    aux_decay: float = setting(
        0.9,
        "Decay of the probability of an auxiliary step.",
        low=0.0,
        high=1.0,
        aliases=("feat_extract_pretrain_decay_rate",),
        advanced=True,
    )
    aux_decay_count: int = setting(
        20,
        "How often the probability decays in a run.",
        low=1,
        high=10_000,
        aliases=("feat_extract_pretrain_decay_n",),
        advanced=True,
    )

    @property
    def semantic(self) -> bool:
        """Whether class names take part."""
        return self.variant.startswith("am3")

    @property
    def conditioned(self) -> bool:
        """Whether the task conditions the backbone (TADAM), with a scaled metric."""
        return self.variant.endswith("tadam")

    @property
    def co_trained(self) -> bool:
        """Whether there is an auxiliary task."""
        return self.aux and self.conditioned

    @property
    def test_shots(self) -> int:
        """Support images per class in testing."""
        return self.eval_shots or self.shots

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the blocks; the last is the width of features and prototypes."""
        grown = [round(self.filters * self.growth**i) for i in range(self.blocks)]
        return tuple(min(width, self.most_filters) for width in grown)

    @property
    def drawn_classes(self) -> tuple[int, int, int]:
        """Training, validation and test classes of generated pictures."""
        return (64, 16, 20)

    def evaluates(self, step: int) -> bool:
        """Whether an evaluation is due after so many steps: coarse, then fine (spec 3.3)."""
        late = self.eval_every_late and 2 * step > self.iterations
        every = self.eval_every_late if late else self.eval_every
        return bool(every) and (step % every == 0 or step == self.iterations)

    def translate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Accept the flags of the earlier scripts and of the seed document."""
        return seed_flags.translate(self, values)

    def check(self) -> None:
        """Refuse settings that contradict one another."""
        if self.pools > self.blocks:
            raise ConfigError(f"pools: expected at most {self.blocks} (blocks), got {self.pools}")
        smallest = 2**self.pools
        if self.image_size < smallest:
            raise ConfigError(
                f"image_size: expected at least {smallest}, which {self.pools} poolings leave one "
                f"place of; got {self.image_size}"
            )
        if self.eval_every_late % self.report_every:
            raise ConfigError(
                f"eval_every_late: expected a multiple of report_every ({self.report_every}), "
                f"got {self.eval_every_late}"
            )
        for queries, ways, on, name in (
            (self.queries, self.ways, self.balanced, "queries"),
            (self.eval_queries, self.eval_ways, self.eval_balanced, "eval_queries"),
        ):
            if on and queries % ways:
                raise ConfigError(
                    f"{name}: expected a multiple of the {ways} ways for balanced queries, "
                    f"got {queries}"
                )
        if not self.semantic and (
            self.class_names != "true" or self.mixing not in ("adaptive", "visual")
        ):
            raise ConfigError(
                "variant: expected am3-protonet++ or am3-tadam for "
                f"class_names={self.class_names} and mixing={self.mixing}, got {self.variant}, "
                "which reads no names"
            )
        if self.aux and not self.conditioned:
            raise ConfigError(
                f"aux: expected tadam or am3-tadam, {self.variant} has no auxiliary task"
            )
