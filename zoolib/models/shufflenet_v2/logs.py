"""Log files as the earlier Ascend scripts leave them, for tools that read those (spec 5.4, 3.6).

Below ``log_dir``: the training log under ``log_name``; and ``output/DEVICE/`` with
``train_DEVICE.log`` (lines of TensorFlow's estimator), ``train_CASE_loss.txt`` (a loss per line)
and ``CASE.log`` (key = value), where CASE is ``ShuffleNetV2_bsBATCH_RANKSp_acc`` and DEVICE the
number of the device. "TrainAccuracy" is the validation accuracy, as it is there.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from zoolib.core.events import Evaluated, Event, Finished, Started, Stepped
from zoolib.runtime.device import current


def logged(events: Iterable[Event]) -> Iterator[Event]:
    """Pass events on, writing the log files along the way; nothing where no log_dir is set.

    Of several ranks the first alone writes.

    Args:
        events: of :func:`zoolib.run`.
    """
    log = None
    try:
        for event in events:
            if isinstance(event, Started):
                session, config = current(), event.config
                if config.log_dir.lower() != "none" and not (session and session.rank):
                    log = SeedLog(config, session.size if session else 1)
            if log is not None:
                log.note(event)
            yield event
    finally:
        close = getattr(events, "close", None)
        if close:
            close()


class SeedLog:
    """Writes what events tell.

    Args:
        config: the run's :class:`~zoolib.models.shufflenet_v2.config.ShuffleNetConfig`.
        devices: ranks of the run.
        device: number in the files' names; ASCEND_DEVICE_ID, or 0.
    """

    def __init__(self, config: Any, devices: int = 1, device: str | None = None) -> None:
        self.config, self.devices = config, devices
        number = device or os.environ.get("ASCEND_DEVICE_ID", "0")
        self.case = f"ShuffleNetV2_bs{config.batch_size}_{devices}p_acc"
        root = Path(config.log_dir)
        self.folder = root / "output" / number
        self.folder.mkdir(parents=True, exist_ok=True)
        self.training = root / config.log_name
        self.device_log = self.folder / f"train_{number}.log"
        self.losses = self.folder / f"train_{self.case}_loss.txt"
        self.start, self.rate, self.last, self.top1 = time.monotonic(), 0.0, {}, None

    def note(self, event: Event) -> None:
        """Write what belongs to one event."""
        if isinstance(event, Started):
            for path in (self.training, self.device_log, self.losses):
                if event.step == 0:
                    path.write_text("", encoding="utf-8")
            header = "step epoch images/s loss total_loss lr step_time"
            self._append(self.training, f"# {header}")
        elif isinstance(event, Stepped):
            self.rate = event.steps_per_second
            if event.report:
                self._report(event.step, event.metrics)
        elif isinstance(event, (Evaluated, Finished)) and event.metrics:
            self._evaluated(event.step, event.metrics)
            if isinstance(event, Finished):
                self._summary()

    def _report(self, step: int, row: dict[str, float]) -> None:
        config, self.last = self.config, row
        images = self.rate * config.batch_size * self.devices
        epoch = step / config.steps_per_epoch(self.devices)
        self._append(
            self.training,
            f"step {step} epoch {epoch:.2f} images/s {images:.1f} "
            f"loss {row['cross_entropy_loss']:.6f} total_loss {row['loss']:.6f} "
            f"lr {row['learning_rate']:.8f} step_time {1 / max(self.rate, 1e-9):.4f}",
        )
        self._append(self.device_log, f"INFO:tensorflow:global_step/sec: {self.rate:.5f}")
        self._append(self.device_log, f"INFO:tensorflow:loss = {row['loss']:.7f}, step = {step}")
        self._append(self.losses, f"{row['loss']:.7f}")

    def _evaluated(self, step: int, metrics: dict[str, float]) -> None:
        if "top1" not in metrics:
            return
        self.top1 = metrics["top1"]
        told = (
            f"accuracy = {metrics['top1']:.6f}, global_step = {step}, "
            f"loss = {metrics['eval_loss']:.6f}, top5_accuracy = {metrics['top5']:.6f}"
        )
        line = f"INFO:tensorflow:Saving dict for global step {step}: {told}"
        self._append(self.device_log, line)

    def _summary(self) -> None:
        config, fps = self.config, self.rate * self.config.batch_size * self.devices
        values = {
            "Network": "ShuffleNetV2",
            "RankSize": self.devices,
            "BatchSize": config.batch_size,
            "DeviceType": platform.machine(),
            "CaseName": self.case,
            "ActualFPS": f"{fps:.2f}",
            "TrainingTime": f"{1000.0 / max(self.rate, 1e-9):.2f}",
            "TrainAccuracy": f"{self.top1:.6f}" if self.top1 is not None else "",
            "ActualLoss": f"{self.last['loss']:.7f}" if self.last else "",
            "E2ETrainingTime": round(time.monotonic() - self.start),
        }
        lines = "".join(f"{name} = {value}\n" for name, value in values.items())
        (self.folder / f"{self.case}.log").write_text(lines, encoding="utf-8")

    @staticmethod
    def _append(path: Path, line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
