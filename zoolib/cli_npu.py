"""`zoolib npu-check MODEL`: would this method's step run on an Ascend NPU as it is?"""

from __future__ import annotations

import json
from typing import Any

import zoolib
from zoolib.cli_options import Parser, train_parser
from zoolib.errors import ConfigError
from zoolib.runtime.quiet import import_tensorflow


def npu_check(words: list[str]) -> int:
    """Check a model's step for the NPU, on any machine.

    Args:
        words: the command line behind ``npu-check``: a model, then its options.

    Returns:
        0 if nothing stands against it, 1 if something does.

    Raises:
        ConfigError: for unknown models, options or values.
    """
    if words[:1] in (["-h"], ["--help"]):
        print(f"usage: zoolib npu-check MODEL [options]; MODEL is one of {zoolib.list_models()}")
        return 0
    if not words or words[0].startswith("-"):
        raise ConfigError(f"npu-check: expected a model, one of {', '.join(zoolib.list_models())}")
    spec = zoolib.get_model(words[0])
    options = _parser(spec).parse_args(words[1:])
    given = {k[3:]: v for k, v in vars(options).items() if k.startswith("c__") and v is not None}
    config = spec.preset(options.preset or "tutorial", **given)

    import_tensorflow()  # now that it is needed
    from zoolib.core.npu_check import check_model

    report = check_model(config)
    print(json.dumps(report.to_dict(), allow_nan=False) if options.json else report.table())
    return 0 if report.ok else 1


def _parser(spec: Any) -> Parser:
    """The options of `train`, so that a command line can be checked before it is started."""
    parser = train_parser(spec)
    parser.prog = f"zoolib npu-check {spec.name}"
    parser.description = (
        f"{spec.title}: every operator of its step by where an Ascend NPU runs it. Takes a command "
        "line of train; only the preset, the settings and --json have an effect."
    )
    return parser
