"""What the network is: VGG19's convolutions and a fully connected head.

Backend-neutral Keras 3. The graph is flat; its two halves, `features` and `head`, are
its interface, so no layer has to be looked up in a finished model.

Source of the architecture: Simonyan and Zisserman, "Very Deep Convolutional Networks
for Large-Scale Image Recognition", ICLR 2015 (configuration E).
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers, ops

from ..contract import BUNDLE, IMAGE_SIZE, LABELS
from ..outputs import in_batches
from .layers import Grey, NearLungs, Standardize, WithinLungs

HIDDEN_UNITS = (256, 128)
DROPOUT = 0.3
KERAS_WEIGHTS = "classifier.weights.h5"
"""The Keras network in a bundle's folder, float16."""


class WeightsError(RuntimeError):
    """The starting weights can't be had; says what to do."""


@dataclass(frozen=True)
class Network:
    """The network and its two halves; all three share the same layers.

    Attributes:
        features: (n, 128, 128, 1) float32 in [0, 1] -> (n, 8, 8, 512), VGG19's
            block5_conv4 after its ReLU. Where it is masked, (n, 128, 128, 2), the
            probability of lung beside each pixel; what is far from the lungs is zero.
        head: (n, 8, 8, 512) -> (n, 2) logits in LABELS order.
        classifier: softmax(head(features(x))), (n, 2) probabilities.
        aligned: whether it is shown crops to the lungs, or whole pictures.
        masked: whether it is shown where the lungs are, and looks nowhere else.
        between: what passes from each of the first four blocks to what follows, for
            `split`.
    """

    features: keras.Model
    head: keras.Model
    classifier: keras.Model
    aligned: bool = True
    masked: bool = False
    between: tuple[list[keras.KerasTensor], ...] = ()


def build(
    backbone_weights: str | Path | None = None,
    *,
    standardize: bool = True,
    aligned: bool = True,
    masked: bool = False,
    hidden_units: tuple[int, ...] = HIDDEN_UNITS,
    dropout: float = DROPOUT,
) -> Network:
    """Build the network.

    Args:
        backbone_weights: "imagenet" (downloaded by Keras on first use), the path of a
            weights file for `keras.applications.VGG19(include_top=False)`, or None for
            random weights.
        standardize: scale each image to the spread that VGG19 was trained on. False
            hands the pixels in [0, 1] on as they are, as the `published` recipe does.
        aligned: as in `Network`; it changes no layer.
        masked: multiply the feature map by the mask of the lungs (see `WithinLungs`).
        hidden_units: width of each fully connected ReLU layer.
        dropout: fraction dropped after each of them, in [0, 1).

    Returns:
        The two halves and the whole, in the global dtype policy, logits in float32.

    Raises:
        WeightsError: the weights can't be downloaded, or the file doesn't fit.
    """
    backbone = _load_backbone(backbone_weights)
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 2 if masked else 1), name="image")
    x = Grey(dtype="float32", name="grey")(images) if masked else images
    if standardize:
        x = Standardize(dtype="float32", name="standardize")(x)
    x = layers.Concatenate(name="grey_to_rgb")([x, x, x])  # (n, 128, 128, 3)
    beside = []
    if masked:
        beside = [NearLungs(dtype="float32", name="near_lungs")(images)]  # (n, 8, 8, 1)
    between = []
    for layer in backbone.layers[1:-1]:  # without its input and its last max-pool
        x = layer(x)
        if layer.name.endswith("_pool"):
            between.append([x, *beside])
    if masked:
        x = WithinLungs(name="within_lungs")([x, *beside])
    feature_map = x  # (n, 8, 8, 512)

    x = layers.MaxPooling2D(name="pool")(feature_map)  # (n, 4, 4, 512)
    x = layers.Flatten(name="flatten")(x)  # (n, 8192)
    for number, units in enumerate(hidden_units, 1):
        x = layers.Dense(
            units,
            activation="relu",
            kernel_initializer="he_normal",
            name=f"hidden{number}",
        )(x)
        x = layers.Dropout(dropout, name=f"dropout{number}")(x)
    logits = layers.Dense(
        len(LABELS),
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
        dtype="float32",
        name="logits",
    )(x)  # (n, 2)
    probabilities = layers.Softmax(dtype="float32", name="softmax")(logits)
    return Network(
        features=keras.Model(images, feature_map, name="features"),
        head=keras.Model(feature_map, logits, name="head"),
        classifier=keras.Model(images, probabilities, name="classifier"),
        aligned=aligned,
        masked=masked,
        between=tuple(between),
    )


