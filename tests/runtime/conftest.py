"""Makes the helper of the scenario files importable, as it is in the processes it starts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
