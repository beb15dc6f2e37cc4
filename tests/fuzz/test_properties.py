"""Properties of loaders and ops for arrays of any shape and value (hypothesis)."""

import tempfile
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats import read_density
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.schema import complete_input, read_input
from deepdensity_tf.utils import ops
from deepdensity_tf.utils.errors import InputError
from tests.conftest import write_small_system

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FLOATS = st.floats(width=64, allow_nan=True, allow_infinity=True)
SENSIBLE = st.floats(-20, 20)
ANY_ARRAY = arrays.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_, np.complex64]),
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


def rows(width, elements):
    return arrays.arrays(
        np.float64, st.tuples(st.integers(0, 8), st.just(width)), elements=elements
    )


@quick
@given(
    coord=rows(3, SENSIBLE | FLOATS),
    center=rows(3, SENSIBLE | FLOATS),
    box=arrays.arrays(np.float64, (1, 9), elements=st.floats(-8, 8) | FLOATS),
    rcut=st.floats(0.1, 4) | FLOATS,
)
def test_neighbour_pairs_are_near_or_the_call_is_refused(coord, center, box, rcut):
    splits = ([0, len(center)], [0, len(coord)])
    try:
        i, j, disp = ops.neighbor_list(center, splits[0], coord, splits[1], box, rcut)
    except tf.errors.InvalidArgumentError:
        return
    assert np.all((0 <= i.numpy()) & (i.numpy() < len(center)))
    assert np.all((0 <= j.numpy()) & (j.numpy() < len(coord)))
    assert np.all(np.linalg.norm(disp.numpy(), axis=1) < rcut * (1 + 1e-12))


@quick
@given(disp=rows(3, SENSIBLE | FLOATS), smth=FLOATS, rcut=st.floats(1, 6), lmax=st.integers(0, 8))
def test_environment_is_finite_or_refused(disp, smth, rcut, lmax):
    try:
        found = ops.env_mat(disp, smth, rcut, lmax).numpy()
    except tf.errors.InvalidArgumentError:
        return
    assert found.shape == (len(disp), (lmax + 1) ** 2) and np.isfinite(found).all()


@quick
@given(
    disp=rows(3, st.floats(-4, 4) | FLOATS),
    radial=arrays.arrays(np.float64, 2, elements=st.floats(0.1, 5) | FLOATS),
    lmax=st.integers(0, 4),
    npoints=st.integers(0, 4),
)
def test_expansion_is_finite_or_refused(disp, radial, lmax, npoints):
    zeros = np.zeros(len(disp), np.int32)
    coef = np.ones((1, 1, 9, (lmax + 1) ** 2))
    try:
        found = ops.expansion(disp, zeros, zeros, coef, radial, npoints).numpy()
    except tf.errors.InvalidArgumentError:
        return
    assert found.shape == (npoints, 1) and np.isfinite(found).all()


@quick
@given(name=st.sampled_from(["coord", "box", "grid_shape", "density"]), array=ANY_ARRAY)
def test_systems_of_any_array_are_read_or_refused(name, array):
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_small_system(Path(scratch) / "data", nframes=1)
        np.save(folder / f"set.000/{name}.npy", array)
        with pytest.raises(InputError, match=r"\A[^\n]*\Z"):
            DensitySystem(folder).check()


@quick
@given(data=st.binary(max_size=300), name=st.sampled_from(["a.cube", "CHGCAR", "a.npz", "a.gpw"]))
def test_density_files_of_any_bytes_are_refused(data, name):
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"\A[^\n]*\Z"):
            read_density(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = ["model", "training", "loss", "learning_rate", "type", "descriptor", "rcut", "numb_steps"]


@quick
@given(
    data=st.dictionaries(
        st.sampled_from(KEYS), JSON | st.dictionaries(st.sampled_from(KEYS), JSON), max_size=4
    )
)
def test_inputs_of_any_shape_are_refused(data):
    with pytest.raises(InputError, match=r"\A[^\n]*\Z"):
        complete_input(data)


@quick
@given(data=st.binary(max_size=60), suffix=st.sampled_from(["json", "yaml"]))
def test_inputs_of_any_bytes_are_read_or_refused(data, suffix):
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"input.{suffix}"
        path.write_bytes(data)
        try:
            assert isinstance(read_input(path), dict)
        except InputError as error:
            assert "\n" not in str(error)


@quick
@given(text=st.text("0123456789:- ", max_size=8), nframes=st.integers(0, 9))
def test_slices_take_frames_that_exist(text, nframes):
    try:
        chosen = select_frames(text, nframes, "frames")
    except InputError:
        return
    assert len(chosen) and all(0 <= index < nframes for index in chosen)


@quick
@given(coord=ANY_ARRAY, box=st.none() | ANY_ARRAY, atype=ANY_ARRAY, points=ANY_ARRAY)
def test_model_answers_or_refuses(frozen_model, coord, box, atype, points):
    model = _models.setdefault(frozen_model, None) or DeepDensity(frozen_model)
    _models[frozen_model] = model
    try:
        found = model.eval(coord, box, atype, points)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(found).all()


_models: dict = {}
