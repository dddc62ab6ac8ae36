"""Write the folder of a Hugging Face Space: the demo, ready to run as it is."""

import shutil
import tomllib
from importlib.metadata import version
from pathlib import Path

from .. import words

_ROOT = Path(__file__).parents[3]
_PARTS = ("demo.py", "LICENSE", "MODEL_CARD.md", "pneumonia")
_FORMER = ("web", "static", "templates")  # parts of a Space that 0.1 wrote
_OF_GIT = (".git", ".gitattributes")  # a Space's own repository, just cloned
_NOT_SERVED = ("*.h5", "__pycache__")  # the same network for Keras, and leavings
_FRONT = """\
---
title: "{title}"
sdk: gradio
sdk_version: {gradio}
python_version: "3.12"
app_file: app.py
license: mit
---

{title} A research demonstration, not a medical device: see MODEL_CARD.md.
"""
_APP = '''\
"""Start the demo as a Space: open to everybody, framed by the page of the Space."""

import sys

from demo import main

# All come through one proxy, which limits the rate by itself.
sys.argv += ["--host", "0.0.0.0", "--public", "--rate", "0"]
sys.argv += ["--embed", "https://huggingface.co"]
main()
'''


def write(out: Path) -> None:
    """Write the folder anew; what else lies in it stays, such as its `.git`.

    Args:
        out: the folder, which must be none that something else wrote.

    Raises:
        FileExistsError: it holds something, and no Space of this project.
        FileNotFoundError: the package was installed without the repository around it.
    """
    if not (_ROOT / "pyproject.toml").exists():
        raise FileNotFoundError("A Space is written by a clone of the repository alone")
    out.mkdir(parents=True, exist_ok=True)
    app = out / "app.py"
    is_ours = app.is_file() and app.read_bytes().startswith(_APP.encode()[:80])
    if any(path.name not in _OF_GIT for path in out.iterdir()) and not is_ours:
        raise FileExistsError(f"{out} holds something else; name a new folder.")
    for part in (*_PARTS, *_FORMER):
        if (out / part).is_dir():
            shutil.rmtree(out / part)
    for part in _PARTS:
        source = _ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns(*_NOT_SERVED)
            shutil.copytree(source, out / part, ignore=ignore)
        else:
            shutil.copy(source, out)
    front = _FRONT.format(title=words.TITLE, gradio=version("gradio"))
    (out / "README.md").write_text(front, encoding="utf-8")
    (out / "app.py").write_text(_APP, encoding="utf-8")
    (out / "requirements.txt").write_text("\n".join(_requirements()) + "\n")


def _requirements() -> list[str]:
    """Return what the demo needs: no training framework, and no Flask."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    apps = project["optional-dependencies"]["apps"]
    return project["dependencies"] + [
        name for name in apps if not name.startswith("flask")
    ]
