"""Models that come with the package."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from ase.io.cube import read_cube_data

from deepdensity_tf import DeepDensity
from deepdensity_tf.infer.uncertainty import expected_error
from deepdensity_tf.main import main
from deepdensity_tf.utils.shipped import model_card, model_path, shipped_models

CAFFEINE = Path(__file__).resolve().parents[2] / "examples" / "ethane" / "caffeine.xyz"
VALENCE = {"H": 1, "C": 4, "N": 5, "O": 6, "F": 7, "S": 6, "Cl": 7}


@pytest.mark.parametrize("name", shipped_models())
def test_files_and_cards(name):
    assert model_path(name).stat().st_size < 3e6
    card = model_card(name)
    assert {"elements", "level", "summary", "data", "errors", "domain", "not for"} <= card.keys()
    model = DeepDensity(name)
    assert model.type_map == card["elements"].split()
    assert (model.elements_seen > 0).all() and model.calibration


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch, frozen_model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "organic").write_bytes(frozen_model.read_bytes())
    assert DeepDensity("organic").type_map == ["C", "H"]
    assert model_path(tmp_path / "nosuch" / "organic") == tmp_path / "nosuch" / "organic"


def test_predict_by_name(tmp_path, capsys):
    out = tmp_path / "rho.cube"
    arguments = ["predict", "-m", "organic", str(CAFFEINE), "--spacing", "0.3", "-o", str(out)]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert "expected NMAE" in told and "outside" not in told
    density, atoms = read_cube_data(str(out))
    electrons = sum(VALENCE[s] for s in atoms.symbols)
    exact = DeepDensity("organic").eval_electrons(
        atoms.positions, None, DeepDensity("organic").atype_of(list(atoms.symbols))
    )
    assert exact[0] == pytest.approx(electrons, rel=0.005)
    assert density.min() > -0.01


def test_what_lies_outside_is_said():
    """An ion, a radical, a stretched bond; the molecule itself is within."""
    model = DeepDensity("organic")
    caffeine = read(CAFFEINE)

    def doubts(atoms):
        atype = model.atype_of(list(atoms.symbols))
        return expected_error(model, atoms.positions, None, atype).doubts

    assert not doubts(caffeine)
    radical = caffeine.copy()
    del radical[[atom.index for atom in caffeine if atom.symbol == "H"][0]]
    assert any("odd number of electrons" in text for text in doubts(radical))
    hydrogen = [atom.index for atom in caffeine if atom.symbol == "H"][-1]
    distance = caffeine.get_all_distances()[hydrogen]
    partner = int(np.argsort(distance)[1])
    stretched = caffeine.copy()
    stretched.set_distance(partner, hydrogen, 2 * distance[partner], fix=0)
    assert any("has bonds of order" in text for text in doubts(stretched))


def test_command(capsys):
    assert main(["models"]) == 0
    assert "organic" in capsys.readouterr().out
    assert main(["models", "organic"]) == 0
    assert "not for" in capsys.readouterr().out
    assert main(["models", "organic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elements"].startswith("H C")
    assert main(["models", "organic", "--path"]) == 0
    assert Path(capsys.readouterr().out.strip()).exists()
    assert main(["models", "nosuch"]) == 2
    assert "found 'nosuch', expected one of" in capsys.readouterr().err
