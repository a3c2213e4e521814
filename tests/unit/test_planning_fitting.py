from __future__ import annotations

import pytest

from frameferry.planning.fitting import Line, Sample, fit_line

PICTURE = 140_000


def batch(records: int, *, fixed: float = 4.0, each: float = 0.031, times: float = 1.0) -> Sample:
    return Sample(records, records * PICTURE, (fixed + each * records) * times)


def fit(*samples: Sample) -> Line:
    return fit_line(samples, most_fixed_seconds=min(sample.seconds for sample in samples))


def a_record(line: Line, size: int = PICTURE) -> float:
    return line.seconds_per_record + line.seconds_per_byte * size


def test_two_sizes_tell_fixed_and_marginal_cost() -> None:
    line = fit(batch(64), batch(512), batch(1800))
    assert line.fixed_seconds == pytest.approx(4.0, rel=0.1)
    assert a_record(line) == pytest.approx(0.031, rel=0.05)


def test_of_one_batch_some_is_fixed_and_nothing_sure() -> None:
    line = fit(batch(64))
    assert line.seconds(64, 64 * PICTURE) == pytest.approx(batch(64).seconds)
    assert 0 < line.fixed_seconds < 0.2 * batch(64).seconds
    assert line.sure_fixed_seconds == 0


def test_equal_sizes_tell_what_such_a_batch_takes_and_little_is_sure() -> None:
    line = fit(*[batch(1800, fixed=0.0)] * 16)
    assert line.seconds(1800, 1800 * PICTURE) == pytest.approx(1800 * 0.031)
    assert line.sure_fixed_seconds < 0.02 * 1800 * 0.031


def test_what_is_fixed_is_sure_where_sizes_differ_much() -> None:
    line = fit(*(batch(records, fixed=20.0) for records in (64, 128, 256, 1024, 4096)))
    assert 16 < line.sure_fixed_seconds <= line.fixed_seconds < 22


def test_a_tenfold_outlier_hardly_bends_the_line() -> None:
    good = [batch(records) for records in (64, 512, 1700, 1800, 1850)]
    line = fit(*good, batch(1800, times=10))
    assert line.seconds(1800, 1800 * PICTURE) == pytest.approx(batch(1800).seconds, rel=0.05)


def test_of_two_that_contradict_each_other_the_faster_one_is_believed() -> None:
    line = fit(Sample(64, 64 * PICTURE, 25.0), Sample(160, 160 * PICTURE, 3.0))
    assert line.seconds(160, 160 * PICTURE) == pytest.approx(3.0, rel=0.05)


def test_pictures_of_many_sizes_tell_what_goes_by_bytes() -> None:
    samples = [
        Sample(records, records * size, 1 + 0.001 * records + 2e-7 * records * size)
        for records, size in ((64, 74_000), (512, 74_000), (100, 3_000_000), (40, 12_000_000))
    ]
    line = fit(*samples)
    assert a_record(line, 3_000_000) == pytest.approx(0.601, rel=0.1)
    assert a_record(line, 74_000) == pytest.approx(0.0158, rel=0.2)


def test_nothing_is_negative_where_more_took_less() -> None:
    line = fit(*(Sample(records, records, 1000 / records) for records in (10, 100, 1000)))
    assert min(line.fixed_seconds, line.seconds_per_record, line.seconds_per_byte) >= 0


def test_no_fixed_cost_is_longer_than_the_shortest_batch() -> None:
    alike = [Sample(300, 300 * PICTURE, 60.0), Sample(3000, 3000 * PICTURE, 60.0)] * 4
    assert fit_line(alike, most_fixed_seconds=4.0).fixed_seconds < 8


def test_batches_without_a_record_cost_what_is_fixed() -> None:
    line = fit(Sample(0, 0, 5.0), Sample(0, 0, 6.0), Sample(0, 0, 5.5))
    assert line.seconds(0, 0) == pytest.approx(5.5, rel=0.01)
    assert (line.seconds_per_record, line.seconds_per_byte) == (0, 0)


def test_a_batch_that_took_no_time_is_no_trouble() -> None:
    assert fit(Sample(64, 64, 0.0)).seconds(64, 64) == pytest.approx(0.001)


def test_samples_that_pull_a_share_out_of_all_bounds_overflow_nothing() -> None:
    """One record for over an hour beside batches without any, which took no time or a second."""
    samples = [Sample(0, 0, 0.0), Sample(0, 0, 0.75), Sample(1, 1, 5134.0)]
    line = fit_line(samples, most_fixed_seconds=0.0)
    assert 0 <= line.fixed_seconds < 2
