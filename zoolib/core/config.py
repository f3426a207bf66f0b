"""Settings of a run: one frozen dataclass per model, and what can be read off its fields.

A field is declared once, with its help, unit, range or choices and the names it has in the seed
documents. The widgets, the command line, the JSON file, the table in the notebook and the error
messages all come from that declaration.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from typing import Any, ClassVar

from zoolib.errors import ConfigError

_META = "zoolib"
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Everything known about one field of a config.

    Attributes:
        name: the field's name.
        type: ``bool``, ``int``, ``float`` or ``str``.
        default: value of the bare config class.
        help: one sentence for forms, ``--help`` and tables.
        unit: what the number counts or measures; empty for names and switches.
        low, high: inclusive bounds of a number, ``None`` where open.
        choices: the only valid values, empty where any is.
        aliases: other accepted names, as the seed documents spell them.
        advanced: shown only on request.
        internal: kept in files, but neither shown nor accepted from outside.
    """

    name: str
    type: type
    default: Any
    help: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple = ()
    aliases: tuple[str, ...] = ()
    advanced: bool = False
    internal: bool = False

    def parse(self, value: Any) -> Any:
        """Return ``value`` as this setting's type, within its domain.

        Text is read the way a command line means it (``"1e3"`` is a valid integer, ``"on"`` a
        valid switch).

        Raises:
            ConfigError: naming the field, the value and the valid ones.
        """
        if self.type is str and value is None:
            value = "none"  # the seed scripts spell "no normalisation" as None
        try:
            converted = _convert(value, self.type)
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(self._complaint(value)) from None
        if self.choices and converted not in self.choices and isinstance(converted, str):
            folded = {str(choice).lower(): choice for choice in self.choices}
            converted = folded.get(converted.lower(), converted)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        inside = self.type in (bool, str) or low <= converted <= high
        if not inside or (self.choices and converted not in self.choices):
            raise ConfigError(self._complaint(value))
        return converted

    def domain(self) -> str:
        """The valid values in words, e.g. ``"an integer from 1 to 64"``."""
        if self.choices:
            return "one of " + ", ".join(str(choice) or "''" for choice in self.choices)
        if self.type is bool:
            return "true or false"
        if self.type is str:
            return "text"
        noun = "an integer" if self.type is int else "a finite number"
        if self.low is not None and self.high is not None:
            return f"{noun} from {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{noun} of at least {self.low:g}"
        return f"{noun} of at most {self.high:g}" if self.high is not None else noun

    def _complaint(self, value: Any) -> str:
        return f"{self.name}: expected {self.domain()}, got {value!r}"


def setting(default: Any, help: str, **metadata: Any) -> Any:
    """Declare a dataclass field with the metadata of :class:`Setting`."""
    return dataclasses.field(default=default, metadata={_META: {"help": help, **metadata}})


def _convert(value: Any, kind: type) -> Any:
    """Convert without losing information: 2.5 is not an int, "maybe" not a switch."""
    if kind is str:
        if not isinstance(value, str):
            raise TypeError(value)
        return value
    if kind is bool:
        text = str(value).strip().lower()
        if text not in _TRUE + _FALSE:
            raise ValueError(value)
        return text in _TRUE
    if isinstance(value, bool):
        raise TypeError(value)
    if kind is int and isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = float(value)
    number = float(value)
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise ValueError(value)
    return int(value) if kind is int else number


