#!/usr/bin/env bash
# Pillow's own way to read JPEG 2000 at a lower scale, on sides that leave a rest of 1.
#
# Expected: `picture.reduce = n` gives the picture at 1/2**n of its size, whatever its
# sides are; ITU-T T.800 B.5 rounds these up, so 1001 pixels become 251 at a quarter.
# Seen with Pillow 12.3.0: it rounds to the nearest and makes room for 250. Of the same
# whole file 1000, 1002 and 1003 pixels are read at a quarter, and 1001 end as "broken
# data stream". At a half, and in full, all are read.
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pillow==12.3.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io

import numpy as np
import PIL
from PIL import Image

print("Pillow", PIL.__version__)
seen = {}
for width in (1000, 1001, 1002, 1003):
    pixels = np.add.outer(np.arange(800), np.arange(width)) % 256
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG2000", no_jp2=True)
    for halvings in (0, 1, 2):
        with Image.open(io.BytesIO(file.getvalue())) as picture:
            picture.reduce = halvings
            try:
                picture.load()
                seen[width, halvings] = picture.width
            except OSError as error:
                seen[width, halvings] = str(error)
        print(width, "at 1 /", 2**halvings, "->", seen[width, halvings])
broken = [key for key, what in seen.items() if isinstance(what, str)]
assert broken == [(1001, 2)], broken
assert seen[1003, 2] == 251 and seen[1001, 1] == 501
print("as described")
PYTHON
