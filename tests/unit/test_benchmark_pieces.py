"""What the benchmarks are built of: pictures, goals, processor time, drawings."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import psutil
import pytest
from PIL import Image

from benchmarks.pipeline.drawing import Drawing, Line
from benchmarks.pipeline.loads import SIZES, grown_to
from benchmarks.pipeline.loop import reduction
from benchmarks.pipeline.pictures import heavy_pictures, padded, pictures
from benchmarks.pipeline.processor import Meter


@pytest.mark.parametrize(("size", "kilobytes"), [("640x480", 74), ("1600x1200", 460)])
def test_pictures_weigh_what_a_cameras_do_and_are_the_same_each_time(size, kilobytes):
    few = replace(SIZES[size], distinct=2)
    first, second = pictures(few)
    assert len(first) / 1000 == pytest.approx(kilobytes, rel=0.1)
    assert first != second
    assert [first, second] == pictures(few)


@pytest.mark.parametrize("missing", [*range(4, 12), 65_536, 65_537, 65_538, 65_541, 200_000])
def test_a_padded_picture_has_its_size_and_its_pixels(missing):
    (value, *_) = heavy_pictures(0, distinct=1)
    made = padded(value, len(value) + missing)
    assert len(value) + missing == len(made)
    assert Image.open(io.BytesIO(value)).tobytes() == Image.open(io.BytesIO(made)).tobytes()


@pytest.mark.parametrize(
    ("width", "height", "ratio"), [(640, 480, 2), (1600, 1200, 4), (4000, 3000, 8), (200, 200, 1)]
)
def test_the_loop_decodes_no_more_than_the_model_needs(width, height, ratio):
    assert ratio == reduction(width, height)


def test_a_backlog_grows_to_a_batch_without_a_rest():
    assert 128 + 256 + 512 - 4 == grown_to(601, 64)
    assert 0 == grown_to(601, 301)


def test_processor_time_counts_children_that_have_ended():
    meter = Meter(lambda: [psutil.Process(os.getpid())])
    subprocess.run([sys.executable, "-c", "sum(range(6_000_000))"], check=True)
    assert meter.seconds() > 0.05


def test_processor_time_does_not_fall_when_a_parent_ends_without_reaping():
    """As Spark's daemon does: its workers' time of before must not be subtracted."""
    busy = "sum(range(6_000_000)); print(flush=True); input()"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{busy}']); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        meter = Meter(lambda: [psutil.Process(os.getpid())])
        parent.stdin.write(b"\n\n")
        parent.kill()
    assert meter.seconds() >= 0


def test_a_drawing_is_whole_and_names_its_lines():
    lines = [
        Line("flat", [(0.1, 900), (10, 950)]),
        Line("steep", [(0.1, 500), (1, 4000)], is_dashed=True, died=", dies"),
    ]
    drawn = Drawing("title", "x", "y", lines, [0.1, 1, 10], x_is_logarithmic=True).svg()
    texts = [element.text for element in ET.fromstring(drawn).iter() if element.text]
    assert {"title", "flat", "steep, dies"} <= set(texts)
