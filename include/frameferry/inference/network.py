"""
Load a model with TensorFlow, and refuse one that does not fit its card.

TensorFlow is imported inside functions only, so digests, cards and decoding do not pay for it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.answer import output_counts, unlike_output
from frameferry.inference.card import FoundModel, Spec, mismatch
from frameferry.inference.checking import Shape, readable, refuse_shape
from frameferry.inference.preprocess import Inputs, noise

CPU_BATCH: Final = 8
"""Small, since a call's last pictures are padded up to it; larger ones gain nothing on one core."""
GPU_BATCH: Final = 64
_SIGNATURE: Final = "serving_default"
_LOAD_ERRORS: Final = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    NotImplementedError,
    zipfile.BadZipFile,
)
_MESSAGE_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Network:
    """
    A loaded model. `predict` takes exactly `batch` pictures and gives their raw outputs.

    One fixed size: nothing is ever traced again, and a picture's answer does not depend on how
    many came with it.
    """

    batch: int
    predict: Callable[[Inputs], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class _Forward:
    """A model as TensorFlow has it: one tensor in, one out."""

    call: Callable[[Any], Any]
    shape: Shape
    dtype: str


def load_network(found: FoundModel, spec: Spec) -> Network:
    """
    Load a model, warm it up, and check it against what its card says.

    Raises:
        ModelMismatch: It cannot be loaded, or takes or gives something else than stated.
    """
    tf = tensorflow()
    forward = _loaded(tf, found)
    refuse_shape(found, spec, forward.shape)
    if forward.dtype not in {"float16", "bfloat16", "float32", "float64", "uint8"}:
        what = f"its input is {forward.dtype}; expected pixels as float32 or uint8"
        raise mismatch(found.path, what, "Export the model with an image input")
    _refuse_dtype(found, spec, forward.dtype)
    batch = forward.shape[0] or (GPU_BATCH if _has_gpu(tf) else CPU_BATCH)
    network = Network(batch, _compiled(tf, found, spec, forward, batch))
    _refuse_outputs(found, spec, _warm_up(tf, found, spec, network))
    return network


def _refuse_dtype(found: FoundModel, spec: Spec, dtype: str) -> None:
    """Refuse to feed shares to a model of whole numbers: cast, nearly all of them are 0."""
    is_whole = spec.preprocessing == "raw" or spec.input_dtype == "uint8"
    if dtype == "uint8" and not is_whole:
        what = f"its input is {dtype}; preprocessing gives it {spec.input_dtype}"
        remedy = "Set preprocessing: raw, or scale: raw and dtype: uint8 in its mapping"
        raise mismatch(found.path, what, remedy)


def preload() -> None:
    """Import all that loading a model needs, but run nothing of it, so that a process may fork."""
    _import_tensorflow()
    import keras  # noqa: F401, PLC0415 - TensorFlow imports it at the first use of a .keras file only


def _import_tensorflow() -> Any:  # noqa: ANN401  # the library has no types of its own
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    return tf


@functools.cache
def tensorflow() -> Any:  # noqa: ANN401
    """
    Import TensorFlow, with one thread on a CPU: Spark runs one worker on each core.

    On a GPU nothing is restricted and memory grows as needed. If TensorFlow is already at work in
    this process, its settings stay.
    """
    tf = _import_tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    with contextlib.suppress(RuntimeError):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, enable=True)
        if not gpus:
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def _has_gpu(tf: Any) -> bool:  # noqa: ANN401
    return bool(tf.config.list_physical_devices("GPU"))


def _loaded(tf: Any, found: FoundModel) -> _Forward:  # noqa: ANN401
    load = _load_keras if found.kind == "keras" else _load_saved_model
    try:
        return load(tf, found)
    except (*_LOAD_ERRORS, tf.errors.OpError) as error:
        remedy = (
            "Export it as a SavedModel (model.export('folder')), which needs no custom classes"
            if found.kind == "keras"
            else "Export it again with model.export('folder')"
        )
        what = f"TensorFlow {tf.__version__} cannot load it: {_why(error)}"
        raise mismatch(found.path, what, remedy) from error


