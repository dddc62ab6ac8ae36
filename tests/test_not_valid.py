"""An answer that the gate refused, and somebody asked for, is never vouched for."""

import csv
import dataclasses
import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from pneumonia import (
    SENTENCES,
    ImageError,
    explain,
    percent,
    predict,
    say_place,
    verdict,
)
from pneumonia import words as spoken
from pneumonia.__main__ import main
from pneumonia.contract import NOTICE
from pneumonia.reading.image import read_picture
from pneumonia.serving import gate
from pneumonia.serving.overlay import stamp
from pneumonia.serving.rows import answered_row, write_rows
from pneumonia.web import answer, report, words
from pneumonia.web.demo import batch_table, tab_one
from pneumonia.web.form import api


@pytest.fixture(scope="module")
def valid(classifier, phantom_bytes):
    return predict(classifier, phantom_bytes)


@pytest.fixture(scope="module")
def overruled(classifier, photograph):
    with pytest.raises(ImageError) as refusal:
        predict(classifier, photograph)
    assert refusal.value.reason == "colour_photograph"
    return predict(classifier, photograph, anyway=True)


@pytest.fixture(scope="module")
def adult(valid):
    """A valid answer, but for the code that refuses adults."""
    return dataclasses.replace(valid, warnings=("outside_population", *valid.warnings))


def pages(classifier, prediction) -> tuple[str, str]:
    facts = report.gather(classifier, prediction)
    card = answer.render(classifier, prediction, keep=True)
    return card, report.write_html(facts).decode()


def vouching(classifier, html: str) -> list[str]:
    """What vouches for an answer in a page."""
    low, high = (f"{edge:.0%}" for edge in classifier.uncertain_band)
    bands = [text.format(low=low, high=high) for text in words.BANDS.values()]
    trust = words.BAND_MEASURED.partition("{")[0]
    said = [*bands, trust, *words.REPORT_MEASURED.values(), "passed its test"]
    return [text for text in [*said, '<svg class="scale"'] if text in html]


def test_every_refusal_has_its_few_words():
    assert spoken.REFUSED_FOR.keys() == spoken.REFUSALS.keys()
    for code in spoken.REFUSALS:
        assert explain(code, short=True) == spoken.REFUSED_FOR[code] != explain(code)
    assert explain("first_frame", short=True) == SENTENCES["first_frame"]


def test_prediction_says_whether_it_is_valid(classifier, overruled, valid):
    assert valid.valid
    assert not overruled.valid
    assert overruled.refused_for[0] == "colour_photograph"
    said = verdict(classifier, overruled)
    assert said.startswith("Not valid")
    assert spoken.REFUSED_FOR["colour_photograph"] in said
    assert f"{classifier.uncertain_band[1]:.0%}" not in said
    assert not overruled.lungs_found
    assert "no place in them is named" in say_place(overruled)


@pytest.mark.parametrize("of", ["overruled", "adult"])
def test_no_page_vouches_for_it(request, classifier, of):
    prediction = request.getfixturevalue(of)
    why = spoken.REFUSED_FOR[prediction.refused_for[0]]
    heading = words.NOT_VALID.format(why=why)
    assert heading.startswith("Not valid")
    card, page = pages(classifier, prediction)
    for html in (card, page):
        assert f"<h2>{heading}</h2>" in html
        assert percent(prediction.p_pneumonia) in html
        assert vouching(classifier, html) == []
    assert "data-p=" not in card  # so the tab on the number's meaning has no line
    lungs = re.search(r"&#34;lungs&#34;: &#34;(.*?)&#34;", card)[1]
    assert bool(lungs) == prediction.lungs_found
    assert NOTICE in page
    pdf = report.write_pdf(report.gather(classifier, prediction))
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1


def test_a_valid_answer_is_vouched_for_in_the_same_pages(classifier, valid):
    card, page = pages(classifier, valid)
    assert "data-p=" in card
    for html in (card, page):
        assert '<svg class="scale"' in html
        assert len(vouching(classifier, html)) >= 3


def test_its_picture_says_so_wherever_it_is_saved(overruled):
    plain = dataclasses.replace(overruled, warnings=()).overlay
    file = io.BytesIO()
    overruled.save_overlay(file)
    with Image.open(file) as saved:
        jpeg = np.asarray(saved.convert("RGB"))
    for drawn in (overruled.overlay, jpeg):
        band = drawn[: drawn.shape[0] // 16]
        assert band.min() < 16
        assert band.max() > 240
        assert not np.allclose(band, plain[: len(band)], atol=32)
    assert np.array_equal(overruled.overlay[-50:], plain[-50:])


@pytest.mark.parametrize("shape", [(64, 64), (64, 900), (3000, 70)])
def test_a_stamp_fits_any_picture(shape):
    drawn = np.full((*shape, 3), 100, np.uint8)
    stamp(drawn, gate.NOT_VALID)
    changed = (drawn != 100).any(axis=(1, 2))
    assert 0 < changed.sum() < shape[0]
    assert drawn.max() == 255


def test_rows_and_apis_say_so(classifier, overruled, valid, photograph, tmp_path):
    file = io.StringIO()
    write_rows([answered_row("a", overruled), answered_row("b", valid)], file)
    found = [*csv.DictReader(io.StringIO(file.getvalue()))]
    assert [(row["valid"], row["status"]) for row in found] == [
        ("false", "ok"),
        ("true", "ok"),
    ]
    for prediction in (overruled, valid):
        answered = api.answered(classifier, prediction, "1")["valid"]
        assert answered is prediction.valid
        said = tab_one._words(classifier, prediction)
        assert said.startswith("## Not valid") != prediction.valid
    (tmp_path / "a.png").write_bytes(photograph)
    for anyway, said in (([], ""), (["--anyway"], "false")):
        table = tmp_path / f"{said}.csv"
        main(["predict", str(tmp_path / "a.png"), "--csv", str(table), *anyway])
        (row,) = csv.DictReader(table.open())
        assert row["valid"] == said


def test_a_batch_says_so(classifier, photograph):
    one, refused = (
        batch_table.answer_one(
            classifier, read_picture, "a.png", lambda: photograph, anyway
        )
        for anyway in (True, False)
    )
    assert batch_table.kind(one.row) == words.NOT_VALID_SHORT
    html = batch_table.render([one])
    assert f"1 {words.NOT_VALID_SHORT}" in html
    assert re.search(rf'<td[^>]*class="kind">{words.NOT_VALID_SHORT}<', html)
    few = spoken.REFUSED_FOR["colour_photograph"]
    for answered in (one, refused):  # a row has few words, its card has all
        assert few.lower() in answered.message.lower()
        assert SENTENCES["colour_photograph"] not in answered.message
        assert SENTENCES["colour_photograph"].split(".")[0] in answered.card
    with zipfile.ZipFile(io.BytesIO(batch_table._zip([one]))) as archive:
        (name,) = archive.namelist()
        with Image.open(archive.open(name)) as saved:
            band = np.asarray(saved.convert("L"))[:24]
    assert band.max() > 230
    assert band.min() < 20
