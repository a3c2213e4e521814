"""
Load a model with TensorFlow, and refuse one that does not fit its card.

TensorFlow is imported inside functions only, so digests, cards and decoding do not pay for it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from frameferry.inference.answer import misfit, readings_of
from frameferry.inference.card import FoundModel, Spec, mismatch
from frameferry.inference.checking import Shape, readable, refuse_shape
from frameferry.inference.outputs.finding import Tensors
from frameferry.inference.outputs.numbers import SEEN, AnomalyReading
from frameferry.inference.preprocess import Inputs, noise

CPU_BATCH: Final = 8
"""Small, since a call's last pictures are padded up to it; larger ones gain nothing on one core."""
GPU_BATCH: Final = 64
SIGNATURE: Final = "serving_default"
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
_REMEDY: Final = "Correct labels: and output: in its card (softmax, logits or sigmoid)"


@dataclass(frozen=True, slots=True)
class Network:
    """
    A loaded model. `predict` takes exactly `batch` pictures and gives their raw outputs by name.

    One fixed size: nothing is ever traced again, and a picture's answer does not depend on how
    many came with it.
    """

    batch: int
    predict: Callable[[Inputs], Tensors]


@dataclass(frozen=True, slots=True)
class _Forward:
    """A model as TensorFlow has it: one tensor in, one or several out, by name."""

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
    forward = _loaded(tf, found, spec)
    refuse_shape(found, spec, forward.shape)
    if forward.dtype not in {"float16", "bfloat16", "float32", "float64", "uint8"}:
        what = f"its input is {forward.dtype}; expected pixels as float32 or uint8"
        raise mismatch(found.path, what, "Export the model with an image input")
    _refuse_dtype(found, spec, forward.dtype)
    batch = forward.shape[0] or (GPU_BATCH if _has_gpu(tf) else CPU_BATCH)
    network = Network(batch, _compiled(tf, found, spec, forward, batch))
    tensors = _warm_up(tf, found, spec, network)
    if flaw := misfit(tensors, spec):
        remedy = "Correct outputs: in its card" if spec.outputs else _REMEDY
        raise mismatch(found.path, flaw, remedy)
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


def _loaded(tf: Any, found: FoundModel, spec: Spec) -> _Forward:  # noqa: ANN401
    load = _load_keras if found.kind == "keras" else _load_saved_model
    with loading(tf, found):
        return load(tf, found, spec)


@contextlib.contextmanager
def loading(tf: Any, found: FoundModel) -> Iterator[None]:  # noqa: ANN401
    """
    Say what keeps TensorFlow from loading a model, in one line.

    Raises:
        ModelMismatch: It cannot be loaded.
    """
    try:
        yield
    except (*_LOAD_ERRORS, tf.errors.OpError) as error:
        remedy = (
            "Export it as a SavedModel (model.export('folder')), which needs no custom classes"
            if found.kind == "keras"
            else "Export it again with model.export('folder')"
        )
        what = f"TensorFlow {tf.__version__} cannot load it: {_why(error)}"
        raise mismatch(found.path, what, remedy) from error


def _load_keras(tf: Any, found: FoundModel, spec: Spec) -> _Forward:  # noqa: ANN401
    """Load a `.keras` file; safe mode stays on: a model file must not bring code to run."""
    model = tf.keras.models.load_model(found.path, compile=False, safe_mode=True)
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    _refuse_counts(found, spec, len(inputs), len(outputs))
    # A sequential model names no outputs; its only one is the last layer's.
    names = getattr(model, "output_names", None) or [model.layers[-1].name]

    def call(pixels: Any) -> Any:  # noqa: ANN401
        made = model(pixels, training=False)
        if isinstance(made, dict):
            return made
        return dict(zip(names, made if isinstance(made, list | tuple) else [made], strict=True))

    return _Forward(call, inputs[0].shape, inputs[0].dtype)


