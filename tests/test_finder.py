"""The lung finder: masks, boxes, crops to them, training, and its measurement."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from drawings import data_set, stack
from PIL import Image, ImageDraw

from pneumonia.__main__ import main
from pneumonia.contract import BUNDLE, PHANTOMS
from pneumonia.data import lungs, stress
from pneumonia.data.phantom import draw
from pneumonia.evaluation import evaluate_finder as evaluation
from pneumonia.network import finder, framing, vgg19
from pneumonia.network.finder import Framed
from pneumonia.reading.image import read_image, to_input
from pneumonia.training import geometry, lung_views, train_finder
from pneumonia.training.recipe import RECIPES
from pneumonia.training.runs import RunError, read_history

pytestmark = pytest.mark.keras

LUNG = ((-5, 17), (3, 19), (12, 36), (16, 62), (16, 84), (2, 75), (-10, 80), (-10, 27))
"""Corners of a drawn lung beside its middle, and down, in hundredths of the side."""


def drawn_mask(size: int) -> Image.Image:
    """Return where `draw` puts the lungs, give or take a hundredth of the side."""
    picture = Image.new("L", (size, size))
    for side in (-1, 1):
        middle = 50 + side * 19
        corners = [((middle + side * x) * size / 100, y * size / 100) for x, y in LUNG]
        ImageDraw.Draw(picture).polygon(corners, fill=255)
    return picture


def rectangles(*places: tuple[slice, slice]) -> np.ndarray:
    """Return a mask float32 (1, 96, 96, 1) that is 1 in rectangles."""
    mask = np.zeros((1, 96, 96, 1), np.float32)
    for rows, columns in places:
        mask[0, rows, columns] = 1
    return mask


TWO_LUNGS = rectangles(np.s_[20:70, 10:40], np.s_[24:66, 55:85])
BOX = np.array([20, 70, 10, 85]) / 96


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """A data set of drawings, and a folder of their masks but one."""
    folder = data_set(tmp_path_factory.mktemp("data") / "drawings", suffix="jpeg")
    masks = tmp_path_factory.mktemp("masks")
    for path in folder.glob("*/*"):
        drawn_mask(160).resize((160, 90)).save(masks / f"{path.stem}.png")
    (masks / "IM-0003-0001.png").unlink()
    return folder, masks


@pytest.fixture(scope="module")
def run(drawings, tmp_path_factory):
    """A run of a few steps, without a stop."""
    out = tmp_path_factory.mktemp("straight") / "run"
    return train_finder.train(plan(drawings, out))


def plan(drawings, out, **changes) -> train_finder.FinderPlan:
    folder, masks = drawings
    settings = {"epochs": 4, "images_per_epoch": 96} | changes
    return train_finder.FinderPlan(folder, masks, out, **settings)


def test_box_holds_all_certain_pixels_but_the_tails():
    # 1 % of 2,760 pixels; 30, 30, 50 and 42 of them stand in a row or column there.
    tail = 27.6 / np.array([30, -30, 50, -42]) / 96
    box = framing.boxes(TWO_LUNGS)
    assert box[0] == pytest.approx(BOX + tail, abs=1e-5)
    speck = np.maximum(TWO_LUNGS, rectangles(np.s_[1:4, 90:93]))
    for mask in (np.maximum(TWO_LUNGS, 0.4), speck):
        assert framing.boxes(mask) == pytest.approx(box, abs=0.01)
    box = framing.boxes(np.zeros((1, 96, 96, 1), np.float32))
    assert box == pytest.approx(np.array([[0, 1, 0, 1]]), abs=0.011)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Drawings, float32 (3, 224, 224, 1) in [0, 1]."""
    return stack(3).astype(np.float32) / 255


def crop(images: np.ndarray, *places) -> np.ndarray:
    return framing.crop(images, np.array(places, np.float32))