def _load_keras(tf: Any, found: FoundModel) -> _Forward:  # noqa: ANN401
    """Load a `.keras` file; safe mode stays on: a model file must not bring code to run."""
    model = tf.keras.models.load_model(found.path, compile=False, safe_mode=True)
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    _refuse_counts(found, len(inputs), len(outputs))
    return _Forward(functools.partial(model, training=False), inputs[0].shape, inputs[0].dtype)


def _load_saved_model(tf: Any, found: FoundModel) -> _Forward:  # noqa: ANN401
    loaded = tf.saved_model.load(str(found.path))
    signature = loaded.signatures.get(_SIGNATURE)
    if signature is None:
        what = f"it has no signature {_SIGNATURE}, only {sorted(loaded.signatures) or 'none'}"
        raise mismatch(found.path, what, "Export it again with model.export('folder')")
    inputs = signature.structured_input_signature[1]
    _refuse_counts(found, len(inputs), len(signature.structured_outputs))
    ((name, tensor),) = inputs.items()

    def call(pixels: Any) -> Any:  # noqa: ANN401
        # `loaded` owns the variables: the closure keeps it alive.
        return next(iter(loaded.signatures[_SIGNATURE](**{name: pixels}).values()))

    shape = tensor.shape.as_list() if tensor.shape.rank is not None else [None] * 4
    return _Forward(call, shape, tensor.dtype.name)


def _refuse_counts(found: FoundModel, inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (1, 1):
        what = f"it has {inputs} inputs and {outputs} outputs; expected one of each"
        raise mismatch(found.path, what, "Wrap it into a model with one image in, one vector out")


def _compiled(
    tf: Any,  # noqa: ANN401
    found: FoundModel,
    spec: Spec,
    forward: _Forward,
    batch: int,
) -> Callable[[Inputs], NDArray[np.float32]]:
    """Trace the model once, for one size."""

    def call(inputs: Any) -> Any:  # noqa: ANN401
        return tf.cast(forward.call(tf.cast(inputs, forward.dtype)), tf.float32)

    shape = (batch, *spec.input_shape)
    try:
        traced = tf.function(call, autograph=False).get_concrete_function(
            tf.TensorSpec(shape, spec.input_dtype)
        )
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        what = f"it does not take {readable(shape)}: {_one_line(error)}"
        raise mismatch(found.path, what, "Correct the input size in its card") from error

    def predict(inputs: Inputs) -> NDArray[np.float32]:
        raw: NDArray[np.float32] = traced(tf.constant(inputs)).numpy()
        return raw[:, None] if raw.ndim == 1 else raw

    return predict


def _warm_up(
    tf: Any,  # noqa: ANN401
    found: FoundModel,
    spec: Spec,
    network: Network,
) -> NDArray[np.float32]:
    """Run the model once, on noise."""
    shape = (network.batch, *spec.input_shape)
    try:
        return network.predict(noise(network.batch, spec))
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        what = f"it fails on {readable(shape)}: {_one_line(error)}"
        raise mismatch(found.path, what, "Correct the input size in its card") from error


def _refuse_outputs(found: FoundModel, spec: Spec, raw: NDArray[np.float32]) -> None:
    expected = output_counts(spec)
    if raw.ndim != len(("pictures", "outputs")) or raw.shape[1] not in expected:
        what = (
            f"the model gives {readable(raw.shape[1:])} outputs; its card or the pipeline's file "
            f"says {' or '.join(map(str, sorted(expected)))} ({spec.output}: "
            f"{', '.join(spec.labels[:8])})"
        )
        raise mismatch(found.path, what, "Correct labels: and output: in its card")
    if unlike := unlike_output(raw, spec):
        remedy = "Correct output: in its card (softmax, logits or sigmoid)"
        raise mismatch(found.path, f"not {spec.output}: {unlike}", remedy)


def _why(error: Exception) -> str:
    if "safe_mode" in str(error):
        return "a Lambda layer is program code inside the model file, and that is not run"
    return _one_line(error)


def _one_line(error: Exception) -> str:
    """Shorten a library's message; Keras puts the cause behind a page of configuration."""
    cause = str(error).rpartition("Exception encountered: ")[2]
    return " ".join(cause.split())[:_MESSAGE_CHARACTERS].rstrip(". ")
