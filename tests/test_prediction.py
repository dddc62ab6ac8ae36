"""Several images in one run: each is answered as if it had come alone."""

import gc
import io
import weakref

import pytest
from PIL import Image

from pneumonia import ImageError, Prediction, phantoms, predict, predict_batch
from pneumonia.reading.files import find_files
from pneumonia.serving.batch import FILES_A_RUN, answer_files

BAD = b"no picture"


def in_colours() -> bytes:
    """Return what can be read and is refused by what it shows."""
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(file, "PNG")
    return file.getvalue()


def test_a_batch_answers_each_as_if_it_were_alone(classifier):
    good = [path.read_bytes() for path in phantoms()]
    images = [good[0], BAD, *good[1:], in_colours(), good[0]]
    found = predict_batch(classifier, images)
    assert len(found) == len(images)
    for image, answer in zip(images, found, strict=True):
        if isinstance(answer, Prediction):
            alone = predict(classifier, image)
            assert answer.probabilities == alone.probabilities
            assert answer.warnings == alone.warnings
            assert (answer.maps == alone.maps).all()
            assert (answer.evidence == alone.evidence).all()
            assert (answer.lungs == alone.lungs).all()
            assert (answer.box == alone.box).all()
            assert answer.evidence_zones == alone.evidence_zones
            assert answer.place == alone.place
            assert (answer.overlay == alone.overlay).all()
        else:
            with pytest.raises(ImageError) as alone:
                predict(classifier, image)
            assert (answer.reason, answer.offers, str(answer)) == (
                alone.value.reason,
                alone.value.offers,
                str(alone.value),
            )
    kinds = [type(answer) for answer in found]
    assert kinds == [
        *[Prediction, ImageError],
        *[Prediction] * (len(good) - 1),
        *[ImageError, Prediction],
    ]


def test_a_batch_takes_the_arguments_of_predict(classifier, phantom_bytes):
    asked = {"anyway": True, "invert": True, "method": "HiResCAM"}
    *_, answer = predict_batch(classifier, [BAD, in_colours(), phantom_bytes], **asked)
    alone = predict(classifier, phantom_bytes, **asked)
    assert answer.probabilities == alone.probabilities
    assert (answer.pixels == alone.pixels).all()
    assert answer.warnings == alone.warnings
    assert (answer.heatmap == alone.heatmap).all()
    assert (answer.overlay == alone.overlay).all()


def test_a_batch_without_a_picture_is_no_run(classifier):
    assert predict_batch(classifier, []) == []
    (error,) = predict_batch(classifier, [b""])
    assert error.reason == "empty"


@pytest.mark.parametrize("image", [BAD, in_colours()])
def test_a_refusal_lets_go_of_its_image(classifier, image):
    gc.collect()
    gc.disable()  # what is left then waits for a collection that may come late
    try:
        with pytest.raises(ImageError) as caught:
            predict(classifier, image)
        error = weakref.ref(caught.value)
        del caught
        assert error() is None
    finally:
        gc.enable()


def test_rows_keep_the_order_of_the_files(classifier, tmp_path):
    good = phantoms()
    for number in range(2 * FILES_A_RUN + 1):
        source = good[number % len(good)].read_bytes()
        (tmp_path / f"{number:02}").write_bytes(BAD if number == 2 else source)
    files = find_files([tmp_path])
    files.insert(1, (tmp_path / "gone", files[0][1]))
    rows = list(answer_files(classifier, files, tmp_path / "overlays"))
    assert [row.path for row in rows] == [str(path) for path, _ in files]
    assert [row.reason for row in rows if row.status == "error"] == [
        "unreadable",
        "not_image",
    ]
    for (path, name), row in zip(files, rows, strict=True):
        drawn = tmp_path / "overlays" / f"{name}.jpg"
        if row.status == "ok":
            p = predict(classifier, path.read_bytes()).probabilities["Pneumonia"]
            assert row.p_pneumonia == f"{p:.4f}"
            assert drawn.exists()
        elif row.reason != "unreadable":
            assert not drawn.exists()