def by_pillow(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    top, bottom, left, right = (float(edge) * 224 for edge in place)
    how = Image.Resampling.BILINEAR
    box = left, top, right, bottom
    return np.asarray(Image.fromarray(image[..., 0]).resize((128, 128), how, box))


def test_a_crop_is_what_pillow_makes_of_the_place_of_each(images):
    taken_away, enlarged = (0.1, 0.8, 0.2, 0.95), (0.3, 0.7, 0.25, 0.7)
    for places in ([framing.WHOLE] * 3, [taken_away, enlarged, (0.0, 1.0, 0.3, 0.6)]):
        crops = crop(images, *places)
        assert (crops.shape, crops.dtype) == ((3, 128, 128, 1), np.float32)
        for found, image, place in zip(crops, images, places, strict=True):
            expected = by_pillow(image, place)
            np.testing.assert_allclose(found[..., 0], expected, atol=2e-3)
    # beyond the edge the outermost pixels go on
    crops = crop(images, *[[-0.5, 0.5, 0, 1]] * 3)
    np.testing.assert_allclose(crops[:, 5], crops[:, 50], atol=1e-5)


def test_what_is_cropped_to_lies_around_the_box():
    boxes = np.array([[0.3, 0.7, 0.2, 0.8], [0.0, 0.9, 0.5, 0.51]], np.float32)
    places = framing.around(boxes, room=0.1)
    assert places[0] == pytest.approx([0.26, 0.74, 0.14, 0.86])
    assert places[1, :2] == pytest.approx([0, 0.99])  # cut off at the edge
    assert places[1, 3] - places[1, 2] == pytest.approx(framing.LEAST_SIDE)


def test_a_network_of_whole_pictures_is_shown_whole_pictures(images):
    boxes = framing.boxes(np.repeat(TWO_LUNGS, 3, axis=0))
    framed = Framed(np.rint(images * 255).astype(np.uint8), boxes)
    expected = crop(images, *[framing.WHOLE] * 3)
    for how in (RECIPES["published"], vgg19.Network(*[None] * 3, aligned=False)):
        np.testing.assert_allclose(framed.shown(how), expected, atol=3e-3)
    aligned = framed.shown(vgg19.Network(*[None] * 3))
    places = framing.around(boxes)
    np.testing.assert_allclose(aligned, crop(images, *places), atol=3e-3)
    assert np.abs(aligned - expected).max() > 0.1


def test_boxes_are_moved_a_little_and_some_of_them_far():
    boxes = np.tile(np.array([0.2, 0.7, 0.1, 0.9], np.float32), (4000, 1))
    moved, again = (geometry.jitter(boxes, np.random.default_rng(0)) for _ in range(2))
    assert (again == moved).all()
    assert moved.dtype == np.float32
    share = (moved - boxes) / [0.5, 0.5, 0.8, 0.8]  # of the side of the box
    assert np.abs(share.mean(axis=0)).max() < 0.005
    near, far = geometry.NEAR, geometry.FAR
    spread = np.sqrt(geometry.FAR_SHARE * far**2 + (1 - geometry.FAR_SHARE) * near**2)
    assert share.std(axis=0) == pytest.approx([spread] * 4, rel=0.07)
    assert np.median(np.abs(share)) < 0.8 * near  # most are near
    sides = np.corrcoef(share.T) - np.eye(4)
    assert np.abs(sides).max() < 0.06  # each by itself


def test_dice_and_box_errors_of_known_masks():
    half, quarter = rectangles(np.s_[20:70, 10:40]), rectangles(np.s_[20:45, 10:40])
    found = [float(finder.dice(half, x)[0]) for x in (half, quarter, 1 - half)]
    assert found == pytest.approx([1, 2 / 3, 0], abs=1e-3)
    moved = np.roll(TWO_LUNGS, 12, axis=1)  # an eighth of the side down
    dice, errors = evaluation.compare(TWO_LUNGS, moved)
    assert errors[0] == pytest.approx([12 / 96, 12 / 96, 0, 0], abs=1e-6)
    row = evaluation.summarise_group(dice, errors)
    assert row["failures"] == 1
    assert row["box_error_p95"]["top"] == 0.125
    assert evaluation.summarise_group(np.ones(1), np.zeros((1, 4)))["failures"] == 0


def test_finder_is_small_and_gives_probabilities():
    model = finder.build()
    assert model.count_params() <= 300_000
    found = finder.find(model, np.stack([draw(1, size=128)[..., None]] * 3))
    assert (found.shape, found.dtype) == ((3, 96, 96, 1), np.float32)
    assert 0 <= found.min() < found.max() <= 1


@pytest.mark.parametrize("side", [96, 128, 224])
def test_input_is_the_picture_at_96_pixels(side):
    picture = draw(4, size=side)[None, ..., None]
    small = finder.to_finder(picture)
    assert (small.shape, small.dtype) == ((1, 96, 96, 1), np.float32)
    assert small.mean() == pytest.approx(picture.mean() / 255, abs=0.005)
    ones = np.full((1, side, side, 1), 255, np.uint8)
    assert finder.to_finder(ones) == pytest.approx(1)


def test_masks_are_the_same_from_a_folder_and_from_arrays(drawings, tmp_path):
    _, folder = drawings
    names = ["NORMAL/IM-0003-0001.jpeg", "PNEUMONIA/person7_virus_1.jpeg"]
    found, masks = lungs.load(folder, names)
    assert found.tolist() == [False, True]
    assert (masks.shape, masks.dtype) == ((1, 224, 224, 1), np.uint8)
    # a mask of 160 x 90 pixels is squashed as its picture is
    expected = np.asarray(drawn_mask(224)) > 127
    assert ((masks[0, ..., 0] > 127) != expected).mean() < 0.02

    tall = np.asarray(Image.open(folder / "person7_virus_1.png")) > 0
    packed = np.packbits(tall, axis=1)[None]
    np.savez(tmp_path / "masks.npz", names=["person7_virus_1.png"], packed=packed)
    again, same = lungs.load(tmp_path / "masks.npz", names)
    assert again.tolist() == found.tolist()
    assert np.array_equal(same, masks)


def test_what_holds_no_masks_is_refused(drawings, tmp_path):
    _, folder = drawings

    def refused(place, said, *names):
        with pytest.raises(lungs.LungsError, match=said):
            lungs.load(place, [*names])

    refused(tmp_path, "holds no mask", "a.png")
    refused(folder, "none has the name", "a.png")
    (tmp_path / "a.png").write_bytes(b"no picture")
    refused(tmp_path, "can't be read", "a.jpeg")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.png").write_bytes(b"")
    refused(tmp_path, "one name", "a.jpeg")
    twice = [f"{folder}/person7_virus_1.png" for folder in "ab"]
    refused(folder, "several images have, such as person7", *twice)
    for arrays in ({"other": [1]}, {"names": ["a", "b"], "packed": [[[1]]]}):
        np.savez(tmp_path / "masks.npz", **arrays)
        refused(tmp_path / "masks.npz", "expected", "a.jpeg")


@pytest.mark.parametrize("family", stress.FAMILIES)
def test_masks_change_as_the_images_do(family):
    # Masks with as many pixels each: they have one tone, so lending it does nothing.
    masks = np.zeros((4, 224, 224, 1), np.uint8)
    for number, mask in enumerate(masks):
        mask[30 + 14 * number : 150 + 14 * number, 26 * number : 99 + 26 * number] = 255
    labels = np.array([0, 1, 0, 1])
    boxes = framing.boxes(masks.astype(np.float32) / 255)
    moved = lungs.changed(masks, labels, family, seed=5, boxes=boxes)
    if stress.FAMILIES[family].moves is None:
        assert np.array_equal(moved, masks)
    else:
        pictures = stress.changed(masks, labels, family, seed=5, boxes=boxes)
        assert np.array_equal(moved, pictures)
        assert not np.array_equal(moved, masks)
    if stress.FAMILIES[family].needs_boxes:
        with pytest.raises(ValueError, match="needs the boxes"):
            lungs.changed(masks, labels, family)


@pytest.mark.parametrize("change", [lung_views.move, lung_views.border])
def test_augmentation_moves_image_and_mask_alike(change):
    # Each picture is its own mask: a lung that moves must be bright where its mask is.
    wide = rectangles(np.s_[4:80, 2:40], np.s_[16:92, 56:94])
    masks = np.repeat(wide, 40, axis=0)
    masks[::2] = masks[::2, ::-1]
    seen, moved = change(masks, masks, np.random.default_rng(3))
    assert seen[moved > 0.99].min() > 0.98
    alike = np.abs(seen - moved).max(axis=(1, 2, 3)) < 1e-5
    assert alike.mean() > 0.3  # the others have a grey border, which is no lung
    assert (np.abs(moved - masks).max(axis=(1, 2, 3)) > 0.5).mean() > 0.25


def test_hidden_lungs_are_hidden_in_place():
    images = np.repeat(0.5 - 0.4 * TWO_LUNGS, 20, axis=0)
    masks = np.repeat(TWO_LUNGS, 20, axis=0)
    hidden = lung_views.hide_lungs(images, masks, np.random.default_rng(0))
    change = np.abs(hidden - images)
    assert (change.max(axis=(1, 2, 3)) > 0.2).mean() > 0.2
    far = np.ones((96, 96), bool)
    far[10:80, 2:94] = False
    assert change[:, far].max() < 0.01


def test_augmented_pairs_keep_shape_dtype_and_range():
    images = np.repeat(draw(1, size=96)[None, ..., None] / 255, 8, 0).astype(np.float32)
    mask = np.asarray(drawn_mask(96), np.float32) / 255
    masks = np.repeat(mask[None, ..., None], 8, 0)
    first, again = (
        lung_views.augment(images, masks, np.random.default_rng(7)) for _ in range(2)
    )
    for one, other, before in zip(first, again, (images, masks), strict=True):
        assert (one.shape, one.dtype) == (before.shape, np.float32)
        assert 0 <= one.min() < one.max() <= 1 + 1e-6
        assert np.array_equal(one, other)


def test_a_run_learns_and_goes_on_when_it_was_stopped(run, drawings, tmp_path):
    record = json.loads((run / "run.json").read_text())
    assert record["epochs"] == 4
    assert str(drawings[0].parent) not in json.dumps(record)
    out, few = tmp_path / "run", shutil.copytree(drawings[1], tmp_path / "few")
    with pytest.raises(RunError, match="no run to resume"):
        train_finder.train(plan(drawings, out, resume=True))
    train_finder.train(plan(drawings, out, epochs=2))
    with pytest.raises(RunError, match="already"):
        train_finder.train(plan(drawings, out))
    record = (out / "run.json").read_text()
    for mask in few.glob("person1*"):
        mask.unlink()
    with pytest.raises(RunError, match="the X-rays are not those .* then and "):
        train_finder.train(plan((drawings[0], few), out, resume=True))
    assert (out / "run.json").read_text() == record
    train_finder.train(plan(drawings, out, seed=9, resume=True))  # the seed stays
    losses, again = ([x["loss"] for x in read_history(place)] for place in (run, out))
    assert losses[-1] < 0.9 * losses[0]
    assert again == pytest.approx(losses, rel=0.02)


def test_command_asks_for_what_the_plan_takes(monkeypatch):
    plans = []
    monkeypatch.setattr(train_finder, "train", lambda plan: plans.append(plan) or "RUN")
    needed = ["train-finder", "DIR", "--masks", "M.npz", "--out", "RUN"]
    main([*needed, "--epochs", "3", "--seed", "2", "--resume"])
    main(needed)
    short = train_finder.FinderPlan(Path("DIR"), Path("M.npz"), Path("RUN"))
    assert plans == [replace(short, epochs=3, seed=2, resume=True), short]


def test_stored_weights_give_the_same_lungs(run, tmp_path):
    picture = draw(2, size=128)[None, ..., None]
    model = finder.load(run)
    found = finder.find(model, picture)
    assert np.ptp(found) > 0.05
    finder.save(model, tmp_path)
    assert finder.find(finder.load(tmp_path), picture) == pytest.approx(found, abs=1e-6)
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(finder.FinderError, match="train-finder"):
        finder.load(tmp_path / "nowhere")


def test_report_holds_every_family_and_group(run, drawings, tmp_path, capsys):
    data, masks = map(str, drawings)
    options = ["--masks", masks, "--run", str(run), "--out", str(tmp_path)]
    main(["evaluate-finder", data, *options])
    report = json.loads((tmp_path / "finder.json").read_text())
    assert report["sha256"] == finder.digest(run)
    assert report["families"].keys() == stress.FAMILIES.keys()
    groups = {"all", "Normal", "Pneumonia", "most opaque tenth"}
    for row in (report["clean"], *report["families"].values()):
        assert groups <= row.keys()
        assert row["Normal"]["n"] + row["Pneumonia"]["n"] == row["all"]["n"]
    assert report["clean"]["most opaque tenth"]["n"] < report["n"]
    table = capsys.readouterr().out
    assert all(f"| {name} |" in table for name in (*stress.FAMILIES, *groups))


REPORT = json.loads((BUNDLE / "finder.json").read_text())


def test_shipped_figures_are_of_the_shipped_weights(drawings, tmp_path):
    assert REPORT["sha256"] == finder.digest()
    assert REPORT["parameters"] == finder.load().count_params()
    assert REPORT["families"].keys() == stress.FAMILIES.keys()
    assert REPORT["clean"]["all"]["dice"] >= 0.95
    assert min(each["all"]["dice"] for each in REPORT["families"].values()) >= 0.9
    again = evaluation.evaluate_finder(*drawings, tmp_path)
    for name in ("training", "sha256"):  # how it was trained is told from its record
        assert again[name] == REPORT[name]


def test_page_says_what_was_measured():
    page = (Path(__file__).parent.parent / "docs/finder.md").read_text()
    clean = REPORT["clean"]["all"]
    sides = clean["box_error_p95"]
    assert max(sides, key=sides.get) == "bottom"
    assert f"lower side: {100 * sides['bottom']:.1f} % on unchanged pictures" in page
    assert f"{REPORT['parameters']:,} parameters" in page
    row = f"| all | {clean['n']} | {clean['dice']:.3f} |"
    assert row in evaluation.summarise(REPORT)


@pytest.mark.parametrize(
    "picture", sorted(PHANTOMS.glob("*.png")), ids=lambda p: p.stem
)
def test_shipped_finder_finds_the_lungs_of_the_drawn_chests(picture):
    drawn = to_input(read_image(picture.read_bytes()))[0]
    images = np.rint(drawn * 255).astype(np.uint8)[None]
    for image in (images, images[:, :, ::-1]):
        lungs = finder.find(finder.load(), image)
        assert 0.1 < (lungs > 0.5).mean() < 0.6
        top, bottom, left, right = framing.boxes(lungs)[0]
        assert top < 0.4 < 0.6 < bottom and left < 0.35 < 0.65 < right


@pytest.mark.skipif(
    not os.environ.get("PNEUMONIA_MASKS"), reason="PNEUMONIA_MASKS names no masks"
)
def test_shipped_finder_finds_the_lungs_of_held_out_patients(held_out):
    has_mask, true = lungs.load(os.environ["PNEUMONIA_MASKS"], held_out.names)
    images = held_out.images[has_mask][::8]
    true = finder.to_finder(true[::8])
    dice, errors = evaluation.compare(true, finder.find(finder.load(), images))
    assert dice.mean() == pytest.approx(REPORT["clean"]["all"]["dice"], abs=0.02)
    assert (errors < 0.1).mean() > 0.98
