#!/usr/bin/env bash
# Keras 3.15.1: a functional model tells the names of its outputs by `output_names`, which are its
# layers'. A Sequential has no such attribute, built or loaded from a file, although it holds a
# functional model that has it; its `outputs` are there, and named by a count (`keras_tensor_1`). So code
# that reads outputs by their names works with every model but the simplest.
# Needs: Python 3.11. Seen on 2026-12-01 with Keras 3.15.1 on JAX 0.8.1:
#   functional: ['head']      sequential: no output_names      loaded: no output_names
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet keras==3.15.1 jax==0.8.1
cd "$work"
KERAS_BACKEND=jax "$work/venv/bin/python" - <<'PY'
import sys
import keras

head = keras.layers.Dense(2, name="head")
sequential = keras.Sequential([keras.Input((4,)), head])
functional = keras.Model(sequential.inputs, sequential.outputs)
sequential.save("model.keras")
loaded = keras.models.load_model("model.keras")

found = {
    name: getattr(model, "output_names", "no output_names")
    for name, model in [("functional", functional), ("sequential", sequential), ("loaded", loaded)]
}
print(f"Keras {keras.__version__}: {found}; outputs: {[one.name for one in sequential.outputs]}")
as_seen = found["functional"] == ["head"] and sequential.built
as_seen &= found["sequential"] == found["loaded"] == "no output_names"
sys.exit(0 if as_seen else 1)
PY
