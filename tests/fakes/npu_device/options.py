"""`global_options()` with the assignment rules of the adapter, and refusal where it is silent."""

from __future__ import annotations

from typing import Any

from .contract import ContractViolation, memory

_MODES = [
    "force_fp32",
    "allow_fp32_to_fp16",
    "force_fp16",
    "must_keep_origin_dtype",
    "allow_mix_precision",
    "cube_fp16in_fp32out",
    "allow_mix_precision_fp16",
    "allow_mix_precision_bf16",
    "allow_fp32_to_bf16",
]
_MODES_V2 = ["fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16"]
_SWITCH = [True, False]


class Option:
    """One option: reading it gives this object, whose value is None or a string."""

    def __init__(self, default: Any = None, optional: list | None = None) -> None:
        self.default, self.optional, self._value = default, optional, default

    @property
    def value(self) -> str | None:
        """As the engine receives it: booleans as 1 and 0, nothing if unset."""
        if self._value is None:
            return None
        return {"True": "1", "False": "0"}.get(str(self._value), str(self._value))

    @value.setter
    def value(self, value: Any) -> None:
        if self.optional is not None and value not in self.optional:  # by ==: 1 passes for True
            other_type = self.default is not None and not isinstance(value, type(self.default))
            kind = TypeError if other_type else ValueError
            raise kind(f"{value!r} ({type(value).__name__}) is not one of {self.optional}")
        self._value = value


class Section:
    """A group of options with fixed names."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if name not in fields:
            raise ValueError(f"no option {name}, all options: {sorted(fields)}")
        if memory.handle is not None:
            raise ContractViolation(
                f"option {name} set after open(): the adapter copied its options and ignores this"
            )
        if isinstance(fields[name], Section):
            raise ContractViolation(
                f"assignment to the section {name} silently removes it: set its fields"
            )
        fields[name].value = value
        memory.record("option", name, value)

    def as_dict(self) -> dict[str, str]:
        """What the engine receives."""
        result: dict[str, str] = {}
        for name, item in self.__dict__.items():
            if isinstance(item, Section):
                result.update(item.as_dict())
            elif item.value is not None:
                result[name] = item.value
        return result


def make_options() -> Section:
    """The options of a current adapter, or of an older one (FAKE_NPU_LEGACY=1)."""
    open_domain = (
        "fusion_switch_file modify_mixlist customize_dtypes op_precision_mode "
        "op_compiler_cache_dir graph_compiler_cache_dir op_debug_config debug_dir "
        "graph_exec_timeout enable_scope_fusion_passes stream_max_parallel_num hcom_multi_mode "
        "op_select_implmode optypelist_for_implmode variable_format_optimize op_debug_level "
        "graph_memory_max_size variable_memory_max_size"
    )
    fields: dict[str, Any] = {name: Option() for name in open_domain.split()}
    fields.update(
        graph_run_mode=Option(1, [0, 1]),
        precision_mode=Option(None, _MODES),
        precision_mode_v2=Option(None, _MODES_V2),
        deterministic=Option(0, [0, 1]),
        op_compiler_cache_mode=Option("enable", ["enable", "disable", "force"]),
        jit_compile=Option("auto", ["true", "false", "auto"]),
        hcom_parallel=Option(True, _SWITCH),
        is_tailing_optimization=Option(False, _SWITCH),
        enable_small_channel=Option(False, _SWITCH),
        enable_exception_dump=Option(2, [0, 1, 2]),
        overflow_flag=Option(1, [0, 1]),
        stream_sync_timeout=Option(-1),
        event_sync_timeout=Option(-1),
        topo_sorting_mode=Option(None, [0, 1, None]),
        external_weight=Option(False, _SWITCH),
        dump_config=_dump(),
        profiling_config=Section(
            enable_profiling=Option(False, _SWITCH), profiling_options=Option()
        ),
        aoe_config=Section(
            aoe_mode=Option(None, ["1", "2", "4"]), work_path=Option("./"), aoe_config_file=Option()
        ),
        memory_config=Section(
            static_memory_policy=Option(0, [0, 1, 2]), atomic_clean_policy=Option(0, [0, 1])
        ),
    )
    if memory.legacy:  # names and domains come and go between releases
        for name in ("precision_mode_v2", "graph_compiler_cache_dir", "hcom_parallel"):
            del fields[name]
        fields["jit_compile"] = Option(False, _SWITCH)
        fields["op_compiler_cache_mode"] = Option("disable", ["enable", "disable", "force"])
    return Section(**fields)


def _dump() -> Section:
    return Section(
        enable_dump=Option(False, _SWITCH),
        dump_path=Option(),
        dump_step=Option(),
        dump_mode=Option("output", ["input", "output", "all"]),
        dump_data=Option("tensor", ["tensor", "stats"]),
        dump_layer=Option(),
        enable_dump_debug=Option(False, _SWITCH),
        dump_debug_mode=Option("all", ["aicore_overflow", "atomic_overflow", "all"]),
    )
