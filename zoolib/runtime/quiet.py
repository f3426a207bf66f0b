"""Import TensorFlow without its lines about devices, which no setting of its own silences."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Import TensorFlow with the process's standard error set aside.

    For programs that own their process (the command line), whose one line about an error would be
    lost among the others. What was set aside is shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow

            # The first look at devices has a line of its own where a GPU's driver is missing.
            tensorflow.config.list_physical_devices("GPU")
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def import_tensorflow_in_kernel() -> None:
    """The same in a notebook's kernel, where those lines would stand in red below a cell.

    Does nothing elsewhere: a program decides itself what its standard error shows. Nor where
    ``TF_CPP_MIN_LOG_LEVEL=0`` asks for everything, or without a TensorFlow to import.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if "tensorflow" in sys.modules or getattr(shell, "kernel", None) is None:
        return
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "0" and importlib.util.find_spec("tensorflow"):
        import_tensorflow()
