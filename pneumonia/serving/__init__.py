"""Pixels to answer. NumPy, Pillow and ONNX Runtime; never Keras."""
