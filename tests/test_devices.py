"""Where training computes: two virtual devices find the loss of one; Keras's set-up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pneumonia.data.phantom import draw
from pneumonia.training.runs import read_history

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parent.parent
TWO = {
    "tensorflow": (
        "import tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "half = tf.config.LogicalDeviceConfiguration()\n"
        "tf.config.set_logical_device_configuration(cpu, [half, half])\n"
    ),
    "jax": (
        "import os\n"
        "os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=2'\n"
    ),
}
RUN = (
    f"import sys\nsys.path.append({str(ROOT / 'tests' / 'helpers')!r})\n"
    "import narrow\nfrom pneumonia.__main__ import main\n"
    "with narrow.narrow():\n    main({})\n"
)
SETTINGS = {
    "images_per_epoch": "8",
    "batch_size": "4",
    "dropout": "0",  # every device would draw its own
    "standardize": "true",
    "condition": "true",
    "learning_rate": "0.01",
}


@pytest.mark.parametrize("backend", TWO)
def test_two_devices_find_the_loss_of_one(backend, tmp_path):
    pytest.importorskip(backend)
    for label, name in (("NORMAL", "IM-{:04}-0001"), ("PNEUMONIA", "person{}_virus_1")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(24):
            spots = ((0.5, 0.4, 0.2),) if label == "PNEUMONIA" else ()
            picture = Image.fromarray(draw(number, spots, size=128))
            picture.save(tmp_path / "data" / label / f"{name.format(number)}.png")
    running = []
    for devices in ("one", "all"):  # at once: most of each is one thread's work
        out = tmp_path / devices
        command = ["train", str(tmp_path / "data"), "--out", str(out), "--epochs", "2"]
        command += ["--recipe", "published", "--backbone-weights", "random"]
        command += ["--devices", devices]
        for setting in SETTINGS.items():
            command += ["--set", "=".join(setting)]
        with (tmp_path / f"{devices}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", TWO[backend] + RUN.format(command)],
                cwd=ROOT,
                env=os.environ
                | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=log,
                stderr=log,
            )
        running.append((out, process))
    losses = []
    for out, process in running:
        process.wait()
        assert process.returncode == 0, out.with_suffix(".log").read_text()[-2000:]
        losses.append([[row["loss"], row["val_loss"]] for row in read_history(out)])
    one, both = np.array(losses)
    assert one.shape == (2, 2)
    np.testing.assert_allclose(both, one, rtol=1e-3)
    assert np.ptp(one[:, 0]) > 0.01  # it did learn something in between


def test_batches_that_cannot_be_shared_are_said(tmp_path):
    script = (
        TWO["tensorflow"]
        + "from pneumonia.training.devices import DevicesError, placed\n"
        "try:\n"
        "    with placed('all', 'float32', 15):\n"
        "        print('went in')\n"
        "except DevicesError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert "2 devices can't share batches of 15 evenly" in done.stdout
    assert "batch_size=14" in done.stdout


KERAS = (
    "import keras, pneumonia.network\n"
    "built = pneumonia.network.vgg19.build()\n"
    "print(built.features.output_shape, built.classifier.dtype_policy.name,\n"
    "      keras.config.epsilon(), keras.config.max_epochs())\n"
)
MAIN = "from pneumonia.__main__ import main\nmain(['train', 'none', '--out', 'none'])\n"
SETUPS = {
    "a typo": (MAIN, {"KERAS_BACKEND": "tensorflwo"}, None, "expected tensorflow or"),
    "not installed": (
        f"import sys\nsys.modules['jax'] = None\n{MAIN}",
        {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        None,
        "jax, which is not installed. Install it with `pip install",
    ),
    "by file": (MAIN, {}, {"backend": "mxnet"}, "keras.json asks Keras to run on 'mx"),
    "a list": (
        MAIN,
        {},
        {"backend": ["jax"]},
        "to run on ['jax']; expected tensorflow",
    ),
    "NNX": (
        MAIN,
        {"KERAS_NNX_ENABLED": "1"},
        None,
        "asked for NNX, which this project",
    ),
    "no such type": (MAIN, {}, {"floatx": "float128"}, "does not take what"),
    "no settings": (MAIN, {}, ["channels_first"], "Mend or remove that file"),
    "others' settings": (
        KERAS,
        {"KERAS_MAX_EPOCHS": "1"},
        {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.01},
        "(None, 8, 8, 512) float32 1e-07 None",
    ),
}
"""What runs, with which variables, with which keras.json, and what it says."""


def test_how_keras_is_set_up_is_said_or_does_not_matter(tmp_path):
    running = {}
    for number, (name, (script, variables, settings, _)) in enumerate(SETUPS.items()):
        home = tmp_path / str(number)
        home.mkdir()
        if settings is not None:
            (home / "keras.json").write_text(json.dumps(settings))
        clean = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
        running[name] = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=clean | variables | {"KERAS_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    for name, process in running.items():
        out, errors = process.communicate()
        *_, expected = SETUPS[name]
        if name == "others' settings":
            assert out.strip() == expected, errors[-2000:]
        else:
            assert process.returncode == 1, name
            assert expected in errors.strip().splitlines()[-1], errors[-2000:]
            assert "Traceback" not in errors, errors[-2000:]
