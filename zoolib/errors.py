"""The errors a user can meet, each with one clear sentence: expected, found, how to mend it."""

from __future__ import annotations


class ZoolibError(Exception):
    """Base of every error zoolib raises on purpose."""


class ConfigError(ZoolibError, ValueError):
    """A setting is unknown, of the wrong type, or out of range. Raised before any work starts."""


class DeviceError(ZoolibError, RuntimeError):
    """A device or a precision that this machine, or this process, cannot give."""


class StoreError(ZoolibError, OSError):
    """A run folder that cannot be written, read, locked or resumed."""


class DamagedCheckpoint(StoreError):
    """A checkpoint whose files do not agree with its manifest."""


class DataError(ZoolibError, ValueError):
    """A data set that is missing, incomplete or not of the expected form."""


class NonFiniteLoss(ZoolibError, ArithmeticError):
    """A loss term became NaN or infinite.

    Attributes:
        step: the 1-based training step at which it happened.
        term: the name of the loss term.
    """

    def __init__(self, message: str, step: int, term: str) -> None:
        super().__init__(message)
        self.step = step
        self.term = term
