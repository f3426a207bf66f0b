"""What can be set on an Ascend NPU before it is opened, checked without importing TensorFlow.

Every field names the adapter option it becomes and the flag of the seed scripts it replaces. The
adapter checks little by itself: it accepts `precision_mode` next to `precision_mode_v2`, both
kinds of dump at once and paths that do not exist, and fails later or not at all. So all of that is
checked here.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from typing import Any

from zoolib.errors import ConfigError
from zoolib.runtime.npu_files import (
    check_mixlist,
    json_file,
    makeable_folder,
    profile,
    read_text,
    writable_folder,
)
from zoolib.runtime.npu_precision import MODES, MODES_V2, PRODUCTS, adapter_precision

_UNCHANGED = ("must_keep_origin_dtype", "origin")
_DUMP_STEPS = re.compile(r"\d+(-\d+)?(\|\d+(-\d+)?)*")
_PROFILING_KEYS = ("output", "training_trace", "task_trace", "task_time", "hccl", "aicpu")
_PROFILING_KEYS += ("aic_metrics", "msproftx", "fp_point", "bp_point")


def _option(default: Any, help: str, *aliases: str, choices: tuple = ()) -> Any:
    """A field with the metadata the forms and the command line read (all of them advanced)."""
    metadata = {"help": help, "aliases": aliases, "choices": choices, "advanced": True}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class NpuOptions:
    """Settings of the adapter; an empty string leaves the engine's own default."""

    product: str = _option(
        "910", "Chip generation: Ascend 910, Atlas A2 (910B) or Atlas A3.", choices=PRODUCTS
    )
    precision_mode: str = _option(
        "",
        "Precision by the adapter's name; empty follows the run's precision.",
        choices=("", *MODES),
    )
    precision_mode_v2: str = _option(
        "", "The same in the adapter's second vocabulary; never both.", choices=("", *MODES_V2)
    )
    dump: bool = _option(False, "Write operator inputs or outputs to disk.", "data_dump_flag")
    dump_step: str = _option(
        "10", "Steps to dump, like 0|5|10 or 0|3-5; all means every one.", "data_dump_step"
    )
    dump_mode: str = _option("output", "What is dumped.", choices=("output", "input", "all"))
    dump_data: str = _option(
        "tensor", "Whole tensors or their statistics.", choices=("tensor", "stats")
    )
    dump_layer: str = _option("", "Names of the operators to dump, separated by spaces.")
    over_dump: bool = _option(False, "Write what overflowed to disk.", "overflow_dump")
    over_dump_mode: str = _option(
        "all", "Which overflows.", choices=("all", "aicore_overflow", "atomic_overflow")
    )
    data_save_path: str = _option("", "Existing folder for dumps and profiles.", "dump_path")
    profiling: bool = _option(False, "Record a profile of the device.")
    profiling_options: str = _option("", "JSON object of profiler settings; empty for the usual.")
    modify_mixlist: str = _option(
        "", "JSON file that changes the mixed-precision lists.", "mixlist"
    )
    fusion_switch_file: str = _option("", "JSON file that switches operator fusions.")
    customize_dtypes: str = _option("", "Text file with data types per operator.")
    op_precision_mode: str = _option("", "INI file with precision or speed per operator.")
    op_compiler_cache_mode: str = _option(
        "enable", "Disk cache of compiled operators.", choices=("enable", "disable", "force")
    )
    op_compiler_cache_dir: str = _option("", "Folder of that cache, shared between runs.")
    deterministic: bool = _option(False, "Same result for same input on same hardware; slower.")
    jit_compile: str = _option(
        "auto", "The engine's compilation of operators.", choices=("auto", "true", "false")
    )
    hcom_parallel: bool = _option(False, "Overlap all-reduce with compute; pays for large nets.")

    def validate(self, precision: str = "float32", size: int = 1) -> None:
        """Check values, exclusions and files, in the order of the fields.

        Args:
            precision: the run's precision, a key of `PRECISIONS`.
            size: number of ranks.

        Raises:
            ConfigError: naming the field, what was expected and what came.
        """
        value = self.check(precision)
        if self.dump or self.over_dump:
            writable_folder("data_save_path", self.data_save_path)
        if self.profiling:
            self._check_profile_folder()
        self._check_files(value)
        if size > 1 and self.op_compiler_cache_mode == "force":
            raise ConfigError(
                f"op_compiler_cache_mode: expected enable or disable with {size} ranks (force "
                "lets them overwrite each other's cache), got 'force'"
            )
        if self.op_compiler_cache_dir:
            makeable_folder("op_compiler_cache_dir", self.op_compiler_cache_dir)

    def check(self, precision: str = "float32") -> str:
        """Check what can be checked on any machine: all but files and folders.

        Args:
            precision: the run's precision, a key of `PRECISIONS`.

        Returns:
            The adapter's name of the precision in effect.

        Raises:
            ConfigError: naming the field, what was expected and what came.
        """
        self._check_values()
        value = self.precision_of(precision)[1]
        self._check_dumps()
        self._check_profile()
        return value

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        values = dataclasses.asdict(self)
        return {
            f.name: values[f.name] for f in dataclasses.fields(self) if values[f.name] != f.default
        }

    def precision_of(self, precision: str) -> tuple[str, str]:
        """The adapter option and value in effect for a run's precision; raises ConfigError."""
        return adapter_precision(
            precision, self.product, self.precision_mode, self.precision_mode_v2
        )

    def _check_values(self) -> None:
        types = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), field.metadata["choices"]
            if type(value) is not types[field.name] or (choices and value not in choices):
                kind = {bool: "True or False", str: "text"}[types[field.name]]
                words = ", ".join(repr(choice) for choice in choices)
                domain = f"one of {words}" if choices else kind
                raise ConfigError(f"{field.name}: expected {domain}, got {value!r}")

    def _check_dumps(self) -> None:
        if self.dump and self.over_dump:
            raise ConfigError(
                "over_dump: expected False while dump (data_dump_flag) is on, got True; the device "
                "does one kind of dump at a time"
            )
        ranges = re.findall(r"(\d+)-(\d+)", self.dump_step)
        good = self.dump_step in ("", "all") or _DUMP_STEPS.fullmatch(self.dump_step)
        if not good or any(int(low) > int(high) for low, high in ranges):
            raise ConfigError(
                f"dump_step: expected steps like 0|5|10 or 0|3-5, or all, got {self.dump_step!r}"
            )

    def _check_profile(self) -> None:
        if not self.profiling_options:
            return
        if not self.profiling:
            raise ConfigError(
                "profiling_options: expected profiling to be on with them, got profiling False"
            )
        try:
            values = json.loads(self.profiling_options)
        except ValueError:
            values = None
        if not isinstance(values, dict) or not set(values) <= set(_PROFILING_KEYS):
            raise ConfigError(
                "profiling_options: expected a JSON object with keys of "
                f"{', '.join(_PROFILING_KEYS)}, got {self.profiling_options!r}"
            )

    def _check_profile_folder(self) -> None:
        given = json.loads(self.profiling_options) if self.profiling_options else {}
        if "output" in given:
            writable_folder("profiling_options", given["output"])
        else:
            writable_folder("data_save_path", self.data_save_path)

    def _check_files(self, precision: str) -> None:
        if self.modify_mixlist:
            if "mix" not in precision:
                raise ConfigError(
                    "modify_mixlist: expected a mixed precision with it (such as "
                    f"allow_mix_precision), got {precision}, which reads no list"
                )
            check_mixlist(json_file("modify_mixlist", self.modify_mixlist))
        if self.fusion_switch_file:
            json_file("fusion_switch_file", self.fusion_switch_file)
        if self.customize_dtypes and precision in _UNCHANGED:
            raise ConfigError(
                f"customize_dtypes: expected another precision with it, got {precision}, under "
                "which it has no effect"
            )
        for name in ("customize_dtypes", "op_precision_mode"):
            if getattr(self, name):
                read_text(name, getattr(self, name))

    def assignments(self, precision: str) -> list[tuple[str, Any, bool]]:
        """The adapter options to set, as (dotted name, value, essential), in order.

        Only what differs from the engine's defaults, plus two choices of ours: the operator cache
        on, and no overlap of all-reduce and compute. Those two may be missing in an adapter.
        """
        option, value = self.precision_of(precision)
        result: list[tuple[str, Any, bool]] = [
            (option, value, True),
            ("op_compiler_cache_mode", self.op_compiler_cache_mode, False),
            ("hcom_parallel", self.hcom_parallel, False),
        ]
        if self.dump or self.over_dump:
            result += self._dump_assignments()
        if self.profiling:
            text = profile(self.profiling_options, self.data_save_path)
            result.append(("profiling_config.profiling_options", text, True))
            result.append(("profiling_config.enable_profiling", True, True))
        for name in ("modify_mixlist", "fusion_switch_file", "customize_dtypes"):
            result.append((name, getattr(self, name), True))
        result.append(("op_precision_mode", self.op_precision_mode, True))
        result.append(("op_compiler_cache_dir", self.op_compiler_cache_dir, True))
        result.append(("deterministic", 1 if self.deterministic else "", True))
        result.append(("jit_compile", "" if self.jit_compile == "auto" else self.jit_compile, True))
        return [(name, value, essential) for name, value, essential in result if value != ""]

    def _dump_assignments(self) -> list[tuple[str, Any, bool]]:
        section, path = "dump_config.", ("dump_config.dump_path", self.data_save_path, True)
        if self.over_dump:
            mode = (section + "dump_debug_mode", self.over_dump_mode, True)
            return [path, mode, (section + "enable_dump_debug", True, True)]
        stats = "stats" if self.dump_data == "stats" else ""
        step = "" if self.dump_step == "all" else self.dump_step
        return [
            path,
            (section + "dump_step", step, True),
            (section + "dump_mode", self.dump_mode, True),
            (section + "dump_data", stats, True),
            (section + "dump_layer", self.dump_layer, True),
            (section + "enable_dump", True, True),
        ]
