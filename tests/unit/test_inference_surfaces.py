from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from frameferry.demo.surfaces import LABELS, Label, encode, picture, samples


@pytest.mark.parametrize("label", LABELS)
def test_the_same_arguments_make_the_same_picture(label: Label) -> None:
    first, second = (picture(5, label, (120, 90)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert picture(6, label, (120, 90)).tobytes() != first.tobytes()


@pytest.mark.parametrize("size", [(16, 16), (17, 400), (640, 480), (31, 16)])
@pytest.mark.parametrize("label", LABELS)
def test_any_size_is_made(label: Label, size: tuple[int, int]) -> None:
    made = picture(1, label, size)
    assert (made.size, made.mode) == (size, "RGB")


@pytest.mark.parametrize("label", LABELS[1:])
def test_one_seed_is_one_surface_and_the_defect_is_the_only_difference(label: Label) -> None:
    for seed in range(6):
        good, bad = (
            np.asarray(picture(seed, kind, (200, 160))).astype(int) for kind in ("good", label)
        )
        changed = np.abs(bad - good).max(axis=2) > 15
        assert 0.0005 < changed.mean() < 0.4


def test_encoded_pictures_are_what_they_say() -> None:
    made = picture(1, "hole", (64, 48))
    for file_format in ("JPEG", "PNG"):
        with Image.open(io.BytesIO(encode(made, file_format))) as read:
            assert (read.format, read.size) == (file_format, (64, 48))
    assert len(encode(made, "JPEG", 70)) < len(encode(made, "JPEG", 95))


def test_samples_take_turns_and_are_repeatable() -> None:
    first, again, other = (list(samples(seed, 12)) for seed in (1, 1, 2))
    assert first == again
    assert {value for _, value in first}.isdisjoint(value for _, value in other)
    assert set(Counter(label for label, _ in first).values()) == {3}
    assert {value[:3] for _, value in first} == {b"\xff\xd8\xff", b"\x89PN"}
