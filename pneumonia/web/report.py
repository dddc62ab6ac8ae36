"""One page to print or to save: an answer with what it rests on. No patient in it.

Neither the file's name nor anything that it says of a person is taken over.
"""

import datetime
import html
import io

from reportlab import rl_config
from reportlab.graphics.shapes import Drawing, Line, Polygon, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Image, Paragraph, SimpleDocTemplate, Spacer, Table

from pneumonia import Classifier, Prediction, say_place

from ..contract import METHODS, NOTICE
from ..serving.encode import encode_jpeg
from . import answer, measurements, words

rl_config.useA85 = 0  # pictures as bytes and not as text: three times as fast
_SIDE = 66 * mm  # of a picture on paper
_FLUSH = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),  # in line with the text around
]


_SHOWN = ("heading", "sentence", "warnings", "bands", "p", "percent", "here")
_COLOURS = {"below": "#1d5fa8", "in": "#ccd3dd", "above": "#a8430a"}
_BAR = 170 * mm, 5 * mm  # width, height


def gather(classifier: Classifier, prediction: Prediction) -> dict:
    """Return what both kinds of report show.

    Args:
        classifier: what answered.
        prediction: the answer.

    Returns:
        heading, sentence, warnings, the bar, rows (pairs of texts), notes, and the
        pictures' JPEG files with their captions.
    """
    shown = answer.in_words(classifier, prediction)
    today = datetime.datetime.now(datetime.UTC)
    numbers = [
        (words.PROBABILITY, shown["percent"]),
        (words.REPORT_ANSWERS, "; ".join(band["text"] for band in shown["bands"])),
        (words.REPORT_PLACE, say_place(prediction)),
        *([(words.REPORT_DONE, shown["done"])] if shown["done"] else []),
        *measurements.both_errors(classifier),
        (words.REPORT_CHECKSUM, classifier.sha256),
        (words.REPORT_DATE, f"{today:%Y-%m-%d %H:%M} UTC"),
    ]
    method = prediction.method
    drawn = words.VIEWER["map"].format(method=method, label=prediction.label)
    return {
        **{name: shown[name] for name in _SHOWN},
        "rows": numbers,
        "notes": [
            shown["note"],
            measurements.captions(classifier)[prediction.method or METHODS[0]],
            words.REPORT_CAVEATS,
        ],
        "pictures": [
            (encode_jpeg(prediction.pixels), words.VIEWER["picture"]),
            (
                encode_jpeg(prediction.overlay),
                drawn if method else say_place(prediction),
            ),
        ],
    }


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
        _bar(content["bands"], content["p"]),
        *(text(warning) for warning in content["warnings"]),
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


def _bar(bands: list[dict], p: float) -> Drawing:
    """Draw the bar of three bands, with a marker at a probability."""
    width, height = _BAR
    bar = Drawing(width, 2 * height)
    for band in bands:
        place = band["start"] * width, 0, band["width"] * width, height
        bar.add(Rect(*place, fillColor=HexColor(_COLOURS[band["name"]]), strokeWidth=0))
    x, half = p * width, 0.4 * height
    bar.add(Polygon([x, height, x - half, 1.8 * height, x + half, 1.8 * height]))
    bar.add(Line(x, 0, x, height, strokeWidth=1.5))
    return bar


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