def normal_name(name: str) -> str:
    """Fold a field name as typed: dashes are underscores, capitals do not matter."""
    return name.strip().lstrip("-").replace("-", "_").lower()


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings every model has; a model's config inherits from it.

    Construction checks every value and raises :class:`ConfigError` at the first bad one.
    """

    model: ClassVar[str] = ""
    # Seed-document names that `translate` understands, and those that mean nothing here.
    translated: ClassVar[tuple[str, ...]] = ()
    meaningless: ClassVar[tuple[str, ...]] = ()

    preset: str = setting("custom", "The preset these settings started from.", internal=True)
    seed: int = setting(0, "Seed of every random number of the run.", low=0, high=2**31 - 1)
    iterations: int = setting(1000, "Training steps.", unit="steps", low=1, high=10**9)
    report_every: int = setting(
        100, "Steps between two rows of the history.", unit="steps", low=1, advanced=True
    )
    eval_every: int = setting(
        0,
        "Steps between evaluations during training; 0 evaluates at the end only.",
        unit="steps",
        low=0,
        advanced=True,
    )
    checkpoint_every: int = setting(
        1000, "Steps between checkpoints.", unit="steps", low=1, advanced=True
    )

    swa_start: int = setting(
        0,
        "Average the weights (SWA) after this step; 0: never.",
        unit="steps",
        low=0,
        advanced=True,
    )
    swa_every: int = setting(
        100,
        "Steps between two snapshots of the weights, and of a learning-rate cycle.",
        unit="steps",
        low=1,
        advanced=True,
    )
    swa_lr: float = setting(
        0.0,
        "Step size while averaging, lowest of a cycle; 0 leaves the method's schedule alone.",
        low=0.0,
        high=1e4,
        advanced=True,
    )
    swa_lr2: float = setting(
        0.0,
        "Highest step size of a cycle; 0: no cycles, swa_lr throughout.",
        low=0.0,
        high=1e4,
        advanced=True,
    )
    swa_window: int = setting(
        0, "Average the last so many snapshots; 0: all of them.", low=0, high=1000, advanced=True
    )

    def __post_init__(self) -> None:
        for item in self.settings():
            object.__setattr__(self, item.name, item.parse(getattr(self, item.name)))
        if self.eval_every % self.report_every:
            raise ConfigError(
                f"eval_every: expected a multiple of report_every ({self.report_every}), "
                f"got {self.eval_every}"
            )
        self._check_swa()
        self.check()

    def _check_swa(self) -> None:
        if self.swa_start and self.swa_start + self.swa_every > self.iterations:
            raise ConfigError(
                f"swa_start: expected at most iterations - swa_every "
                f"({self.iterations - self.swa_every}), so that there is a snapshot; "
                f"got {self.swa_start}"
            )
        if self.swa_lr2 and not self.swa_lr <= self.swa_lr2:
            raise ConfigError(
                f"swa_lr2: expected 0 or at least swa_lr ({self.swa_lr:g}), got {self.swa_lr2:g}"
            )

    @property
    def small_dense(self) -> bool:
        """Whether a step is many small dense products, for which one compiled loop pays off."""
        return False

    @property
    def images_per_step(self) -> int:
        """What a progress bar counts instead of steps, per device; 0: it counts steps."""
        return 0

    def evaluation_line(self, step: int, metrics: dict[str, float], ranks: int = 1) -> str:
        """How an evaluation during training is told above the bar; empty: it is not told."""
        return ""

    def evaluates(self, step: int) -> bool:
        """Whether an evaluation during training is due after so many steps."""
        every = self.eval_every
        return bool(every) and (step % every == 0 or step == self.iterations)

    def check(self) -> None:
        """Check what involves more than one field; models override it. Raises ConfigError."""

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """The declaration of every field, in order."""
        types = typing.get_type_hints(cls)
        return tuple(
            Setting(name=f.name, type=types[f.name], default=f.default, **f.metadata[_META])
            for f in dataclasses.fields(cls)
        )

    def translate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Turn seed-document settings that are no single field into fields; models override it.

        ``values`` has folded names (:func:`normal_name`); what is not given stays as it is.
        """
        return values

    @classmethod
    def names(cls) -> dict[str, Setting]:
        """Every accepted spelling, folded, and the setting it means."""
        table: dict[str, Setting] = {}
        for item in cls.settings():
            if not item.internal:
                for name in (item.name, *item.aliases):
                    table[normal_name(name)] = item
        return table

    def replace(self, **changes: Any) -> Config:
        """A copy with some settings changed; seed-document names are accepted.

        Raises:
            ConfigError: for an unknown name, a value out of its domain, or one setting given twice.
        """
        table, fields = self.names(), {}
        folded = {normal_name(name): value for name, value in changes.items()}
        for name, value in self.translate(folded).items():
            item = table.get(name)
            if item is None:
                raise ConfigError(self._unknown(name, table))
            if item.name in fields and fields[item.name] != item.parse(value):
                raise ConfigError(f"{item.name}: given twice, the second time as {name}={value!r}")
            fields[item.name] = item.parse(value)
        return dataclasses.replace(self, **fields)

    def _unknown(self, name: str, table: dict[str, Setting]) -> str:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        valid = ", ".join(item.name for item in self.settings() if not item.internal)
        return f"{name}: not a setting of {self.model or 'this model'}{hint} Valid: {valid}"

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, in order; JSON-ready."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The inverse of :meth:`to_dict`; refuses unknown names (ConfigError)."""
        known = {item.name for item in cls.settings()}
        for name in values:
            if name not in known:
                raise ConfigError(f"{name}: not a setting of {cls.model}; is the file newer?")
        return cls(**values)

    def diff(self, other: Config) -> dict[str, tuple[Any, Any]]:
        """Settings in which two configs differ: name -> (mine, theirs)."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {
            name: (mine.get(name), theirs.get(name))
            for name in {**mine, **theirs}
            if mine.get(name) != theirs.get(name) and name != "preset"
        }
