"""Write the folder of a Hugging Face Space: the demo, ready to run as it is."""

import shutil
import sys
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement

from ...contract import HUB_DATASETS, NOTICE, PACKAGE
from .. import words

_PACKAGE = Path(__file__).parents[2]
_BESIDE = ("LICENSE", "MODEL_CARD.md")  # where this is a clone of the repository
_FORMER = ("demo.py", "web", "static", "templates")  # parts of a Space before
_OF_GIT = (".git", ".gitattributes")  # a Space's own repository, just cloned
_NOT_SERVED = ("*.h5", "__pycache__")  # the same network for Keras, and leavings
_NOT_NEEDED = {"flask", "gunicorn", "shtab"}  # of the form and of the command line
SHORT = "Pneumonia on a chest X-ray? Where, how sure, or why not"
"""What the Hub shows below the title: at most 60 characters."""

_FRONT = """\
---
title: "{title}"
emoji: 🫁
colorFrom: blue
colorTo: gray
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
suggested_hardware: cpu-basic
short_description: "{short}"
pinned: false
license: mit
tags:
- chest-x-ray
- pneumonia
- radiology
- medical
- grad-cam
datasets:
{datasets}
{models}---

{notice}
"""
_APP = '''\
"""Start the demo as a Space: open to everybody, framed by the page of the Space."""

import os
import sys

from pneumonia.web.demo.app import main

main(
    [
        *("--host", "0.0.0.0", "--public"),
        *("--port", os.environ.get("GRADIO_SERVER_PORT", "7860")),
        *("--rate", "0"),  # all come through one proxy, which limits it by itself
        *("--embed", "https://huggingface.co"),
        *sys.argv[1:],
    ]
)
'''


def write(out: Path, model: str | None = None) -> None:
    """Write the folder anew; what else lies in it stays, such as its `.git`.

    Args:
        out: the folder, which must be none that something else wrote.
        model: OWNER/NAME of the page of the weights, which the Space's page links.

    Raises:
        FileExistsError: it holds something, and no Space of this project.
    """
    out.mkdir(parents=True, exist_ok=True)
    app = out / "app.py"
    is_ours = app.is_file() and app.read_bytes().startswith(_APP.encode()[:80])
    if any(path.name not in _OF_GIT for path in out.iterdir()) and not is_ours:
        raise FileExistsError(f"{out} holds something else; name a new folder.")
    for part in (_PACKAGE.name, *_FORMER):
        if (out / part).is_dir():
            shutil.rmtree(out / part)
        else:
            (out / part).unlink(missing_ok=True)
    shutil.copytree(
        _PACKAGE, out / _PACKAGE.name, ignore=shutil.ignore_patterns(*_NOT_SERVED)
    )
    for name in _BESIDE:
        if (_PACKAGE.parent / "pyproject.toml").exists():
            shutil.copy(_PACKAGE.parent / name, out)
    front = _FRONT.format(
        title=words.TITLE,
        short=SHORT,
        gradio=version("gradio"),
        python=".".join(map(str, sys.version_info[:2])),
        datasets="\n".join(f"- {name}" for name in HUB_DATASETS.values()),
        models=f"models:\n- {model}\n" if model else "",
        notice=NOTICE,
    )
    (out / "README.md").write_text(front, encoding="utf-8")
    app.write_text(_APP, encoding="utf-8")
    (out / "requirements.txt").write_text("\n".join(_requirements()) + "\n")


def _requirements() -> list[str]:
    """Return what the demo needs, each in the version that is installed here.

    What these need in turn is left open: the Hub installs extras of Gradio beside it,
    which ask for other versions of that.
    """
    needed = map(Requirement, requires(PACKAGE) or [])
    return [
        f"{one.name}=={version(one.name)}"
        for one in needed
        if one.name not in _NOT_NEEDED
        and (one.marker is None or one.marker.evaluate({"extra": "apps"}))
    ]
