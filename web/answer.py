"""A prediction as a piece of a page, the same in both apps.

It is HTML without scripts: `static/viewer.js` gives life to the `<xray-viewer>` in it.
Pictures are embedded in it as data URIs, so that no file has to be kept.
"""

import base64
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
import numpy as np

from pneumonia import (
    COLOUR_MAPS,
    LABELS,
    METHODS,
    STRENGTH,
    Classifier,
    ImageError,
    Prediction,
    by_method,
    describe_map,
    encode_jpeg,
    encode_png,
    enlarge,
    explain,
    outline,
    percent,
)

from . import measured, words

TEMPLATES = Path(__file__).parent.parent / "templates"
_MAP_SIDE = 256  # longest side of a map on its way; the page enlarges it


def in_words(classifier: Classifier, prediction: Prediction) -> dict:
    """Return what is said of a prediction: heading, sentence, warnings, the bar."""
    certain, p = prediction.certain, prediction.p_pneumonia
    zones = _zones(classifier, prediction)
    (here,) = (zone for zone in zones if zone["here"])
    sentence = words.CERTAIN_SENTENCE if certain else words.UNCERTAIN_SENTENCE
    return {
        "heading": prediction.label if certain else words.UNCERTAIN,
        "sentence": sentence.format(p=percent(p), label=prediction.label),
        "kind": prediction.label.lower() if certain else "uncertain",
        "label": prediction.label,
        "p": p,
        "percent": percent(p),
        "warnings": [explain(code) for code in prediction.warnings],
        "done": _done(prediction),
        "zone": prediction.zone,
        "zones": zones,
        "here": here["text"],
        "note": _note(classifier, here["name"]),
    }


def context(
    classifier: Classifier, prediction: Prediction, links: Sequence[dict] = ()
) -> dict:
    """Return what the template `answer.html` shows of a prediction.

    Args:
        classifier: what answered.
        prediction: the answer.
        links: what it offers to save, from `report.links`.
    """
    captions = measured.captions(classifier)
    return in_words(classifier, prediction) | {
        "words": words,
        "links": links,
        "method": prediction.method,
        "caption": captions[prediction.method or METHODS[0]],
        "look": json.dumps(_look(classifier, prediction) | {"captions": captions}),
    }


def render(
    classifier: Classifier,
    prediction: Prediction,
    truth: str = "",
    keep: bool = False,
) -> str:
    """Return what `context` returns as one line of HTML.

    Args:
        classifier: what answered.
        prediction: the answer.
        truth: what physicians called it, where that is known.
        keep: offer reports, which `static/one.js` asks for.
    """
    shown = context(classifier, prediction)
    return one_line("answer.html", truth=truth, keep=keep, **shown)


def render_refusal(error: ImageError, offer: bool = True) -> str:
    """Return why there is no answer, as one line of HTML.

    Args:
        error: says why.
        offer: show buttons of what would be answered all the same.
    """
    offers = error.offers if offer else ()
    return one_line("refusal.html", words=words, message=str(error), offers=offers)


def render_limit(most: int, say: str, busy: str = "", folder: str = "") -> str:
    """Return what refuses uploads before they are sent, as one line of HTML.

    Args:
        most: how many bytes are taken.
        say: what is said of more, with places for `size` and `limit` in MiB.
        busy: what is said while others are worked on.
        folder: what is said of a folder; empty where its files are taken.
    """
    told = {"say": say, "busy": busy, "folder": folder}
    return one_line("limit.html", words=words, most=most, **told)


