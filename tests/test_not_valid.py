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
from pneumonia.serving import gate
from pneumonia.serving.overlay import stamp
from pneumonia.serving.rows import answered_row, write_rows
from pneumonia.web import answer, report, words
from pneumonia.web.demo import batch_table, tab_one
from pneumonia.web.form import api


def photograph() -> bytes:
    """A colour picture that no lungs can be found in."""
    down, right = np.mgrid[:300, :260]
    red = 128 + 127 * np.sin(down / 37 + right / 90)
    blue = 128 + 127 * np.cos(down / 80 - right / 29)
    file = io.BytesIO()
    pixels = np.stack([red, 255 - red, blue], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def overruled(classifier):
    with pytest.raises(ImageError) as refusal:
        predict(classifier, photograph())
    assert refusal.value.reason == "colour_photograph"
    return predict(classifier, photograph(), anyway=True)


@pytest.fixture(scope="module")
def adult(classifier, phantom_bytes):
    """A valid answer, but for the code that refuses adults."""
    valid = predict(classifier, phantom_bytes)
    return dataclasses.replace(valid, warnings=("outside_population", *valid.warnings))


def vouching(classifier, prediction) -> list[str]:
    """What would vouch for an answer, in any page."""
    low, high = classifier.uncertain_band
    bands = [
        text.format(low=f"{low:.0%}", high=f"{high:.0%}")
        for text in words.BANDS.values()
    ]
    trust = words.BAND_MEASURED.partition("{")[0]
    return [*bands, trust, *words.REPORT_MEASURED.values(), "passed its test"]


def test_every_refusal_has_its_few_words():
    assert spoken.REFUSED_FOR.keys() == spoken.REFUSALS.keys()
    for code in spoken.REFUSALS:
        assert explain(code, short=True) == spoken.REFUSED_FOR[code] != explain(code)
    assert explain("first_frame", short=True) == SENTENCES["first_frame"]


def test_prediction_says_whether_it_is_valid(classifier, overruled, phantom_bytes):
    assert predict(classifier, phantom_bytes).valid
    assert not overruled.valid
    assert overruled.refused_for[0] == "colour_photograph"
    said = verdict(classifier, overruled)
    assert said.startswith("Not valid")
    assert spoken.REFUSED_FOR["colour_photograph"] in said
    assert f"{classifier.uncertain_band[1]:.0%}" not in said


def test_no_lungs_are_shown_where_none_were_found(overruled):
    assert not overruled.lungs_found
    assert "no place in them is named" in say_place(overruled)
    assert answer.heading(overruled).startswith("Not valid")


@pytest.mark.parametrize("of", ["overruled", "adult"])
def test_no_page_vouches_for_it(request, classifier, of):
    prediction = request.getfixturevalue(of)
    why = spoken.REFUSED_FOR[prediction.refused_for[0]]
    heading = words.NOT_VALID.format(why=why)
    card = answer.render(classifier, prediction, keep=True)
    page = report.write_html(report.gather(classifier, prediction)).decode()
    for html in (card, page):
        assert re.search(f"<h2>{re.escape(heading)}</h2>", html)
        assert percent(prediction.p_pneumonia) in html
        assert '<svg class="scale"' not in html
        for text in vouching(classifier, prediction):
            assert text not in html
    assert "data-p=" not in card  # so the tab on the number's meaning has no line
    lungs = re.search(r"&#34;lungs&#34;: &#34;(.*?)&#34;", card)[1]
    assert bool(lungs) == prediction.lungs_found
    assert NOTICE in page


def test_a_valid_answer_is_vouched_for_in_the_same_pages(classifier, phantom_bytes):
    prediction = predict(classifier, phantom_bytes)
    card = answer.render(classifier, prediction, keep=True)
    page = report.write_html(report.gather(classifier, prediction)).decode()
    assert "data-p=" in card
    for html in (card, page):
        assert '<svg class="scale"' in html
        assert sum(text in html for text in vouching(classifier, prediction)) >= 2


def test_its_pdf_fits_on_one_page(classifier, overruled):
    pdf = report.write_pdf(report.gather(classifier, overruled))
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1


def test_its_picture_says_so_wherever_it_is_saved(overruled):
    plain = dataclasses.replace(overruled, warnings=())
    file = io.BytesIO()
    overruled.save_overlay(file)
    with Image.open(file) as saved:
        jpeg = np.asarray(saved.convert("RGB"))
    for drawn in (overruled.overlay, jpeg):
        band = drawn[: drawn.shape[0] // 16]
        assert band.min() < 16
        assert band.max() > 240
        assert not np.allclose(band, plain.overlay[: len(band)], atol=32)
    assert np.array_equal(overruled.overlay[-50:], plain.overlay[-50:])


@pytest.mark.parametrize("shape", [(64, 64), (64, 900), (3000, 70)])
def test_a_stamp_fits_any_picture(shape):
    drawn = np.full((*shape, 3), 100, np.uint8)
    stamp(drawn, gate.NOT_VALID)
    changed = (drawn != 100).any(axis=(1, 2))
    assert 0 < changed.sum() < shape[0]
    assert drawn.max() == 255


def test_its_row_says_so(overruled, classifier, phantom_bytes):
    file = io.StringIO()
    rows = [
        answered_row("a", overruled),
        answered_row("b", predict(classifier, phantom_bytes)),
    ]
    write_rows(rows, file)
    found = [*csv.DictReader(io.StringIO(file.getvalue()))]
    assert [row["valid"] for row in found] == ["false", "true"]
    assert [row["status"] for row in found] == ["ok", "ok"]


def test_predict_writes_the_column(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(photograph())
    table = tmp_path / "t.csv"
    for anyway, valid in (([], ""), (["--anyway"], "false")):
        table.unlink(missing_ok=True)
        main(["predict", str(tmp_path / "in"), "--csv", str(table), *anyway])
        (row,) = csv.DictReader(table.open())
        assert row["valid"] == valid


def test_a_batch_says_so(classifier):
    from pneumonia.reading.image import read_picture

    def ask(anyway):
        return batch_table.answer_one(
            classifier, read_picture, "a.png", photograph, anyway
        )

    one = ask(anyway=True)
    assert batch_table.kind(one.row) == words.NOT_VALID_SHORT
    html = batch_table.render([one])
    assert f"1 {words.NOT_VALID_SHORT}" in html
    assert re.search(rf'<td[^>]*class="kind">{words.NOT_VALID_SHORT}<', html)
    few = spoken.REFUSED_FOR["colour_photograph"]
    for answered in (one, ask(anyway=False)):  # a row has few words, its card has all
        assert few.lower() in answered.message.lower()
        assert SENTENCES["colour_photograph"] not in answered.message
        assert SENTENCES["colour_photograph"].split(".")[0] in answered.card
    with zipfile.ZipFile(io.BytesIO(batch_table._zip([one]))) as archive:
        (name,) = archive.namelist()
        with Image.open(archive.open(name)) as saved:
            band = np.asarray(saved.convert("L"))[:24]
    assert band.max() > 230
    assert band.min() < 20


def test_both_apis_say_so(classifier, overruled, phantom_bytes):
    assert api.answered(classifier, overruled, "1")["valid"] is False
    valid = predict(classifier, phantom_bytes)
    assert api.answered(classifier, valid, "1")["valid"] is True
    assert not tab_one._words(classifier, valid).startswith("## Not valid")
    assert tab_one._words(classifier, overruled).startswith("## Not valid")
