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
    LABELS,
    Classifier,
    ImageError,
    Prediction,
    describe_map,
    explain,
    percent,
    say_place,
)

from ..contract import METHODS
from ..serving.encode import encode_jpeg, encode_png
from ..serving.overlay import COLOUR_MAPS, STRENGTH, by_method, enlarge, outline
from ..serving.unlike import Unlike
from . import measurements, words

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
_MAP_SIDE = 128  # longest side of a map on its way; the page enlarges it
_NEAR = 0.07  # of the bar: numbers that are nearer to each other would touch


def in_words(classifier: Classifier, prediction: Prediction) -> dict:
    """Return what is said of a prediction: heading, sentence, warnings, the bar.

    Of one that the gate refused, nothing vouches: no band of the bar, no note on what
    such answers were worth.
    """
    certain, p, refused = prediction.certain, prediction.p_pneumonia, ()
    bands = _bands(classifier, prediction)
    (here,) = (band for band in bands if band["here"])
    sentence = words.CERTAIN_SENTENCE if certain else words.UNCERTAIN_SENTENCE
    if not prediction.valid:
        refused, sentence = prediction.refused_for, words.NOT_VALID_SENTENCE
    return {
        "valid": prediction.valid,
        "heading": heading(prediction),
        "sentence": sentence.format(p=percent(p), label=prediction.label),
        "kind": kind(prediction),
        "label": prediction.label,
        "p": p,
        "percent": percent(p),
        "refused": [explain(code) for code in refused],
        "warnings": [explain(c) for c in prediction.warnings if c not in refused],
        "done": _done(prediction),
        "where": say_place(prediction),
        "bands": bands if prediction.valid else [],
        "edges": _edges(classifier.uncertain_band) if prediction.valid else [],
        "here": here["text"] if prediction.valid else "",
        "note": _note(classifier, here["name"]) if prediction.valid else "",
    }


def heading(prediction: Prediction) -> str:
    """Return an answer in a few words: its label, that it is none, or why not valid."""
    if not prediction.valid:
        why = explain(prediction.refused_for[0], short=True)
        return words.NOT_VALID.format(why=why)
    return prediction.label if prediction.certain else words.UNCERTAIN


def kind(prediction: Prediction) -> str:
    """Return what kind of answer it is, as style sheets name it."""
    return prediction.verdict if prediction.valid else "invalid"


