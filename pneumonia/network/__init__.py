"""The network: VGG19 in Keras, its heat maps, and both as one ONNX graph."""

from .vgg19 import load as load
