"""Each kind of output is read as its card says; what does not fit, or is no number, is said."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.errors import ModelMismatch
from frameferry.inference.answer import Answer, answers, misfit
from frameferry.inference.card import Card, Spec, effective, find_model
from frameferry.inference.digest import combined_digest
from frameferry.inference.outputs.boxes import BOXES_BYTES
from frameferry.inference.outputs.finding import NoAnswer
from frameferry.inference.outputs.numbers import SEEN

SPEC = Spec(8, 4, "unit", (), "softmax", None, 0.5, 100, 100)
CLASSES = {"kind": "classes", "of": "softmax", "labels": ["good", "bad"]}


def spec_of(verdict: str = "", **stated: dict[str, Any]) -> Spec:
    card = Card.model_validate({"outputs": stated})
    outputs = tuple((card.outputs or {}).items())
    return replace(SPEC, outputs=outputs, verdict=verdict or outputs[0][0])


def one(spec: Spec, **tensors: Any) -> Answer:
    found = {name: np.asarray([each], np.float32) for name, each in tensors.items()}
    assert misfit(found, spec) is None
    [answer] = answers(found, spec)
    assert isinstance(answer, Answer), answer
    return answer


def content(answer: Answer) -> Any:
    return json.loads(answer.outputs)


def flaw(spec: Spec, **tensors: Any) -> str:
    found = misfit({name: np.asarray([each], np.float32) for name, each in tensors.items()}, spec)
    assert found is not None
    return found


def why(spec: Spec, **tensors: Any) -> str:
    [answer] = answers({name: np.asarray([each]) for name, each in tensors.items()}, spec)
    assert isinstance(answer, NoAnswer), answer
    return answer.why


LABELS = {"kind": "labels", "of": "sigmoid", "labels": ["rust", "dent"], "otherwise": "good"}


@pytest.mark.parametrize(
    ("shares", "label", "score", "met"),
    [
        ([0.9, 0.6], "rust", 0.9, ["rust", "dent"]),
        ([0.5, 0.8], "dent", 0.8, ["dent", "rust"]),
        ([0.2, 0.3], "good", 0.7, []),
    ],
)
def test_several_labels_at_once(
    shares: list[float], label: str, score: float, met: list[str]
) -> None:
    answer = one(spec_of(defects=LABELS), defects=shares)
    assert (label, pytest.approx(score)) == (answer.label, answer.score)
    assert met == content(answer)["defects"]["labels"]


def test_logits_of_several_labels_go_through_a_sigmoid_each() -> None:
    answer = one(spec_of(defects={**LABELS, "of": "logits", "threshold": 0.8}), any=[0.0, 2.0])
    assert {"rust": 0.5, "dent": 0.8808} == content(answer)["defects"]["shares"]
    assert ["dent"] == content(answer)["defects"]["labels"]


WIDTH = {"kind": "number", "unit": "mm", "lowest": 3, "highest": 5}


@pytest.mark.parametrize(
    ("number", "label"), [(2.9, "low"), (3, "ok"), (4, "ok"), (5, "ok"), (5.01, "high")]
)
def test_a_number_has_a_unit_and_limits(number: float, label: str) -> None:
    for given in (number, [number]):
        answer = one(spec_of(width=WIDTH), width=given)
        assert (label, None, "mm") == (answer.label, answer.score, answer.unit)
        assert answer.value == pytest.approx(number)
        expected = {"value": answer.value, "unit": "mm", "label": label}
        assert expected == content(answer)["width"]


def test_a_number_that_is_none_is_no_answer() -> None:
    assert "width: the number is NaN" in why(spec_of(width=WIDTH), width=[np.nan])
    assert "3 numbers for a picture; expected one" in flaw(spec_of(width=WIDTH), width=[1, 2, 3])


def test_limits_may_have_words_of_their_own_and_may_be_left_out() -> None:
    stated = {"kind": "number", "highest": 1, "above": "too wide", "within": "fine"}
    assert "too wide" == one(spec_of(width=stated), width=2).label
    assert ("fine", None) == one(spec_of(width=stated), width=-99)[::4]


@pytest.mark.parametrize(("score", "label"), [(0.1, "normal"), (7, "odd"), (9, "odd")])
def test_an_anomaly_begins_at_its_threshold(score: float, label: str) -> None:
    stated = {"kind": "anomaly", "of": "score", "threshold": 7, "anomaly": "odd"}
    answer = one(spec_of(oddness=stated), out=[score])
    assert (label, pytest.approx(score)) == (answer.label, answer.value)


def test_a_reconstruction_is_compared_with_what_the_model_saw() -> None:
    spec = spec_of(oddness={"kind": "anomaly", "of": "reconstruction", "threshold": 0.2})
    seen = np.zeros((1, 2, 2, 3), np.float32)
    made = np.full((1, 2, 2, 3), 0.5, np.float32)
    [answer] = answers({"decoded": made, SEEN: seen}, spec)
    assert ("anomaly", 0.25) == (answer.label, answer.value)
    told = misfit({"decoded": made[:, :1], SEEN: seen}, spec)
    assert "gives 1 x 2 x 3, which is no reconstruction of 2 x 2 x 3" in str(told)
    assert "infinite" in why(spec, decoded=made[0] * np.nan, **{SEEN: seen[0]})


@pytest.mark.parametrize(("numbers", "kind"), [("float32", "<f4"), ("float16", "<f2")])
def test_an_embedding_can_be_read_back(numbers: str, kind: str) -> None:
    vector = np.linspace(-1, 1, 7, dtype=np.float32)
    answer = one(spec_of(look={"kind": "embedding", "numbers": numbers}), look=vector)
    told = content(answer)["look"]
    assert "embedded" == answer.label
    back = np.frombuffer(base64.b64decode(told["base64"]), kind)
    assert back == pytest.approx(vector, abs=1e-3)
    assert 7 == told["size"]


def test_an_embedding_that_does_not_fit_is_refused_when_the_model_is_loaded() -> None:
    spec = spec_of(look={"kind": "embedding"})
    assert "of 4,000 float32 takes 21,336 bytes" in flaw(spec, look=np.zeros(4000))
    assert "one row of numbers" in flaw(spec, look=np.zeros((2, 2)))
    half = spec_of(look={"kind": "embedding", "numbers": "float16"})
    assert "no float16" in why(half, look=np.array([1e9]))


BOXES = {
    "kind": "boxes",
    "form": "tensorflow",
    "labels": ["scratch", "hole"],
    "otherwise": "good",
}
FOUND = {
    "detection_boxes": [[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
    "detection_classes": [2, 1, 1, 1],
    "detection_scores": [0.9, 0.7, 0.1, 0.99],
    "num_detections": 3,
}


def test_boxes_of_tensorflows_detection() -> None:
    answer = one(spec_of(defects=BOXES), **FOUND)
    assert ("hole", 0.9) == (answer.label, answer.score)
    assert [
        {"label": "hole", "score": 0.9, "box": [0.2, 0.1, 0.4, 0.3]},
        {"label": "scratch", "score": 0.7, "box": [0.0, 0.0, 1.0, 1.0]},
    ] == content(answer)["defects"]["boxes"]
    assert "scratch" == one(spec_of(defects={**BOXES, "rule": "first"}), **FOUND).label


def test_without_a_box_the_picture_is_otherwise() -> None:
    answer = one(spec_of(defects={**BOXES, "threshold": 0.95}), **FOUND)
    assert ("good", pytest.approx(0.1)) == (answer.label, answer.score)
    none = {**FOUND, "num_detections": 0}
    assert ("good", 1.0) == one(spec_of(defects=BOXES), **none)[:2]


@pytest.mark.parametrize("classes", ["classes", "labels"])
@pytest.mark.parametrize(
    ("coordinates", "box"),
    [
        ("xyxy", [1, 2, 3, 6]),
        ("yxyx", [2, 1, 6, 3]),
        ("xywh", [1, 2, 2, 4]),
        ("center_xywh", [2, 4, 2, 4]),
        ("rel_xyxy", [0.25, 0.25, 0.75, 0.75]),
        ("rel_yxyx", [0.25, 0.25, 0.75, 0.75]),
        ("rel_xywh", [0.25, 0.25, 0.5, 0.5]),
    ],
)
def test_boxes_of_keras_in_all_coordinates_with_padding_of_minus_one(
    coordinates: str, box: list[float], classes: str
) -> None:
    stated = {**BOXES, "form": "keras", "coordinates": coordinates}
    found = {"boxes": [box, [-1] * 4], "confidence": [0.75, -1], classes: [0, -1]}
    answer = one(spec_of(defects=stated), **found)
    assert "scratch" == answer.label
    [told] = content(answer)["defects"]["boxes"]
    assert [0.25, 0.25, 0.75, 0.75] == told["box"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detection_classes": [3, 1, 1, 1]}, "class 3 has no label: they are of 1 to 2"),
        ({"detection_classes": [0, 1, 1, 1]}, "class 0 has no label"),
        ({"detection_scores": [1.5, 0, 0, 0]}, "scores lie between 0 and 1.5"),
        ({"detection_scores": [np.nan, 0, 0, 0]}, "NaN"),
    ],
)
def test_odd_boxes_are_no_answer(changes: dict[str, Any], words: str) -> None:
    assert words in why(spec_of(defects=BOXES), **{**FOUND, **changes})


def test_outputs_that_are_no_boxes_are_said() -> None:
    spec = spec_of(defects=BOXES)
    assert "need an output detection_boxes; the model has dense" in flaw(spec, dense=[1])
    short = {**FOUND, "detection_scores": [1.0]}
    assert "expected n x 4, n and n" in flaw(spec, **short)


def test_more_boxes_than_fit_are_counted_and_the_highest_stay() -> None:
    many = 1000
    answer = one(
        spec_of(defects=BOXES),
        detection_boxes=np.full((many, 4), 0.12345),
        detection_classes=np.ones(many),
        detection_scores=np.linspace(0.5, 1, many),
    )
    told = content(answer)["defects"]
    assert many == len(told["boxes"]) + told["left_out"]
    assert 1.0 == told["boxes"][0]["score"]
    assert len(answer.outputs.encode()) < BOXES_BYTES + 100


MASK = {"kind": "mask", "of": "softmax", "labels": ["good", "rust", "dent"]}
PIXELS = np.array([[0, 0], [1, 2], [1, 0], [1, 0]])


def test_a_mask_is_a_share_of_the_area_per_class_and_a_picture() -> None:
    answer = one(spec_of(where=MASK), where=np.eye(3)[PIXELS])
    assert ("rust", 0.5, "of the area") == (answer.label, answer.value, answer.unit)
    told = content(answer)["where"]
    assert {"good": 0.5, "rust": 0.375, "dent": 0.125} == told["areas"]
    with Image.open(io.BytesIO(base64.b64decode(told["mask"]))) as picture:
        assert np.array_equal(PIXELS, np.asarray(picture))


def test_a_small_area_is_background() -> None:
    stated = {**MASK, "least_area": 0.4, "png": False}
    answer = one(spec_of(where=stated), where=np.eye(3)[PIXELS])
    assert ("good", 0.5) == (answer.label, answer.value)
    assert ["areas"] == list(content(answer)["where"])


@pytest.mark.parametrize(
    ("of", "raw"),
    [("sigmoid", [[0.2, 0.5]]), ("logits", [[-3, 0]]), ("classes", [[0, 1]])],
)
@pytest.mark.parametrize("deep", [True, False])
def test_a_mask_of_one_class_may_have_one_channel_or_none(of: str, raw: Any, deep: bool) -> None:
    stated = {"kind": "mask", "of": of, "labels": ["good", "rust"]}
    given = np.array(raw)[..., None] if deep else np.array(raw)
    answer = one(spec_of(where=stated), where=given)
    assert ("rust", 0.5) == (answer.label, answer.value)


def test_odd_masks_are_said() -> None:
    spec = spec_of(where=MASK)
    assert "gives 2 x 2 x 2; a mask of 3 labels" in flaw(spec, where=np.zeros((2, 2, 2)))
    assert "gives 7; a mask" in flaw(spec, where=np.zeros(7))
    by_number = spec_of(where={**MASK, "of": "classes"})
    assert "class 3 of the mask has no label" in why(by_number, where=[[0, 3]])
    assert "NaN" in why(by_number, where=[[0, np.nan]])
    noise = np.random.default_rng(1).integers(0, 3, (200, 200))
    assert "mask_left_out" in content(one(by_number, where=noise))["where"]


def test_several_outputs_are_told_by_name_and_one_gives_the_label() -> None:
    stated = {"kind": CLASSES, "width": WIDTH}
    tensors = {"kind": [0.1, 0.9], "width": [2.0]}
    answer = one(spec_of(**stated), **tensors)
    assert ("bad", 0.9, 2.0, "mm") == (answer.label, round(answer.score, 4), *answer[3:])
    assert {"kind", "width"} == set(content(answer))
    assert "low" == one(spec_of("width", **stated), **tensors).label


def test_an_output_finds_its_tensor_by_its_name_or_by_the_stated_one() -> None:
    both = {"first": [0.9, 0.1], "second": [0.2, 0.8]}
    spec = spec_of(kind={**CLASSES, "tensor": "second"})
    assert "bad" == one(spec, **both).label
    words = "outputs.kind: the model has no output 'kind', only first, second"
    assert words == flaw(spec_of(kind=CLASSES), **both)
    assert "no output 'second', only first" in flaw(spec, first=[0.9, 0.1])


def test_what_a_card_may_not_state(tmp_path: Path) -> None:
    (tmp_path / "m.keras").touch()

    def refused(**card: Any) -> str:
        whole = {"input": {"height_pixels": 8, "width_pixels": 8}, "preprocessing": "unit"}
        (tmp_path / "card.yaml").write_text(yaml.safe_dump({**whole, **card}))
        with pytest.raises(ModelMismatch) as caught:
            effective(find_model(str(tmp_path)), ModelSettings(path=str(tmp_path)))
        assert caught.value.remedy
        return str(caught.value)

    stated = {"kind": CLASSES}
    tiles = {"tiles": {"height_pixels": 8, "width_pixels": 8, "background": "good"}}
    assert "preprocessing.tiles makes one class" in refused(outputs=stated, preprocessing=tiles)
    assert "says labels, output, too" in refused(outputs=stated, labels=["a"], output="softmax")
    assert "verdict: other in its card is none of its outputs: kind" in refused(
        outputs=stated, verdict="other"
    )
    assert "verdict: other" in refused(labels=["a"], output="softmax", verdict="other")
    assert "which a .keras file has not" in refused(outputs=stated, signature="serve")
    assert "outputs.kind.boxes.otherwise: Field required" in refused(
        outputs={"kind": {"kind": "boxes", "form": "keras", "labels": ["a"]}}
    )
    assert "lowest (5) is above highest (3)" in refused(
        outputs={"width": {"kind": "number", "lowest": 5, "highest": 3}}
    )
    assert "labels name a twice" in refused(outputs={"k": {**CLASSES, "labels": ["a", "a"]}})
    assert "does not match any of the expected tags" in refused(outputs={"k": {"kind": "shape"}})
    assert "outputs" in refused(outputs={})


def test_whatever_an_output_states_counts_in_the_digest() -> None:
    seen = {
        combined_digest("0" * 64, spec)
        for spec in (
            SPEC,
            spec_of(width=WIDTH),
            spec_of(width={**WIDTH, "highest": 6}),
            spec_of(other=WIDTH),
            spec_of("b", a=WIDTH, b=WIDTH),
            spec_of("a", a=WIDTH, b=WIDTH),
            replace(spec_of(width=WIDTH), signature="serve"),
        )
    }
    assert 7 == len(seen)
