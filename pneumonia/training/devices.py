"""Where training computes: one device, or all of this machine's, by Keras's own means.

Every device holds the whole network and takes an equal part of each batch; what they
found is summed before a step, so a step is the same as on one device.
"""

import contextlib
from collections.abc import Iterator

import keras
from threadpoolctl import ThreadpoolController

one_blas_thread = ThreadpoolController().wrap(limits=1, user_api="blas")
"""Decorator: NumPy multiplies matrices in the calling thread alone.

Images are changed beside a network that trains. Their matrices are so small that
further threads would mostly wait: for one another, and for the cores that train.
"""


class DevicesError(RuntimeError):
    """The work can't be shared out as asked; says what to do."""


@contextlib.contextmanager
def placed(which: str, precision: str, batch_size: int) -> Iterator[None]:
    """Build and train what is built inside on some devices, in some precision.

    Args:
        which: "one", or "all": every GPU or TPU, else every CPU device.
        precision: Keras's name of a dtype policy; float32 again afterwards.
        batch_size: must be a multiple of the devices.

    Raises:
        DevicesError: it is none, or Keras's backend has no way to share the work out.
    """
    keras.config.set_dtype_policy(precision)
    try:
        with _shared_out(batch_size) if which == "all" else contextlib.nullcontext():
            yield
    finally:
        keras.config.set_dtype_policy("float32")


@contextlib.contextmanager
def _shared_out(batch_size: int) -> Iterator[None]:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
        _check(len(devices), batch_size)
        names = [device.name for device in devices]
        with tf.distribute.MirroredStrategy(names).scope():
            yield
    elif backend == "jax":
        devices = keras.distribution.list_devices()
        _check(len(devices), batch_size)
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(devices=devices)
        )
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)
    else:
        raise DevicesError(
            f"Keras can't share training out on {backend}. Choose TensorFlow or JAX "
            "with $KERAS_BACKEND, or leave --devices away."
        )


def _check(count: int, batch_size: int) -> None:
    if batch_size % count:
        raise DevicesError(
            f"{count} devices can't share batches of {batch_size} evenly. Choose a "
            f"multiple, as in --set batch_size={batch_size // count * count or count}."
        )
