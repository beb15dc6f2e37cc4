"""Errors of densities: against numbers worked out by hand."""

import json

import numpy as np
import pytest

from deepdensity_tf.infer.metrics import (
    density_errors,
    errors_by_decile,
    merge_deciles,
    summarise,
)
from deepdensity_tf.utils.errors import InputError

REF = np.array([1.0, 2.0, 3.0, 4.0])
PRED = np.array([1.5, 2.0, 2.0, 4.0])


def test_errors_of_four_points():
    errors = density_errors(PRED, REF, 0.5, "h2o frame 3")
    assert errors["nmae"] == pytest.approx(100 * 1.5 / 10, rel=1e-15)
    assert errors["mae"] == pytest.approx(1.5 / 4, rel=1e-15)
    assert errors["rmse"] == pytest.approx(np.sqrt(1.25 / 4), rel=1e-15)
    assert errors["max_error"] == 1.0
    assert (errors["electrons_pred"], errors["electrons_ref"]) == (4.75, 5.0)
    assert errors["electrons_error"] == -0.25
    assert errors["npoints"] == 4 and errors["label"] == "h2o frame 3" and not errors["sampled"]


def test_grid_and_flat_are_the_same():
    flat = density_errors(PRED, REF, 0.5)
    assert density_errors(PRED.reshape(2, 2, 1), REF.reshape(2, 2, 1), 0.5) == flat


def test_sums_are_float64():
    # In float32, 2^24 and one more stays at 2^24.
    ref = np.array([2**24, 1, 1], dtype=np.float32)
    assert density_errors(ref, ref, 1.0)["electrons_ref"] == 2**24 + 2


def test_loose_points_have_no_electrons():
    errors = density_errors(PRED, REF, None)
    assert errors["sampled"] and errors["electrons_pred"] is None
    assert summarise([errors])["sampled"] and summarise([errors])["electrons_mae"] is None


@pytest.mark.parametrize(
    ("pred", "ref", "message"),
    [
        (PRED[:3], REF, r"h2o: model gives shape \(3,\), the reference has \(4,\)"),
        (PRED, 0 * REF, "h2o: the reference is 0 everywhere"),
        (PRED[:0], REF[:0], "h2o: has no points"),
        (PRED * [1, np.nan, 1, np.inf], REF, "h2o: model density is not finite at 2 of 4 points"),
        (PRED, REF * [1, np.nan, 1, 1], "h2o: reference density is not finite at 1 of 4 points"),
    ],
)
def test_refused(pred, ref, message):
    with pytest.raises(InputError, match=message):
        density_errors(pred, ref, 1.0, "h2o")


def test_summary_of_two_structures_of_different_size():
    small = density_errors(np.array([1.1]), np.array([1.0]), 1.0, "small")
    large = density_errors(PRED, REF, 0.5, "large")
    total = summarise([small, large])
    assert total["nmae"] == pytest.approx((10 + 15) / 2, rel=1e-14)
    assert total["nmae_of_sums"] == pytest.approx(100 * 1.6 / 11, rel=1e-14)
    assert total["nmae_median"] == pytest.approx(12.5, rel=1e-14)
    assert (total["worst"], total["nmae_worst"]) == ("large", large["nmae"])
    assert total["mae"] == pytest.approx(1.6 / 5, rel=1e-14)
    assert total["rmse"] == pytest.approx(np.sqrt((0.01 + 1.25) / 5), rel=1e-14)
    assert total["max_error"] == 1.0
    assert total["electrons_mae"] == pytest.approx((0.1 + 0.25) / 2, rel=1e-14)
    assert total["electrons_max_error"] == 0.25
    assert (total["nframes"], total["npoints"]) == (2, 5)
    json.dumps(total, allow_nan=False)


def test_deciles():
    rng = np.random.default_rng(0)
    ref = rng.permutation(np.arange(100.0))
    pred = ref + np.where(ref >= 90, 2.0, -1.0)
    table = errors_by_decile(pred, ref)
    assert [row["npoints"] for row in table] == [10] * 10
    assert [(row["lower"], row["upper"]) for row in table] == [
        (10.0 * k, 10.0 * k + 9) for k in range(10)
    ]
    assert [row["mae"] for row in table] == [1.0] * 9 + [2.0]
    assert [row["bias"] for row in table] == [-1.0] * 9 + [2.0]
    assert table[9]["nmae"] == pytest.approx(100 * 20 / 945, rel=1e-14)
    assert table[9]["share"] == pytest.approx(100 * 20 / 110, rel=1e-14)
    assert sum(row["share"] for row in table) == pytest.approx(100, rel=1e-14)


def test_decile_without_density_has_no_nmae():
    ref = np.concatenate([np.zeros(10), np.ones(90)])
    table = errors_by_decile(ref + 0.1, ref)
    assert table[0]["nmae"] is None and table[0]["mae"] == pytest.approx(0.1, rel=1e-14)
    json.dumps(table, allow_nan=False)


def test_merged_deciles_add_up():
    rng = np.random.default_rng(1)
    sets = [(rng.random(50), rng.random(50)), (rng.random(80), 3 * rng.random(80))]
    tables = [errors_by_decile(pred, ref) for pred, ref in sets]
    merged = merge_deciles(tables)
    assert sum(row["npoints"] for row in merged) == 130
    error = sum(np.abs(pred - ref).sum() for pred, ref in sets)
    assert sum(row["abs_error_sum"] for row in merged) == pytest.approx(error, rel=1e-13)
    assert merged[0]["lower"] == min(ref.min() for _, ref in sets)
    assert merged[9]["upper"] == max(ref.max() for _, ref in sets)
    # The parts are left as they were.
    assert tables[0] == errors_by_decile(*sets[0])


def test_deciles_need_ten_points():
    with pytest.raises(InputError, match="10 points or more, found 4"):
        errors_by_decile(PRED, REF)