def check_weights(weights: str | Path) -> None:
    """See that a file of starting weights can be one, before anything is built.

    Args:
        weights: a path.

    Raises:
        WeightsError: there is no such file, or it is no HDF5 file.
    """
    if not Path(weights).is_file():
        raise WeightsError(
            f"No weights file at {weights}. Expected a file for "
            'keras.applications.VGG19(include_top=False), or "imagenet".'
        )
    if not h5py.is_hdf5(weights):
        raise WeightsError(
            f"{weights} holds no weights that fit VGG19 without its top. (It is no "
            "HDF5 file.)"
        )


def _load_backbone(weights: str | Path | None) -> keras.Model:
    """Return VGG19 without its top, its weights loaded."""
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    name = None if weights is None else str(weights)
    if name not in (None, "imagenet"):
        check_weights(name)
    try:
        return keras.applications.VGG19(
            include_top=False, weights=name, input_shape=shape
        )
    except Exception as error:  # Keras raises what its client, h5py or it itself raises
        what = (
            "VGG19's ImageNet weights can't be downloaded here. Connect to the "
            "network, or give a file with --backbone-weights PATH."
            if name == "imagenet"
            else f"{name} holds no weights that fit VGG19 without its top."
        )
        raise WeightsError(f"{what} ({type(error).__name__}: {error})") from error


def freeze(network: Network, blocks: int) -> None:
    """Freeze the first `blocks` (0 to 5) of VGG19's blocks, and unfreeze the rest."""
    for layer in network.features.layers:
        if layer.name.startswith("block"):
            layer.trainable = int(layer.name[len("block")]) > blocks


def split(network: Network, blocks: int) -> tuple[keras.Model, keras.Model]:
    """Split the classifier behind VGG19's first blocks; both parts share its layers.

    Args:
        network: from `build`.
        blocks: how many blocks the first part holds, 1 to 4.

    Returns:
        What the network is shown -> a feature map (n, h, w, c) and, where the network
        is masked, what `NearLungs` says, (n, 8, 8, 1). And from these to (n, 2)
        probabilities.
    """
    classifier, between = network.classifier, network.between[blocks - 1]
    return (
        keras.Model(classifier.input, between, name="lower"),
        keras.Model(between, classifier.output, name="upper"),
    )


def condition(network: Network, images: np.ndarray) -> None:
    """Bring the activations of every layer to unit spread over some images.

    A frozen convolution is multiplied by one factor, which changes nothing but the
    scale of what follows. In layers that will be trained each channel is also centred,
    so that what differs between images is not drowned by what they have in common
    (Kraehenbuehl et al., "Data-dependent Initializations of Convolutional Neural
    Networks", ICLR 2016). Call it after `freeze`, in float32.

    Args:
        network: changed in place.
        images: float32 (n, 128, 128, 1), or with lungs 2, in [0, 1], about a hundred
            training images.
    """
    signal = images
    scale = 1.0  # by how much a layer's input was multiplied on its way here
    for layer in network.classifier.layers[1:]:
        if isinstance(layer, NearLungs):  # it stands before what reads it
            near = layer(images)
            continue
        if isinstance(layer, (layers.Conv2D, layers.Dense)) and layer.name != "logits":
            kernel, bias = layer.get_weights()
            bias = bias * scale
            layer.set_weights([kernel, np.zeros_like(bias)])
            activation, layer.activation = layer.activation, keras.activations.linear
            sums = ops.convert_to_numpy(layer(signal)) + bias
            layer.activation = activation
            axes = tuple(range(sums.ndim - 1))
            if layer.trainable:
                spread = sums.std(axis=axes)
                factor = 1 / np.maximum(spread, 0.3 * np.sqrt(np.mean(spread**2)))
                bias, scale = bias - sums.mean(axis=axes), 1.0
            else:
                factor = 1 / np.sqrt(np.mean(np.maximum(sums, 0) ** 2))
                scale *= factor
            layer.set_weights([kernel * factor, bias * factor])
        if isinstance(layer, layers.Concatenate):  # one grey picture, three times
            signal = [signal] * 3
        elif isinstance(layer, WithinLungs):
            signal = [signal, near]
        signal = layer(signal)


