"""Precisions of an Ascend NPU: zoolib's names and the adapter's own, and what each becomes.

On an NPU the graph stays float32 and the engine lowers it by one of these modes; a mixed graph on
top of an engine mode would round twice. Imports no TensorFlow.
"""

from __future__ import annotations

from zoolib.errors import ConfigError

PRODUCTS = ("910", "a2", "a3")

# float32 on a 910: the chip has no float32 convolution, pooling or top-k, so keeping float32 sends
# them to the AI CPU or fails. `allow_fp32_to_fp16` (the vendor's default there) lets products take
# float16 inputs and keeps vector operators and updates in float32. Later chips keep float32.
PRECISIONS: dict[str, tuple[str, str]] = {
    "float32": ("precision_mode", "allow_fp32_to_fp16"),
    "mixed_float16": ("precision_mode", "allow_mix_precision"),
    "mixed_bfloat16": ("precision_mode", "allow_mix_precision_bf16"),
    "allow_fp32_to_fp16": ("precision_mode", "allow_fp32_to_fp16"),
    "allow_mix_precision": ("precision_mode", "allow_mix_precision"),
    "allow_mix_precision_fp16": ("precision_mode", "allow_mix_precision_fp16"),
    "allow_mix_precision_bf16": ("precision_mode", "allow_mix_precision_bf16"),
    "allow_fp32_to_bf16": ("precision_mode", "allow_fp32_to_bf16"),
    "must_keep_origin_dtype": ("precision_mode", "must_keep_origin_dtype"),
    "cube_fp16in_fp32out": ("precision_mode", "cube_fp16in_fp32out"),
    "force_fp32": ("precision_mode", "force_fp32"),
    "force_fp16": ("precision_mode", "force_fp16"),
    "origin": ("precision_mode_v2", "origin"),
    "fp16": ("precision_mode_v2", "fp16"),
}
MODES = tuple(name for name, pair in PRECISIONS.items() if pair == ("precision_mode", name))
MODES_V2 = ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16")
NOTES = {
    "force_fp16": "float16 throughout; made for inference",
    "fp16": "float16 throughout; made for inference",
    "must_keep_origin_dtype": "no float32 convolution kernels on a 910: very slow there, or fails",
    "origin": "no float32 convolution kernels on a 910: very slow there, or fails",
    "cube_fp16in_fp32out": "the most accurate mode a 910 has for convolutions",
    "force_fp32": "the most accurate mode a 910 has for convolutions",
    "allow_mix_precision": "fastest; losses must be scaled",
}
_LOSS_SCALED = (
    "allow_mix_precision",
    "allow_mix_precision_fp16",
    "mixed_float16",
    "force_fp16",
    "fp16",
)


def offered(product: str = "910") -> tuple[str, ...]:
    """The precisions a chip generation can do; the first is the default."""
    return tuple(name for name in PRECISIONS if product != "910" or not _bfloat16(name))


def adapter_precision(
    precision: str, product: str = "910", mode: str = "", mode_v2: str = ""
) -> tuple[str, str]:
    """The adapter option and value of a precision.

    Args:
        precision: a key of `PRECISIONS`, from the run.
        product: one of `PRODUCTS`.
        mode: `precision_mode` where it was given by itself, as the seed scripts do.
        mode_v2: likewise `precision_mode_v2`.

    Raises:
        ConfigError: for an unknown precision, two that contradict each other, or one the chip
            does not have.
    """
    if precision not in PRECISIONS:
        raise ConfigError(
            f"precision: expected one of {', '.join(offered(product))} on an NPU, got {precision!r}"
        )
    if mode and mode_v2:
        raise ConfigError(
            "precision_mode_v2: expected nothing while precision_mode is set, got "
            f"{mode_v2!r} beside {mode!r}; give one of the two"
        )
    found = PRECISIONS[precision]
    if precision == "float32" and product != "910":
        found = ("precision_mode", "must_keep_origin_dtype")
    given = ("precision_mode", mode) if mode else ("precision_mode_v2", mode_v2)
    if given[1]:
        if precision != "float32" and given[1] not in (precision, found[1]):
            raise ConfigError(
                f"{given[0]}: expected nothing or {found[1]} with precision {precision}, got "
                f"{given[1]!r}; give one of the two"
            )
        found = given
    if product == "910" and _bfloat16(found[1]):
        raise ConfigError(
            f"{found[0]}: expected one of {', '.join(offered(product))}, got {found[1]!r}; Ascend "
            "910 has no bfloat16 (an Atlas A2 or A3 does: set product to a2 or a3)"
        )
    return found


def needs_loss_scaling(precision: str) -> bool:
    """Whether gradients pass through float16, whose range needs a scaled loss.

    Args:
        precision: a key of `PRECISIONS` or a value of an adapter option.
    """
    return PRECISIONS.get(precision, ("", precision))[1] in _LOSS_SCALED


def _bfloat16(name: str) -> bool:
    return "bf16" in name or "bfloat16" in name
