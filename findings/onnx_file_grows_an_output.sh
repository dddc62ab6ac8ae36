#!/usr/bin/env bash
# Bytes appended to an ONNX file give its graph an output that it did not have.
#
# Expected: an ONNX model is one message, so a file with bytes after its end is damaged,
# and a value inside of a graph is read with the package onnx, which rewrites the model.
# Seen with onnxruntime 1.32.0 and onnx 1.23.2: protocol buffers merge messages that stand
# one after the other, and both readers let them. 11 bytes that are a model with nothing
# but a graph with nothing but an output `inner` are enough. The session lists it after
# the others and gives its values, type and shape are inferred, and the other outputs
# are the same to the last bit. Only onnx.checker complains, of the type that is inferred.
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

value = helper.make_tensor_value_info
graph = helper.make_graph(
    [
        helper.make_node("Mul", ["x", "x"], ["inner"]),
        helper.make_node("Sqrt", ["inner"], ["y"]),
    ],
    "g",
    [value("x", TensorProto.FLOAT, ["n", 3])],
    [value("y", TensorProto.FLOAT, ["n", 3])],
)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
)
onnx.checker.check_model(model, full_check=True)
plain = model.SerializeToString()

more = b"inner"
for field in (1, 12, 7):  # a value's name, a graph's outputs, a model's graph
    more = bytes([field << 3 | 2, len(more)]) + more
Path("longer.onnx").write_bytes(plain + more)


def run(model, *names):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    x = np.array([[1, -2, 3]], np.float32)
    return [o.name for o in session.get_outputs()], session.run(names, {"x": x})


before, (y,) = run(plain, "y")
after, (same, inner) = run("longer.onnx", "y", "inner")
try:
    onnx.checker.check_model("longer.onnx")
    complaint = ""
except onnx.checker.ValidationError as error:
    complaint = str(error)
seen = {
    "bytes appended": len(more),
    "outputs before": before,
    "outputs after": after,
    "inner": inner.tolist(),
    "y is the same": np.array_equal(y, same),
    "outputs that onnx reads": [o.name for o in onnx.load("longer.onnx").graph.output],
    "onnx.checker": complaint,
}
for name, what in seen.items():
    print(f"{name}: {what}")
assert before == ["y"]
assert after == seen["outputs that onnx reads"] == ["y", "inner"]
assert seen["inner"] == [[1.0, 4.0, 9.0]]
assert seen["y is the same"]
assert "'type'" in complaint
PYTHON
