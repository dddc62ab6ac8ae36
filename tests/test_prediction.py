"""Several images in one run: each is answered as if it had come alone."""

import gc
import weakref
from dataclasses import fields

import numpy as np
import pytest
from pictures import encode
from PIL import Image

from pneumonia import ImageError, Prediction, phantoms, predict, predict_batch
from pneumonia.reading.files import find_files
from pneumonia.serving.batch import FILES_A_RUN, answer_files

BAD = b"no picture"


IN_COLOURS = encode(Image.radial_gradient("L").convert("RGB"))
"""What can be read and is refused by what it shows."""


def assert_alike(one: Prediction, other: Prediction) -> None:
    for name in [field.name for field in fields(Prediction)] + ["heatmap", "overlay"]:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_batch_answers_each_as_if_it_were_alone(classifier):
    first, *good = (path.read_bytes() for path in phantoms())
    images = [first, BAD, *good, IN_COLOURS, first]
    found = predict_batch(classifier, images)
    for image, answer in zip(images, found, strict=True):
        assert isinstance(answer, ImageError) == (image in (BAD, IN_COLOURS))
        if isinstance(answer, Prediction):
            assert_alike(answer, predict(classifier, image))
        else:
            with pytest.raises(ImageError) as alone:
                predict(classifier, image)
            assert vars(answer) == vars(alone.value)
            assert str(answer) == str(alone.value)


def test_a_batch_takes_the_arguments_of_predict(classifier, phantom_bytes):
    asked = {"anyway": True, "invert": True, "method": "HiResCAM"}
    *_, answer = predict_batch(classifier, [BAD, IN_COLOURS, phantom_bytes], **asked)
    assert_alike(answer, predict(classifier, phantom_bytes, **asked))


def test_a_batch_without_a_picture_is_no_run(classifier):
    assert predict_batch(classifier, []) == []
    (error,) = predict_batch(classifier, [b""])
    assert error.reason == "empty"


@pytest.mark.parametrize("image", [BAD, IN_COLOURS])
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
    for number in range(2 * FILES_A_RUN + 1):
        source = phantoms()[number % 3].read_bytes()
        (tmp_path / f"{number:02}").write_bytes(BAD if number == 2 else source)
    files = find_files([tmp_path])
    files.insert(1, (tmp_path / "gone", files[0][1]))
    rows = list(answer_files(classifier, files, tmp_path / "overlays"))
    assert [row.path for row in rows] == [str(path) for path, _ in files]
    errors = [row.reason for row in rows if row.status == "error"]
    assert errors == ["unreadable", "not_image"]
    for (path, name), row in zip(files, rows, strict=True):
        drawn = tmp_path / "overlays" / f"{name}.jpg"
        if row.status == "ok":
            p = predict(classifier, path.read_bytes()).probabilities["Pneumonia"]
            assert row.p_pneumonia == f"{p:.4f}"
            assert drawn.exists()
        elif row.reason != "unreadable":
            assert not drawn.exists()
