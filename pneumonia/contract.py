"""Facts that all rooms share, each written once, here."""

from pathlib import Path

VERSION = "0.2.0"
"""Of the package. pyproject.toml reads it here, and CHANGELOG.md says what changed."""

PACKAGE = "pneumonia-xray"
"""How it is called where packages are installed from, and in files that it writes."""

LABELS = ("Normal", "Pneumonia")
"""What the network tells apart, in the order of its outputs."""

METHODS = ("HiResCAM", "Grad-CAM")
"""How a heat map is drawn."""

TESTED = "tested"
"""In place of a method: the one that passed its test for the label that is answered."""

NOTICE = (
    "Research demonstration, not a medical device. It learned from children of one "
    "hospital and knows only two answers; it must not guide the care of anyone."
)
"""What every page and every answer says where people look."""

ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins; the second is an empty one's."""

PICTURE_SIZE = 224
"""Height and width to which a picture is squashed; the lungs are looked for there."""

IMAGE_SIZE = 128
"""Height and width of what VGG19 sees, the crop to the lungs, in pixels."""

BUNDLE_FORMAT = 2
"""Which layout of `bundle.json` is read and written."""

BUNDLE = Path(__file__).parent / "bundle"
"""Folder of the bundle that ships."""

PHANTOMS = Path(__file__).parent / "phantoms"
"""Folder of the drawn chests that ship. They are no X-rays."""

EXAMPLES = Path(__file__).parent / "examples"
"""Folder of the real X-rays that ship."""

HUB_DATASETS = {
    "children": "hf-vision/chest-xray-pneumonia",
    "adults": "alkzar90/NIH-Chest-X-ray-dataset",
}
"""Copies, on the Hugging Face Hub, of what the network that ships learned from."""
