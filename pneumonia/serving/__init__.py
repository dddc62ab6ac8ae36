"""Bytes to answer. NumPy, Pillow, pydicom and ONNX Runtime; never Keras."""
