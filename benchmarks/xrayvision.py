"""The way of torchxrayvision's own example, for `peers.torchxrayvision_way`.

A DenseNet-121 at 224 x 224, on PyTorch. Its weights are random, which takes as long.
Runs in a process of its own, because PyTorch and TensorFlow crash in one. Reads the
size of a file in bytes and the file, again and again, and writes a byte for each.
"""

import io
import sys

import numpy as np
import torch
import torchxrayvision as xrv
from PIL import Image


def main() -> None:
    """Answer one file after another."""
    model = xrv.models.DenseNet(num_classes=18).eval()
    crop, resize = xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)
    files, done = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # the library prints
    while size := files.readline():
        data = files.read(int(size))
        grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        image = resize(crop(xrv.datasets.normalize(grey, 255)[None]))
        with torch.no_grad():
            model(torch.from_numpy(image)[None])
        done.write(b".")
        done.flush()


if __name__ == "__main__":
    main()