def context(
    classifier: Classifier,
    prediction: Prediction,
    links: Sequence[dict] = (),
    truth: str = "",
) -> dict:
    """Return what the template `answer.html` shows of a prediction.

    Args:
        classifier: what answered.
        prediction: the answer.
        links: what it offers to save, from `report.links`.
        truth: what physicians called it, where that is known.
    """
    captions = measurements.captions(classifier)
    if not prediction.valid:
        captions = dict.fromkeys(captions, words.MAP_NOT_VALID)
    return in_words(classifier, prediction) | {
        "words": words,
        "links": links,
        "truth": truth,
        "compared": truth and _compared(prediction, truth),
        "compares": classifier.can_compare,
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
        keep: offer what `static/asking.js` asks for: reports, and a map of what is
            unlike the training X-rays.
    """
    shown = context(classifier, prediction, truth=truth)
    return one_line("answer.html", keep=keep, **shown)


def _compared(prediction: Prediction, truth: str) -> str:
    """Say what physicians called it, and that the network is wrong where it is."""
    said = words.TRUTH.format(truth=truth)
    wrong = prediction.valid and prediction.certain and prediction.label != truth
    return f"{said} {words.WRONG_HERE}" if wrong else said


def render_refusal(
    error: ImageError, offer: bool = True, compares: bool = False
) -> str:
    """Return why there is no answer, as one line of HTML.

    Args:
        error: says why.
        offer: show buttons of what would be answered all the same.
        compares: show a button for what is unlike the training X-rays, too.
    """
    offers = error.offers if offer else ()
    shown = {"message": str(error), "offers": offers}
    compares = compares and bool(offers)
    return one_line("refusal.html", words=words, compares=compares, **shown)


def render_unlike(found: Unlike) -> str:
    """Return a map of what is unlike the training X-rays, as one line of HTML."""
    label, methods = words.UNLIKE["label"], words.UNLIKE["methods"]
    maps, said = {}, {}
    for name, coarse in found.maps.items():
        text = words.UNLIKE["where" if found.counts[name] else "nowhere"]
        text = text.format(count=found.counts[name], cells=coarse.size)
        maps[methods[name]] = {label: coarse}
        said[methods[name]] = {label: f"{text} {words.UNLIKE['caption']}"}
    first = next(iter(maps))
    look = _drawn(found.pixels, found.box, maps) | {
        "places": said,
        "captions": {
            methods[name]: words.UNLIKE["captions"][name] for name in found.maps
        },
        "first": {label: first},
        "lungs": _path(outline(found.lungs)) if found.lungs_found else "",
        "labels": [label],
        "label": label,
        "strength": STRENGTH,
        "done": _done(found),
        "wishes": {"invert": int(found.inverted), "turned": found.turned},
        "words": words.VIEWER | words.UNLIKE["viewer"],
        "refused": "",
    }
    shown = {"look": json.dumps(look), "said": said[first][label]}
    return one_line("unlike.html", words=words, **shown)


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


def _done(prediction: Prediction | Unlike) -> str:
    """Return what was done to the picture first, in sentences."""
    done = [words.INVERTED] * prediction.inverted
    done += [words.TURNED[prediction.turned]] if prediction.turned else []
    return " ".join(done)


def sharp_picture(read: Callable, data: bytes, wishes: dict) -> bytes:
    """Return a file's picture for looking closely, as a JPEG file.

    Args:
        read: what decodes uploads.
        data: the file.
        wishes: `invert`: 1 exchanges black and white. `turned`: by how many degrees it
            is turned to the left. `mirror`: 1 exchanges left and right before that.
            `small`: 1 is as sharp as an answer's picture.

    Raises:
        ImageError: as `read`.
    """
    sharp = {} if wishes.get("small") == "1" else {"sharp": True}
    pixels = read(data, **sharp).pixels
    if wishes.get("mirror") == "1":
        pixels = pixels[:, ::-1]
    if wishes.get("invert") == "1":
        pixels = 255 - pixels
    turns = {"90": 1, "180": 2, "270": 3}.get(wishes.get("turned"), 0)
    return encode_jpeg(np.ascontiguousarray(np.rot90(pixels, turns)))


def _edges(band: tuple[float, float]) -> list[dict]:
    """Return the numbers below the bar: in per cent, and where they stand."""
    low, high = band
    ends = [(0.0, "start"), (low, "middle"), (high, "middle"), (1.0, "end")]
    if high - low < _NEAR:
        ends[1:3] = [(low, "end"), (high, "start")]
    kept = [ends[0]] * (low > _NEAR) + ends[1:3] + [ends[3]] * (1 - high > _NEAR)
    return [{"at": at, "text": f"{100 * at:.0f}", "anchor": side} for at, side in kept]


def _bands(classifier: Classifier, prediction: Prediction) -> list[dict]:
    """Return the three bands of the bar: what is said, from where to where."""
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
            "name_only": words.BAND_NAMES[name],
            "text": words.BANDS[name].format(low=f"{low:.0%}", high=f"{high:.0%}"),
        }
        for name, (start, end) in edges.items()
    ]


def _note(classifier: Classifier, band: str) -> str:
    """Return what answers in a band of the bar were worth on held-out patients."""
    worth = measurements.bands(classifier)
    if not worth:
        return words.BAND_NOT_MEASURED
    bands, ece = worth
    found = bands[band]
    if not found["n"]:
        return words.BAND_EMPTY
    return words.BAND_MEASURED.format(
        n=found["n"], of_100=_of_100(found["pneumonia"]), ece=ece
    )


def _of_100(share: float) -> str:
    """Write a share as a count of 100, but never as none or all of them."""
    count = round(100 * share)
    return (
        words.HARDLY_ANY
        if not count
        else words.NEARLY_ALL
        if count > 99
        else f"{count}"
    )


def _look(classifier: Classifier, prediction: Prediction) -> dict:
    """Return what the viewer draws from; the browser colours and blends by itself."""
    chosen, tested = prediction.method, classifier.tested
    begin = {prediction.label: chosen or METHODS[0]}
    drawn = by_method(prediction.maps[None], prediction.evidence[None])
    maps = {
        method: dict(zip(LABELS, of_labels, strict=True))
        for method, (of_labels,) in drawn.items()
    }
    return _drawn(prediction.pixels, prediction.box, maps) | {
        "places": {
            method: {
                label: describe_map(label, heat, prediction)
                for label, heat in of_labels.items()
            }
            for method, of_labels in maps.items()
        },
        "first": {label: tested[label] or METHODS[0] for label in LABELS} | begin,
        "lungs": _path(outline(prediction.lungs)) if prediction.lungs_found else "",
        "refused": "" if prediction.valid else heading(prediction),
        "labels": LABELS,
        "label": prediction.label,
        "strength": STRENGTH if chosen else 0,
        "done": _done(prediction),
        "wishes": {"invert": int(prediction.inverted), "turned": prediction.turned},
        "words": words.VIEWER,
    }


def _drawn(pixels: np.ndarray, box: np.ndarray, maps: dict) -> dict:
    """Return the viewer's picture and maps.

    Args:
        pixels: uint8 (H, W).
        box: what the maps are of.
        maps: float32 (8, 8) in [0, 1], by method and label. One of zeros is left out.
    """
    height, width = pixels.shape
    scale = min(1.0, _MAP_SIDE / max(height, width))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    return {
        "picture": data_uri("image/jpeg", encode_jpeg(pixels)),
        "width": width,
        "height": height,
        "maps": {
            method: {
                label: _grey(enlarge(heat, shape, box))
                for label, heat in of_labels.items()
                if heat.any()
            }
            for method, of_labels in maps.items()
        },
        "colours": COLOUR_MAPS,
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
