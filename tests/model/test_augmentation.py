"""PAW occupancies from a model: symmetries, orders, padding, fit, graphs without them."""

import logging

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from deepdensity_tf.fit import FittingContext
from deepdensity_tf.infer.compression import compress
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.model import DensityModel
from deepdensity_tf.model.augmentation import AugmentationHead
from deepdensity_tf.model.frozen import freeze
from deepdensity_tf.schema import complete_input
from deepdensity_tf.testing.small import SMALL_INPUT
from deepdensity_tf.testing.symmetries import ATYPE, BOX, frame, random_rotation
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.nn import Initializer
from deepdensity_tf.utils.paw_blocks import Channels, blocks_of
from tests.conftest import completed_model
from tests.utils.test_paw_blocks import wigner

CHANNELS = Channels("gpaw", {"C": (0, 1, 0, 1), "H": (0, 1)})
RTOL = 1e-10


@pytest.fixture(params=[False, True], ids=["total", "spin"], scope="module")
def model(request, make_frozen):
    return DeepDensity(make_frozen(spin=request.param, augmentation=CHANNELS.to_json()))


def sets(model, coord, box=BOX, atype=ATYPE):
    return np.stack(model.eval_augmentation(coord, box, atype).sets, 1)


def assert_same(a, b):
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    scale = np.nanmax(np.abs(a))
    assert scale > 1e-2
    np.testing.assert_allclose(b, a, rtol=0, atol=RTOL * scale)


def test_numbers_of_each_element(model):
    coord, _ = frame()
    found = sets(model, coord)
    assert found.shape == (5, 2 if model.has_spin else 1, CHANNELS.width)
    for row, atype in zip(found, ATYPE, strict=True):
        count = CHANNELS.count("CH"[atype])
        assert np.isfinite(row[:, :count]).all() and np.isnan(row[:, count:]).all()
    assert model.augmentation == CHANNELS


@pytest.mark.parametrize("box", [None, BOX], ids=["molecule", "crystal"])
@pytest.mark.parametrize("mirror", [1, -1], ids=["proper", "improper"])
def test_blocks_turn_with_the_structure(model, box, mirror):
    coord, _ = frame()
    rotation = random_rotation()
    rotation *= mirror * np.sign(np.linalg.det(rotation))
    turned = None if box is None else box @ rotation
    before, after = sets(model, coord, box), sets(model, coord @ rotation, turned)
    expected = before.copy()
    for atom, atype in enumerate(ATYPE):
        for block in blocks_of(CHANNELS.of["CH"[atype]]):
            turn = wigner(block.degree, rotation)
            expected[atom, :, block.part] = before[atom, :, block.part] @ turn
    assert_same(expected, after)
    assert np.abs(before - after)[np.isfinite(before)].max() > 1e-2  # they do turn


def test_translation_permutation_and_images(model):
    coord, _ = frame()
    before, order = sets(model, coord), np.array([3, 4, 0, 2, 1])
    assert_same(before, sets(model, coord + [0.37, -7.1, 12.9]))
    assert_same(before[order], sets(model, coord[order], atype=ATYPE[order]))
    moved = coord + np.random.default_rng(2).integers(-3, 4, coord.shape) @ BOX
    assert_same(before, sets(model, moved))


def test_an_atom_alone_has_spherical_blocks_only(model):
    found = sets(model, np.zeros((1, 3)), None, [0])
    for block in blocks_of(CHANNELS.of["C"]):
        largest = np.abs(found[0, :, block.part]).max()
        assert (largest > 1e-6) == (block.degree == 0)


@pytest.mark.parametrize("spin", [False, True])
def test_compressed_models_keep_them(make_frozen, tmp_path, spin):
    path = make_frozen(spin=spin, augmentation=CHANNELS.to_json())
    compress(path, tmp_path / "c.pb", tolerance=1e-10)
    coord, _ = frame()
    one, other = (sets(DeepDensity(p), coord) for p in (path, tmp_path / "c.pb"))
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-7 * np.nanmax(np.abs(one)))


def test_density_is_that_of_the_model_without(make_frozen):
    """The head draws its weights last: the rest of the model is the same."""
    coord, points = frame()
    plain, both = (DeepDensity(make_frozen(augmentation=a)) for a in (False, CHANNELS.to_json()))
    np.testing.assert_array_equal(
        plain.eval(coord, BOX, ATYPE, points), both.eval(coord, BOX, ATYPE, points)
    )
    assert plain.augmentation is None
    with pytest.raises(InputError, match="was trained without PAW occupancies"):
        plain.eval_augmentation(coord, BOX, ATYPE)


def test_element_without_channels_and_orders_above_lmax(tmp_path, caplog):
    """Carbon alone has numbers; those of order 4 stay 0 with lmax 3."""
    channels = Channels("vasp", {"C": (2,)})
    config = complete_input(
        {**SMALL_INPUT, "model": {**SMALL_INPUT["model"], "augmentation": channels.to_json()}}
    )
    with caplog.at_level(logging.WARNING):
        density_model = DensityModel(config["model"], 1)
    assert "1 blocks of C have orders up to 4, above descriptor.lmax = 3" in caplog.text
    freeze(density_model, config, tmp_path / "m.pb")
    found = sets(DeepDensity(tmp_path / "m.pb"), frame()[0])[:, 0]
    for row, atype in zip(found, ATYPE, strict=True):
        parts = [row[block.part] for block in blocks_of((2,))]
        assert np.isnan(row).all() if atype else [p.any() for p in parts] == [True, True, False]


def head(nset=1):
    config = completed_model()
    model = DensityModel(config, 1)
    context = FittingContext(2, 16, 16, 8, 3, nset, model.grid, Initializer(1, model.dtype))
    return AugmentationHead(CHANNELS, ["C", "H"], context)


def test_fit_finds_means_of_spheres_and_spreads_of_blocks():
    rng, atype = np.random.default_rng(0), np.array([0, 1] * 200)
    labels = rng.normal(3.0, 0.5, (400, 1, CHANNELS.width))
    labels[atype == 1, :, CHANNELS.count("H") :] = np.nan
    labels[:3] = np.nan  # atoms of frames without labels
    fitted = head()
    fitted.fit(atype, labels)
    for t, element in enumerate("CH"):
        own = labels[3:][atype[3:] == t][:, 0]
        total = 0.0
        for block in blocks_of(CHANNELS.of[element]):
            mean = own[:, block.part].mean() if block.degree == 0 else 0.0
            spread = np.sqrt(((own[:, block.part] - mean) ** 2).mean())
            np.testing.assert_allclose(fitted.mean.numpy()[t, 0, block.part], mean, atol=1e-12)
            np.testing.assert_allclose(fitted.scale.numpy()[t, 0, block.part], spread)
            total += (2 * block.degree + 1) * spread**2
        np.testing.assert_allclose(fitted.unit.numpy()[t, 0], np.sqrt(total))


def test_wrong_channels_in_the_input():
    with pytest.raises(InputError, match="model.augmentation: no channels of PAW occupancies"):
        DensityModel(completed_model(augmentation="C: s p"), 1)
    with pytest.raises(InputError, match="loss.pref_abs, pref_aug, .* are 0"):
        complete_input(
            {
                **SMALL_INPUT,
                "model": {**SMALL_INPUT["model"], "augmentation": True},
                "loss": {"pref_abs": 0.0, "pref_aug": 0.0},
            }
        )


def test_random_rotations_of_wigner_are_orthogonal():
    for degree in range(5):
        matrix = wigner(degree, Rotation.random(random_state=1).as_matrix())
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2 * degree + 1), atol=1e-12)
