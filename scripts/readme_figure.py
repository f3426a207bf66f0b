"""Draw the picture at the top of the README: preset paper, three methods, two minutes.

python scripts/readme_figure.py
"""

from __future__ import annotations

from pathlib import Path

import zoolib
from zoolib.models.mtnet import figures
from zoolib.ui import plots
from zoolib.ui.style import to_png

TARGET = Path(__file__).resolve().parent.parent / "notebooks" / "figures" / "sine_fits.png"


def main() -> None:
    spec = zoolib.get_model("mtnet")
    variants = {"MAML": "maml", "T-net": "tnet", "MT-net": "mtnet"}
    learners = {
        name: zoolib.train(spec.preset("paper", variant=variant), device="cpu").task
        for name, variant in variants.items()
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(to_png(plots.sine_fits(figures.fits(learners, count=2))))
    print(TARGET.name)


if __name__ == "__main__":
    main()
