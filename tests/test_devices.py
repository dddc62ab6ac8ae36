"""Where training computes: two virtual devices find the loss of one; Keras's set-up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawings import data_set

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
SETTINGS = ["images_per_epoch=8", "batch_size=4", "learning_rate=0.01"]
SETTINGS += ["standardize=true", "condition=true"]
SETTINGS += ["dropout=0"]  # every device would draw its own


@pytest.mark.parametrize("backend", TWO)
def test_two_devices_find_the_loss_of_one(backend, tmp_path):
    pytest.importorskip(backend)
    data_set(tmp_path / "data", 24, ill=lambda: ((0.5, 0.4, 0.2),))
    running = []
    for devices in ("one", "all"):  # at once: most of each is one thread's work
        out = tmp_path / devices
        command = ["train", str(tmp_path / "data"), "--out", str(out)]
        command += ["--epochs", "2", "--recipe", "published", "--devices", devices]
        command += ["--backbone-weights", "random"]
        for setting in SETTINGS:
            command += ["--set", setting]
        set_up = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        with (tmp_path / f"{devices}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", TWO[backend] + RUN.format(command)],
                **{"cwd": ROOT, "env": os.environ | set_up},
                **{"stdout": log, "stderr": log},
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
NO_JAX = f"import sys\nsys.modules['jax'] = None\n{MAIN}"
JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
OTHERS = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.01}
SETUPS = [
    (MAIN, {"KERAS_BACKEND": "tensorflwo"}, None, "expected tensorflow or"),
    (NO_JAX, JAX, None, "jax, which is not installed. Install it with `pip install"),
    (MAIN, {}, {"backend": "mxnet"}, "keras.json asks Keras to run on 'mx"),
    (MAIN, {}, {"backend": ["jax"]}, "to run on ['jax']; expected tensorflow"),
    (MAIN, {"KERAS_NNX_ENABLED": "1"}, None, "asked for NNX, which this project"),
    (MAIN, {}, {"floatx": "float128"}, "does not take what"),
    (MAIN, {}, ["channels_first"], "Mend or remove that file"),
    (KERAS, {"KERAS_MAX_EPOCHS": "1"}, OTHERS, "(None, 8, 8, 512) float32 1e-07 None"),
]
"""What runs, with which variables, with which keras.json, and what it says."""


def test_how_keras_is_set_up_is_said_or_does_not_matter(tmp_path):
    running = []
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
    for number, (script, variables, settings, _) in enumerate(SETUPS):
        home = tmp_path / str(number)
        home.mkdir()
        if settings is not None:
            (home / "keras.json").write_text(json.dumps(settings))
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            **{"cwd": ROOT, "text": True},
            env=clean | variables | {"KERAS_HOME": str(home)},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
        )
        running.append(process)
    for (script, *_, expected), process in zip(SETUPS, running, strict=True):
        out, errors = process.communicate()
        if script is KERAS:
            assert out.strip() == expected, errors[-2000:]
        else:
            assert process.returncode == 1, expected
            assert expected in errors.strip().splitlines()[-1], errors[-2000:]
            assert "Traceback" not in errors, errors[-2000:]
