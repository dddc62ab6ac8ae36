"""Which library Keras runs on, and what to do where it can't.

The variable KERAS_BACKEND names it, else Keras's own file `keras.json`, else it is
TensorFlow. This module must be importable where Keras is not.
"""

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL = {
    "tensorflow": "pip install -r requirements.txt",
    "jax": "pip install -e '.[jax]'",
}
"""Libraries that this project trains on, and what installs each."""


class BackendError(RuntimeError):
    """Keras can't run, or train, on the library that it is to use."""


def check() -> None:
    """Raise BackendError if Keras runs on what can't train; it loads Keras."""
    import keras

    backend = keras.backend.backend()
    if backend in ("numpy", "openvino"):
        raise BackendError(
            f"Keras can't train on {backend}, which {_asked()[1]} asks for. Set "
            "KERAS_BACKEND=tensorflow or KERAS_BACKEND=jax before the command."
        )


@contextmanager
def keras_explained() -> Iterator[None]:
    """Say what to do where Keras does not load because of how it is set up.

    Raises:
        BackendError: its library is unknown or not installed, or its file is wrong.
    """
    try:
        yield
    except (ImportError, ValueError, AttributeError, TypeError) as error:
        if told := _explain(error):
            raise told from error
        raise


def _explain(error: Exception) -> BackendError | None:
    """Return what to do about an error, None if it is not of Keras's loading."""
    frames = traceback.walk_tb(error.__traceback__)
    names = (str(frame.f_globals.get("__name__")) for frame, _ in frames)
    if "keras" in sys.modules or not any(name.startswith("keras.") for name in names):
        return None
    backend, where = _asked()
    if backend is not None and not (isinstance(backend, str) and backend in INSTALL):
        return BackendError(
            f"{where} asks Keras to run on {backend!r}; expected {' or '.join(INSTALL)}"
            ". Set KERAS_BACKEND=tensorflow before the command."
        )
    if backend is not None and importlib.util.find_spec(backend) is None:
        there = next((name for name in INSTALL if importlib.util.find_spec(name)), None)
        instead = f", or set KERAS_BACKEND={there} before the command" if there else ""
        return BackendError(
            f"{where} asks Keras to run on {backend}, which is not installed. Install "
            f"it with `{INSTALL[backend]}`{instead}."
        )
    if isinstance(error, ImportError) and "flax" in str(error):
        return BackendError(
            "Keras is asked for NNX, which this project does not use, by the variable "
            f"KERAS_NNX_ENABLED or by {_file()}. Set KERAS_NNX_ENABLED=false and take "
            "nnx_enabled out of that file."
        )
    if not isinstance(error, ImportError):
        return BackendError(
            f"Keras does not take what {_file()} says ({error}). Mend or remove that "
            "file, and run the command again."
        )
    return None


def _asked() -> tuple[str | None, str]:
    """Return which library Keras is to run on, and what says so."""
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, "the variable KERAS_BACKEND"
    try:
        settings = json.loads(_file().read_text())
    except (OSError, ValueError):  # Keras does without it, too
        return None, ""
    known = settings if isinstance(settings, dict) else {}
    return known.get("backend"), str(_file())


def _file() -> Path:
    """Return where Keras reads its settings."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"], "keras.json")
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")
    return home / ".keras" / "keras.json"
