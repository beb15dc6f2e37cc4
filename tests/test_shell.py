"""Names of DeePMD-kit, the schema for editors, completion."""

import json
import subprocess

import numpy as np
import pytest

from deepdensity_tf.main import COMMANDS, main


def printed(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def complete(script, line):
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    call = f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}\n"
    code = f"{script}\n{call}_dd_tf; echo ${{COMPREPLY[*]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion(capsys):
    script = printed(capsys, "completion", "bash")
    assert set(COMMANDS) <= set(complete(script, "dd-tf "))
    assert complete(script, "dd-tf tr") == ["train"]
    assert complete(script, "dd-tf train --res") == ["--restart"]
    assert complete(script, "dd-tf train input.json --res") == ["--restart"]
    assert complete(script, "dd-tf -v plot sl") == ["slice"]
    assert complete(script, "dd-tf plot slice --axis ") == ["a", "b", "c"]
    assert complete(script, "dd-tf plot slice --pl") == ["--plane"]
    assert "bashcompinit" in printed(capsys, "completion", "zsh")


def test_schema_of_the_input(capsys):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(printed(capsys, "train", "--schema"))
    validator = jsonschema.Draft202012Validator(schema)
    data = {
        "_comment": "x",
        "model": {"type_map": ["H"], "descriptor": {"type": "se_e2_a", "axis_neuron": 4}},
        "training": {"training_data": {"systems": "data"}, "numb_steps": 1},
    }
    validator.validate(data)
    for section, key, value in (
        (data["model"], "rcut_poin", 3.0),
        (data["model"]["descriptor"], "axis_neuron", "many"),
        (data["model"]["descriptor"], "lmaxx", 1),
        (data["training"], "numb_steps", "ten"),
    ):
        before = dict(section)
        section[key] = value
        assert not validator.is_valid(data), key
        section.clear()
        section.update(before)
    validator.validate(data)


def test_keys_by_the_name_of_deepmd(capsys):
    assert printed(capsys, "doc-train-input") == printed(capsys, "train", "--keys")


def test_show_attributes(capsys, make_frozen):
    model = str(make_frozen())
    out = printed(capsys, "show", model, "type-map", "fitting-net")
    assert out.splitlines()[0] == 'type-map: ["C", "H"]' and '"expansion"' in out
    found = json.loads(printed(capsys, "show", model, "size", "--json"))
    assert list(found) == ["size"] and found["size"] > 0
    assert main(["show", model, "types"]) == 2
    assert "found 'types', expected one of type-map" in capsys.readouterr().err


@pytest.mark.parametrize("pbc", [False, True])
def test_neighbor_stat(capsys, tmp_path, pbc):
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    from tests.conftest import write_small_system

    folder = write_small_system(tmp_path / "data", pbc=pbc)
    found = json.loads(
        printed(capsys, "neighbor-stat", "-s", str(folder), "-r", "5", "-t", "C", "H", "--json")
    )
    shortest, largest = [], []
    for coord in np.load(folder / "set.000" / "coord.npy").reshape(-1, 3, 3):
        atoms = Atoms("CHH", coord, cell=6 * np.eye(3), pbc=pbc)
        i, j, d = neighbor_list("ijd", atoms, 5.0)
        shortest.append(d.min())
        hydrogen = np.arange(3)[j] > 0
        largest.append([np.bincount(i[mask], minlength=3).max() for mask in (~hydrogen, hydrogen)])
    assert found["min_nbor_dist"] == pytest.approx(min(shortest))
    assert list(found["max_nbor_size"].values()) == np.max(largest, axis=0).tolist()
    assert "min_nbor_dist" in printed(capsys, "neighbor-stat", "-s", str(folder), "-r", "2")


def test_neighbor_stat_of_types_in_other_orders(capsys, tmp_path):
    from tests.conftest import write_small_system
    from tests.data.test_layouts import make_mixed

    write_small_system(tmp_path / "data/a")
    before = printed(capsys, "neighbor-stat", "-s", str(tmp_path / "data"), "-r", "5")
    make_mixed(write_small_system(tmp_path / "data/b"))
    after = printed(capsys, "neighbor-stat", "-s", str(tmp_path / "data"), "-r", "5")
    assert after.split("\n")[:2] == [before.split("\n")[0], "max_nbor_size: C=1 H=2 O=0"]


def test_tables_as_json(capsys, tmp_path, monkeypatch, small_system, make_frozen):
    from tests.conftest import write_small_system

    monkeypatch.chdir(tmp_path)
    frozen, other = str(make_frozen()), str(make_frozen(seed=4))
    write_small_system(tmp_path / "one", nframes=1)
    commands = {
        "compress": ["-i", frozen, "-o", "c.pb"],
        "test": ["-m", frozen, "-s", "one"],
        "analyze": ["one"],
        "model-devi": ["-m", frozen, other, "-s", "one", "--lo", "0", "--hi", "1e9"],
        "convert": ["rho.cube", "-o", "new"],
    }
    keys = {
        "compress": "density_error",
        "test": "frames",
        "analyze": "electrons",
        "model-devi": "candidates",
        "convert": "files",
    }
    printed(capsys, "predict", "-m", frozen, "one", "--grid", "8", "8", "8", "-o", "rho.cube")
    for command, arguments in commands.items():
        assert printed(capsys, command, *arguments, "--json", f"{command}.json")
        assert keys[command] in json.loads((tmp_path / f"{command}.json").read_text())
    assert json.loads((tmp_path / "model-devi.json").read_text())["candidates"] == 1
    assert json.loads((tmp_path / "convert.json").read_text())["files"][0]["natoms"] == 3
