"""dd-tf data: what it finds, and what training makes of it."""

import copy
import json

import numpy as np
import pytest

from deepdensity_tf.data.checks import examine_frame
from deepdensity_tf.data.examination import (
    FrameFacts,
    formula,
    frame_facts,
    known_faults,
    summarise,
)
from deepdensity_tf.data.frames import FrameList
from deepdensity_tf.data.system import find_systems
from deepdensity_tf.formats import BOHR
from deepdensity_tf.main import main
from tests.conftest import write_small_system
from tests.data.test_layouts import make_mixed


def files(path):
    return [system.files for system in find_systems(path)]


def test_figures(tmp_path, capsys):
    folder = write_small_system(tmp_path / "a/mol")
    make_mixed(write_small_system(tmp_path / "a/mixed", seed=1))
    target = tmp_path / "data.json"
    assert main(["data", str(tmp_path / "a"), "--rcut", "3.0", "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert (found["systems"], found["frames"], found["faulty"]) == (2, 12, [])
    assert found["compositions"] == {"CH2": 11, "CH": 1}
    assert found["elements"]["C"]["atoms"] == 12 and found["elements"]["H"]["atoms"] == 23
    assert found["spacing"]["min"] == found["spacing"]["max"] == pytest.approx(6 / 16)
    electrons = [frame.electrons / 3 for frame in find_systems(str(folder))[0]]
    assert found["electrons_per_atom"]["max"] >= max(electrons)
    coord = np.load(folder / "set.000/coord.npy").reshape(6, 3, 3)
    apart = np.linalg.norm(coord[:, [0, 0, 1]] - coord[:, [1, 2, 2]], axis=-1)
    assert found["closest"]["min"] <= apart.min() <= found["closest"]["max"]
    assert found["neighbors"] == [{"rcut": 3.0, "max": {"C": 1, "H": 2, "O": 0}}]
    printed = capsys.readouterr().out
    assert "CH2: 11 frames" in printed and "within 3 Å: C=1 H=2 O=0" in printed


def test_faulty_frames(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    density = np.load(write_small_system(tmp_path / "data") / "set.000/density.npy")
    assert known_faults("data", files("data")) is None
    assert main(["data", "data/"]) == 0
    assert known_faults("data", files("data")) == []
    density[4, 7] = np.nan
    np.save("data/set.000/density.npy", density)
    assert known_faults("data", files("data")) is None
    capsys.readouterr()
    assert main(["data", "data"]) == 2
    printed = capsys.readouterr()
    assert "1 faulty frames" in printed.out
    assert "1 of 6 frames are faulty, the first: data/set.000 frame 4: density holds" in printed.err
    (fault,) = known_faults("data", files("data"))
    assert (fault.system, fault.frame) == (0, 4)


def test_grid_that_does_not_fit_is_a_faulty_frame(small_system, capsys):
    shape = np.load(small_system / "set.000/grid_shape.npy")
    shape[2, 0] = 15
    np.save(small_system / "set.000/grid_shape.npy", shape)
    assert main(["data", str(small_system)]) == 2
    assert "frame 2 has grid 15 x 16 x 16" in capsys.readouterr().out


def test_training_uses_what_was_found(small_system, small_input, monkeypatch, caplog):
    from deepdensity_tf.data import frames
    from deepdensity_tf.schema import complete_input
    from deepdensity_tf.train.training_data import TrainingData
    from deepdensity_tf.train.workers import find_workers
    from deepdensity_tf.utils.errors import InputError

    path = small_system / "set.000/density.npy"
    density = np.load(path)
    main(["data", str(small_system)])
    small_input["training"]["training_data"]["systems"] = str(small_system)
    checked = []
    monkeypatch.setattr(frames, "check_frame", checked.append)
    TrainingData(complete_input(small_input), find_workers())
    assert not checked
    density[3] *= 1000
    np.save(path, density)
    main(["data", str(small_system)])
    with pytest.raises(InputError, match="frame 3: density integrates .* by dd-tf data"):
        TrainingData(complete_input(small_input), find_workers())
    monkeypatch.undo()
    forced = copy.deepcopy(small_input)
    forced["training"]["training_data"]["force"] = True
    TrainingData(complete_input(forced), find_workers())
    assert "frame 3: density integrates" in caplog.text
    small_input["training"]["training_data"]["frames"] = ":3"
    TrainingData(complete_input(small_input), find_workers())


def test_electrons_in_another_unit_are_doubted(small_system, caplog):
    path = small_system / "set.000/density.npy"
    (system,) = find_systems(str(small_system))
    FrameList([system], [range(6)]).check()
    assert not caplog.records
    np.save(path, np.load(path) * BOHR**3)
    (system,) = find_systems(str(small_system))
    (doubt,) = examine_frame(system.frame(0), system.type_map)
    assert "electrons for 3 atoms; is the density in e/bohr3 (1 electron/bohr^3" in doubt.message
    (doubt,) = examine_frame(system.frame(0), ["HW", "X", "EP"])
    assert "types HW X are no elements" in doubt.message
    (doubt,) = examine_frame(system.frame(0), system.type_map)
    assert frame_facts(system.frame(0), system.type_map).doubts == (doubt.message,)
    FrameList([system], [range(6)]).check()
    assert len(caplog.records) == 1 and doubt.message in caplog.text


def fact(label="f", electrons=None, spacing=0.2, closest=1.0, **counts):
    return FrameFacts(label, counts, 100, electrons, spacing, closest)


def test_electrons_of_elements_and_odd_frames():
    facts = [fact(electrons=8 + 0.01 * k, C=1, H=4) for k in range(-2, 3)]
    facts += [fact(electrons=8.0, O=1, H=2), fact(electrons=14.0, C=2, H=6)]
    facts += [fact("charged", 7.0, C=1, H=4), fact("near", 8.0, closest=0.4, O=1, H=2)]
    facts += [fact("coarse", 8.0, spacing=0.4, O=1, H=2)]
    found = summarise(facts)
    fitted = {name: entry["electrons"] for name, entry in found["elements"].items()}
    assert fitted == pytest.approx({"C": 4, "H": 1, "O": 6}, abs=0.05)
    assert [entry["frame"] for entry in found["odd"]] == ["charged", "near", "coarse"]
    # One composition does not tell the electrons of its elements.
    alone = summarise([fact(electrons=8.0, C=1, H=4)] * 3 + [fact("odd", 9.0, C=1, H=4)])
    assert alone["elements"]["C"]["electrons"] is None
    assert [entry["frame"] for entry in alone["odd"]] == ["odd"]


def test_without_grid_or_electrons():
    found = summarise([fact(electrons=None, spacing=None, closest=np.inf, He=1)])
    assert found["spacing"] is found["closest"] is found["electrons_per_atom"] is None
    assert formula({"O": 1, "H": 6, "C": 2}) == "C2H6O"
    assert summarise([])["frames"] == 0
