#!/bin/sh
# Little CMS, given 16-bit grey of linear light, shows dark tones at half their value.
#
# imagecodecs 2026.3.6 (Little CMS 2.18), numpy 2.4.6, Python 3.11, Linux, seen 2026-11-30.
# A profile of grey with the power 1 (linear light, as detectors and renderers store it)
# to sRGB: whole numbers of 16 bits and floats of the same values should give the same
# picture. They do above 5 % of full light. Below 3 % the whole numbers come out up to
# twice too dark (light 0.001 as 0.0063 instead of 0.0129), because the transform for 16
# bits is put into a table of few, evenly spaced steps, and sRGB is steep next to black.
# The flag that forbids this (cmsFLAGS_NOOPTIMIZE, 0x100) makes both agree.
#
# Output seen:
#   light    float    16 bits  16 bits, not optimised
#   0.001    0.0129   0.0063   0.0130
#   0.003    0.0388   0.0187   0.0388
#   0.010    0.0998   0.0620   0.0998
#   0.020    0.1517   0.1241   0.1517
#   0.050    0.2478   0.2440   0.2478
#   0.500    0.7354   0.7354   0.7354
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q imagecodecs==2026.3.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import imagecodecs
import numpy as np

light = np.array([[0.001, 0.003, 0.01, 0.02, 0.05, 0.5]])
grey, screen = imagecodecs.cms_profile("gray", gamma=1.0), imagecodecs.cms_profile("srgb")
spaces = {"colorspace": "gray", "outcolorspace": "rgb"}


def shown(dtype, full, flags=None):
    stored = np.rint(light * full) if full > 1 else light
    out = imagecodecs.cms_transform(
        stored.astype(dtype), grey, screen, outdtype=dtype, flags=flags, **spaces
    )
    return out[0, :, 1] / full


floats, whole = shown("float32", 1), shown("uint16", 65535)
slow = shown("uint16", 65535, flags=0x100)
print("light    float    16 bits  16 bits, not optimised")
for row in zip(light[0], floats, whole, slow):
    print("{:.3f}    {:.4f}   {:.4f}   {:.4f}".format(*row))
half = (whole / floats)[:2]
as_seen = (half < 0.55).all() and abs(whole - floats)[4:].max() < 0.005
agree = abs(slow - floats).max() < 0.001
print("as seen" if as_seen and agree else "this has changed")
sys.exit(0 if as_seen and agree else 1)
PYTHON