def data_uri(kind: str, data: bytes) -> str:
    """Return a file as an address that holds it, such as of an `image/png`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _done(prediction: Prediction) -> str:
    """Return what was done to the picture first, in sentences."""
    turned = words.TURNED.format(degrees=prediction.turned)
    done = {words.INVERTED: prediction.inverted, turned: prediction.turned}
    return " ".join(sentence for sentence, holds in done.items() if holds)


def sharp_picture(read: Callable, data: bytes, wishes: dict) -> bytes:
    """Return a file's picture for looking closely, as a JPEG file.

    Args:
        read: what decodes uploads.
        data: the file.
        wishes: `invert`: 1 exchanges black and white. `turned`: by how many degrees it
            is turned to the left. `mirror`: 1 exchanges left and right before that.

    Raises:
        ImageError: as `read`.
    """
    pixels = read(data, sharp=True).pixels
    if wishes.get("mirror") == "1":
        pixels = pixels[:, ::-1]
    if wishes.get("invert") == "1":
        pixels = 255 - pixels
    turns = {"90": 1, "180": 2, "270": 3}.get(wishes.get("turned"), 0)
    return encode_jpeg(np.ascontiguousarray(np.rot90(pixels, turns)))


def _zones(classifier: Classifier, prediction: Prediction) -> list[dict]:
    """Return the three zones of the bar: what is said, from where to where."""
    low, high = classifier.uncertain_band
    at = prediction.p_pneumonia
    edges = {"below": (0.0, low), "in": (low, high), "above": (high, 1.0)}
    here = "in" if not prediction.certain else "below" if at < low else "above"
    return [
        {
            "name": name,
            "start": start,
            "width": end - start,
            "here": name == here,
            "text": words.ZONES[name].format(low=f"{low:.0%}", high=f"{high:.0%}"),
        }
        for name, (start, end) in edges.items()
    ]


def _note(classifier: Classifier, zone: str) -> str:
    """Return what answers in a zone of the bar were worth on held-out patients."""
    worth = measured.zones(classifier)
    if not worth:
        return words.ZONE_NOT_MEASURED
    zones, ece = worth
    found = zones[zone]
    if not found["n"]:
        return words.ZONE_EMPTY
    return words.ZONE_MEASURED.format(
        n=found["n"],
        share=percent(found["pneumonia"]),
        ece=ece,
    )


def _look(classifier: Classifier, prediction: Prediction) -> dict:
    """Return what the viewer draws from; the browser colours and blends by itself."""
    chosen, tested = prediction.method, classifier.tested
    begin = {prediction.label: chosen or METHODS[0]}
    height, width = prediction.pixels.shape
    scale = min(1.0, _MAP_SIDE / max(height, width))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    maps = by_method(prediction.maps[None], prediction.evidence[None])
    return {
        "picture": data_uri("image/jpeg", encode_jpeg(prediction.pixels)),
        "width": width,
        "height": height,
        "maps": {
            method: {
                label: _grey(enlarge(heat, shape, prediction.box))
                for label, heat in zip(LABELS, of_labels, strict=True)
                if heat.any()
            }
            for method, (of_labels,) in maps.items()
        },
        "places": {
            method: {
                label: describe_map(label, heat, prediction)
                for label, heat in zip(LABELS, of_labels, strict=True)
            }
            for method, (of_labels,) in maps.items()
        },
        "first": {label: tested[label] or METHODS[0] for label in LABELS} | begin,
        "lungs": _path(outline(prediction.lungs)),
        "labels": LABELS,
        "label": prediction.label,
        "strength": STRENGTH if chosen else 0,
        "colours": COLOUR_MAPS,
        "done": _done(prediction),
        "wishes": {"invert": int(prediction.inverted), "turned": prediction.turned},
        "words": words.VIEWER,
    }


def _grey(heatmap: np.ndarray) -> str:
    """Return a heat map as the address of a grey PNG."""
    pixels = np.rint(heatmap * 255).astype(np.uint8)
    return data_uri("image/png", encode_png(pixels))


def _path(pieces: np.ndarray) -> str:
    """Return a line in pieces as an SVG path, a thousand units to a side."""
    whole = np.rint(1000 * pieces).astype(int).tolist()
    return "".join(f"M{x} {y}L{to_x} {to_y}" for (y, x), (to_y, to_x) in whole)


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True
    )


def one_line(name: str, **context: object) -> str:
    """Render a template without line breaks: in Markdown an empty line ends HTML."""
    return " ".join(_environment().get_template(name).render(context).split())