def run_logits(network: Network, images: np.ndarray) -> np.ndarray:
    """Run the network on images.

    Args:
        network: from `build` or `load`.
        images: float32 (n, 128, 128, 1) in [0, 1]; masked, (n, 128, 128, 2).

    Returns:
        logits float32 (n, 2).
    """

    def run(batch: np.ndarray) -> list[np.ndarray]:
        feature_map = network.features.predict_on_batch(batch)
        return [np.asarray(network.head.predict_on_batch(feature_map), np.float32)]

    return in_batches(run, images)[0]


def save(network: Network, path: str | Path, **options) -> None:
    """Write the weights of the whole network as float16, half the size.

    Args:
        network: any precision; the logits' layer stays float32.
        path: ends in .weights.h5.
        **options: of `build`, as it was built with.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        copy = build(**options).classifier
    finally:
        keras.config.set_dtype_policy(policy)
    copy.set_weights(network.classifier.get_weights())
    copy.save_weights(path)


def load(source: str | Path | None = None) -> Network:
    """Build a network that was trained, and load its weights.

    Args:
        source: a bundle's folder, or the folder of a run of `train.train` (its best
            weights); None: the bundle that ships.

    Raises:
        WeightsError: there is no such network, or its file is damaged.
    """
    source = Path(source or BUNDLE)
    with _explained(source):
        facts, path = read_facts(source), source / "best.weights.h5"
        if not _is_run(source):
            path = source / KERAS_WEIGHTS
            if not path.exists():
                raise WeightsError(
                    f"{path} is missing. `pip install` leaves the Keras weights out, "
                    "because serving never reads them. Clone the repository and run "
                    "the command there, or name a bundle or a run that has them."
                )
            expected = facts["keras_weights"]["sha256"]
            if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                raise WeightsError(
                    f"{path} does not match its checksum in bundle.json: it was "
                    "changed or cut short. Get it again: git checkout -- pneumonia"
                )
        network = build(**facts["network"])
        network.classifier.load_weights(path)
    return network


def read_facts(source: str | Path) -> dict:
    """Return what a run's `run.json` or a bundle's `bundle.json` says.

    Args:
        source: the folder. `network` in either holds the options of `build`.

    Raises:
        WeightsError: there is neither, or it says nothing of a network.
    """
    source = Path(source)
    name = "run.json" if _is_run(source) else "bundle.json"
    with _explained(source):
        facts = json.loads((source / name).read_text(encoding="utf-8"))
        facts["network"] = options_in(facts)
    return facts


def options_in(facts: dict) -> dict:
    """Return the options of `build` in what a run or a bundle says.

    Raises:
        KeyError: it says nothing of a network.
        ValueError: it blanks pixels, as versions before December 2026 could.
    """
    options = dict(facts["network"])
    if options.pop("blanked", False):
        raise ValueError("it blanks pixels, which is done no more")
    options.setdefault("masked", False)  # as versions before December 2026 say
    return options


def _is_run(source: Path) -> bool:
    return (source / "run.json").is_file()


@contextlib.contextmanager
def _explained(source: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{source} holds no trained network ({type(error).__name__}: {error}). "
            "Expected a bundle's folder, or the folder that "
            "`python -m pneumonia train DIR --out RUN` wrote."
        ) from error