def _load_saved_model(tf: Any, found: FoundModel, spec: Spec) -> _Forward:  # noqa: ANN401
    loaded = tf.saved_model.load(str(found.path))
    wanted = spec.signature or SIGNATURE
    signature = loaded.signatures.get(wanted)
    if signature is None:
        what = (
            f"it has no signature {wanted}, only {', '.join(sorted(loaded.signatures)) or 'none'}"
        )
        remedy = "Name one of them as signature: in its card, or export it again"
        raise mismatch(found.path, what, remedy)
    inputs = signature.structured_input_signature[1]
    _refuse_counts(found, spec, len(inputs), len(signature.structured_outputs))
    ((name, tensor),) = inputs.items()

    def call(pixels: Any) -> Any:  # noqa: ANN401
        # `loaded` owns the variables: the closure keeps it alive.
        return loaded.signatures[wanted](**{name: pixels})

    shape = tensor.shape.as_list() if tensor.shape.rank is not None else [None] * 4
    return _Forward(call, shape, tensor.dtype.name)


def _refuse_counts(found: FoundModel, spec: Spec, inputs: int, outputs: int) -> None:
    if inputs != 1:
        what = f"it has {inputs} inputs and {outputs} outputs; expected one image"
        raise mismatch(found.path, what, "Wrap it into a model with one image in")
    if outputs != 1 and not spec.outputs:
        what = (
            f"it has {inputs} inputs and {outputs} outputs; its card says nothing of which is what"
        )
        raise mismatch(found.path, what, "State each under outputs: in its card, by its name")


def _compiled(
    tf: Any,  # noqa: ANN401
    found: FoundModel,
    spec: Spec,
    forward: _Forward,
    batch: int,
) -> Callable[[Inputs], Tensors]:
    """Trace the model once, for one size."""

    def call(inputs: Any) -> Any:  # noqa: ANN401
        made = forward.call(tf.cast(inputs, forward.dtype))
        numeric = {name: tensor for name, tensor in made.items() if _is_numeric(tensor.dtype)}
        kept = {SEEN: tf.cast(inputs, tf.float32)} if _needs_its_input(spec) else {}
        return {**{name: tf.cast(each, tf.float32) for name, each in numeric.items()}, **kept}

    shape = (batch, *spec.input_shape)
    try:
        traced = tf.function(call, autograph=False).get_concrete_function(
            tf.TensorSpec(shape, spec.input_dtype)
        )
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        what = f"it does not take {readable(shape)}: {_one_line(error)}"
        raise mismatch(found.path, what, "Correct the input size in its card") from error

    def predict(inputs: Inputs) -> Tensors:
        return {name: raw.numpy() for name, raw in traced(tf.constant(inputs)).items()}

    return predict


def _is_numeric(dtype: Any) -> bool:  # noqa: ANN401
    """Say whether a tensor holds numbers: some signatures give class names as text, too."""
    return bool(dtype.is_floating or dtype.is_integer or dtype.is_bool)


def _needs_its_input(spec: Spec) -> bool:
    readings = readings_of(spec).values()
    return any(isinstance(one, AnomalyReading) and one.of == "reconstruction" for one in readings)


def _warm_up(
    tf: Any,  # noqa: ANN401
    found: FoundModel,
    spec: Spec,
    network: Network,
) -> Tensors:
    """Run the model once, on noise."""
    shape = (network.batch, *spec.input_shape)
    try:
        return network.predict(noise(network.batch, spec))
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        what = f"it fails on {readable(shape)}: {_one_line(error)}"
        raise mismatch(found.path, what, "Correct the input size in its card") from error


def _why(error: Exception) -> str:
    if "safe_mode" in str(error):
        return "a Lambda layer is program code inside the model file, and that is not run"
    return _one_line(error)


def _one_line(error: Exception) -> str:
    """Shorten a library's message; Keras puts the cause behind a page of configuration."""
    cause = str(error).rpartition("Exception encountered: ")[2]
    return " ".join(cause.split())[:_MESSAGE_CHARACTERS].rstrip(". ")
