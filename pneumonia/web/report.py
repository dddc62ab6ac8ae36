"""One page to print or to save: an answer with what it rests on. No patient in it.

Neither the file's name nor anything that it says of a person is taken over.
"""

import dataclasses
import datetime
import html
import io

from reportlab import rl_config
from reportlab.graphics.shapes import Drawing, Line, Polygon, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Image, Paragraph, SimpleDocTemplate, Spacer, Table

from pneumonia import LABELS, Classifier, Prediction, describe_map, say_place

from ..contract import METHODS, NOTICE
from ..serving.encode import encode_jpeg
from ..serving.overlay import by_method
from . import answer, measurements, words

rl_config.useA85 = 0  # pictures as bytes and not as text: three times as fast
_SIDE = 66 * mm  # of a picture on paper
_FLUSH = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),  # in line with the text around
]


_SHOWN = ("valid", "heading", "sentence", "refused", "warnings", "bands", "edges")
_SHOWN += ("p", "percent", "here")
_COLOURS = {"below": "#1d5fa8", "in": "#ccd3dd", "above": "#a8430a"}
_BAR = 170 * mm, 5 * mm  # width, height


def gather(classifier: Classifier, prediction: Prediction, label: str = "") -> dict:
    """Return what both kinds of report show.

    Args:
        classifier: what answered.
        prediction: the answer.
        label: one of LABELS, whose heat map is shown; empty for the answer's own.

    Returns:
        heading, sentence, refused (why it is not valid), warnings, the bar, rows (pairs
        of texts), notes, and the pictures' JPEG files with their captions.
    """
    label = label or prediction.label
    prediction, where = _shown_for(prediction, label)
    shown = answer.in_words(classifier, prediction)
    today = datetime.datetime.now(datetime.UTC)
    bands = "; ".join(band["text"] for band in shown["bands"])
    vouching = [
        (words.PROBABILITY, shown["percent"]),
        (words.REPORT_ANSWERS, bands),
        *measurements.both_errors(classifier),
    ]
    numbers = [
        *(vouching if prediction.valid else []),
        (words.REPORT_PLACE, where),
        *([(words.REPORT_DONE, shown["done"])] if shown["done"] else []),
        (words.REPORT_CHECKSUM, classifier.sha256),
        (words.REPORT_DATE, f"{today:%Y-%m-%d %H:%M} UTC"),
    ]
    method = prediction.method
    drawn = words.VIEWER["map"].format(method=method, label=label)
    caption = measurements.captions(classifier)[method or METHODS[0]]
    vouched = [shown["note"], caption]
    unsure = [words.REPORT_NOT_VALID, words.MAP_NOT_VALID]
    return {
        **{name: shown[name] for name in _SHOWN},
        "rows": numbers,
        "notes": [*(vouched if prediction.valid else unsure), words.REPORT_CAVEATS],
        "pictures": [
            (encode_jpeg(prediction.pixels), words.VIEWER["picture"]),
            (
                encode_jpeg(prediction.overlay),
                drawn if method else where,
            ),
        ],
    }


def _shown_for(prediction: Prediction, label: str) -> tuple[Prediction, str]:
    """Return the same answer with the heat map of a label, and where that lies."""
    if label == prediction.label or prediction.method is None:
        return prediction, say_place(prediction)
    maps = by_method(prediction.maps[None], prediction.evidence[None])
    coarse = maps[prediction.method][0, LABELS.index(label)]
    said = describe_map(label, coarse, prediction)
    return dataclasses.replace(prediction, coarse=coarse), said


def write_html(content: dict) -> bytes:
    """Return a report, from `gather`, as a page that needs no other file."""
    pictures = [
        (answer.data_uri("image/jpeg", jpeg), caption)
        for jpeg, caption in content["pictures"]
    ]
    page = answer.one_line(
        "report.html", **content | {"pictures": pictures}, words=words, notice=NOTICE
    )
    return page.encode()


def write_pdf(content: dict) -> bytes:
    """Return a report, from `gather`, as one page of PDF."""
    styles = getSampleStyleSheet()

    def text(words: str, style: str = "BodyText") -> Paragraph:
        return Paragraph(html.escape(words), styles[style])

    def fitted(jpeg: bytes) -> Image:
        return Image(io.BytesIO(jpeg), _SIDE, _SIDE, kind="proportional")

    pictures = [
        [fitted(jpeg) for jpeg, _ in content["pictures"]],
        [text(caption, "Italic") for _, caption in content["pictures"]],
    ]
    story = [
        text(words.REPORT_TITLE, "Title"),
        text(NOTICE, "Italic"),
        text(content["heading"], "Heading2"),
        text(content["sentence"]),
        *([_bar(content)] if content["valid"] else []),
        *(text(said) for said in (*content["refused"], *content["warnings"])),
        Spacer(0, 3 * mm),
        Table(
            pictures,
            colWidths=[_SIDE + 3 * mm] * 2,
            hAlign="LEFT",
            style=_FLUSH,
        ),
        Spacer(0, 3 * mm),
        Table(
            [[text(name), text(value)] for name, value in content["rows"]],
            colWidths=[45 * mm, 130 * mm],
            style=_FLUSH,
            hAlign="LEFT",
        ),
        *(text(note) for note in content["notes"]),
    ]
    file = io.BytesIO()
    SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=12 * mm,
        bottomMargin=12 * mm,
        title=words.REPORT_TITLE,
        lang="en",
    ).build(story)
    return file.getvalue()


def _bar(content: dict) -> Drawing:
    """Draw the bar of three bands, its edges' numbers, and the answer's at a marker."""
    width, height = _BAR
    line, half, p = 10, 0.4 * height, content["p"]  # `line`: of text, in points
    bar = Drawing(width, 1.8 * height + 2 * line)
    for band in content["bands"]:
        place = band["start"] * width, line, band["width"] * width, height
        bar.add(Rect(*place, fillColor=HexColor(_COLOURS[band["name"]]), strokeWidth=0))
    x, above = p * width, line + height
    tip = above + 0.8 * height
    bar.add(Polygon([x, above, x - half, tip, x + half, tip]))
    bar.add(Line(x, line, x, above, strokeWidth=1.5))
    numbers = [(p, tip + 2, content["percent"], _side(p))]
    numbers += [(e["at"], 1, e["text"], e["anchor"]) for e in content["edges"]]
    for at, up, said, side in numbers:
        bar.add(String(at * width, up, said, fontSize=8, textAnchor=side))
    return bar


def _side(p: float) -> str:
    """Return how a number stands at its place on the bar, so that it stays on it."""
    return "start" if p < 0.08 else "end" if p > 0.92 else "middle"


KINDS = {"html": (write_html, "text/html"), "pdf": (write_pdf, "application/pdf")}
"""How a report is written, and its media type, by the kind that a page asks for."""


def links(classifier: Classifier, prediction: Prediction) -> list[dict]:
    """Return what an answer offers to save: name, text and address of each report."""
    content = gather(classifier, prediction)
    return [
        {
            "name": "report.html",
            "text": words.REPORT_HTML,
            "address": answer.data_uri("text/html", write_html(content)),
        },
        {
            "name": "report.pdf",
            "text": words.REPORT_PDF,
            "address": answer.data_uri("application/pdf", write_pdf(content)),
        },
    ]
