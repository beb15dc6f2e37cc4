"""The table: name, kind, how to spoil the good folder, command, what its one line must say."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bad_input.good import COMMANDS

Spoil = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One malformed input."""

    name: str
    kind: str
    spoil: Spoil
    command: str  # key of COMMANDS, or the arguments themselves
    expected: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """What comes after `dd-tf`."""
        return shlex.split(COMMANDS.get(self.command, self.command))


# How to spoil.


def nothing(folder: Path) -> None:
    """Leave all as it is: the arguments are what is wrong."""


def text(name: str, content: str) -> Spoil:
    return lambda folder: (folder / name).write_text(content)


def raw(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def replaced(name: str, old: str, new: str, count: int = 1) -> Spoil:
    def spoil(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new, count))

    return spoil


def line(name: str, number: int, new: str) -> Spoil:
    def spoil(folder: Path) -> None:
        lines = (folder / name).read_text().splitlines()
        lines[number] = new
        (folder / name).write_text("\n".join(lines) + "\n")

    return spoil


def removed(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def directory(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.mkdir()

    return spoil


def cut(name: str, part: float) -> Spoil:
    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(part * len(content))])

    return spoil


def dangling(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("nowhere")

    return spoil


def key(path: str, value) -> Spoil:
    """Set one entry of input.json; the path is dotted."""

    def spoil(folder: Path) -> None:
        data = json.loads((folder / "input.json").read_text())
        section = data
        *parents, last = path.split(".")
        for name in parents:
            section = section.setdefault(name, {})
        section[last] = value
        (folder / "input.json").write_text(json.dumps(data))

    return spoil


def without(path: str) -> Spoil:
    def spoil(folder: Path) -> None:
        data = json.loads((folder / "input.json").read_text())
        section = data
        *parents, last = path.split(".")
        for name in parents:
            section = section[name]
        del section[last]
        (folder / "input.json").write_text(json.dumps(data))

    return spoil


def yaml_input(content: str) -> Spoil:
    return text("input.yaml", content)


def array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """Change an array of the data."""

    def spoil(folder: Path) -> None:
        path = folder / "data/set.000" / name
        np.save(path, change(np.load(path)))

    return spoil


def entry(name: str, position, value) -> Spoil:
    def change(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[position] = value
        return values

    return array(name, change)


def npz(**changes) -> Spoil:
    def spoil(folder: Path) -> None:
        with np.load(folder / "rho.npz") as archive:
            arrays = {name: archive[name] for name in archive.files}
        arrays.update(changes)
        kept = {name: value for name, value in arrays.items() if value is not None}
        np.savez(folder / "rho.npz", **kept)

    return spoil


def graph(change: Callable) -> Spoil:
    """Change the frozen graph."""

    def spoil(folder: Path) -> None:
        import tensorflow as tf

        path = folder / "frozen_model.pb"
        found = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        changed = change(found)
        path.write_bytes((found if changed is None else changed).SerializeToString())

    return spoil


def constant(name: str, value) -> Spoil:
    """Give a constant of the frozen graph another value."""

    def change(found) -> None:
        import tensorflow as tf

        (node,) = (node for node in found.node if node.name == name)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        node.attr["dtype"].type = node.attr["value"].tensor.dtype

    return graph(change)


def renamed(old: str, new: str) -> Spoil:
    def change(found) -> None:
        for node in found.node:
            node.name = new if node.name == old else node.name

    return graph(change)


def added(op: str, inputs: tuple[str, ...] = ()) -> Spoil:
    return graph(lambda found: found.node.add(name="extra", op=op, input=inputs) and None)


def in_function(op: str) -> Spoil:
    def change(found) -> None:
        function = found.library.function.add()
        function.signature.name = "Abs"
        function.node_def.add(name="hidden", op=op)

    return graph(change)


def another_model(name: str) -> Spoil:
    """The checkpoint's input speaks of another model than its states."""

    def spoil(folder: Path) -> None:
        path = folder / name / "input.json"
        path.write_text(path.read_text().replace('"nchannel": 8', '"nchannel": 9'))

    return spoil


def both(*spoils: Spoil) -> Spoil:
    return lambda folder: [spoil(folder) for spoil in spoils] and None


def moved(old: str, new: str) -> Spoil:
    return lambda folder: (folder / old).rename(folder / new)


RESTART = moved("model.ckpt", "new.ckpt")
DESCRIPTOR, FITTING = "model.descriptor", "model.fitting_net"
DATA, VALID = "training.training_data", "training.validation_data"
SET = "data/set.000"


def _bounds() -> list[Case]:
    """Every numeric key: values out of its range."""
    rows = [
        ("model.rcut_point", 0, "expected a positive number"),
        ("model.rcut_point", -4.0, "expected a positive number"),
        ("model.nspline", 7, "expected at least 8"),
        ("model.nspline", -1, "expected at least 8"),
        (f"{DESCRIPTOR}.rcut", -1.0, "expected a positive number"),
        (f"{DESCRIPTOR}.rcut_smth", 0.0, "expected a positive number"),
        (f"{DESCRIPTOR}.lmax", 0, "expected 1 to 8"),
        (f"{DESCRIPTOR}.lmax", 9, "expected 1 to 8"),
        (f"{DESCRIPTOR}.npass", 0, "expected a positive number"),
        (f"{DESCRIPTOR}.nchannel", 0, "expected a positive number"),
        (f"{DESCRIPTOR}.nscalar", -3, "expected a positive number"),
        (f"{DESCRIPTOR}.neuron", [], "expected positive layer sizes"),
        (f"{DESCRIPTOR}.neuron", [16, 0], "expected positive layer sizes"),
        (f"{FITTING}.neuron", [-1], "expected positive layer sizes"),
        (f"{FITTING}.nradial", 0, "expected a positive number"),
        ("model.baseline.smoothness", 0, "expected a positive number"),
        ("learning_rate.start_lr", 0.0, "expected a positive number"),
        ("learning_rate.stop_lr", -1e-5, "expected a positive number"),
        ("loss.pref_abs", -1.0, "expected 0 or more"),
        ("loss.pref_sq", -1.0, "expected 0 or more"),
        ("loss.pref_charge", -0.1, "expected 0 or more"),
        ("loss.pref_spin", -1.0, "expected 0 or more"),
        ("training.numb_steps", 0, "expected a positive number"),
        ("training.disp_freq", 0, "expected a positive number"),
        ("training.save_freq", -5, "expected a positive number"),
        ("training.max_time", 0, "expected a positive number"),
        ("training.seed", -1, "expected 0 or more"),
        ("learning_rate.warmup_steps", -1, "expected 0 or more"),
        ("training.gradient_max_norm", -0.5, "expected 0 or more"),
        ("training.weight_decay", -0.1, "expected 0 or more"),
        ("training.weight_decay", "much", "expected 0 or more"),
        ("training.ema_decay", 1.0, "expected 0 to below 1"),
        ("training.ema_decay", -0.1, "expected 0 to below 1"),
        (f"{DATA}.batch_size", 0, "expected a positive number"),
        (f"{DATA}.numb_points", 0, "expected a positive number"),
        (f"{DATA}.uniform_fraction", 0.0, "expected more than 0 and at most 1"),
        (f"{DATA}.uniform_fraction", 1.5, "expected more than 0 and at most 1"),
        ("training.numb_steps", 10**30, "expected a finite number"),
        ("model.rcut_point", float("inf"), "expected a finite number"),
        ("learning_rate.start_lr", float("nan"), "expected a finite number"),
    ]
    return [
        Case(
            f"{path}={value}", "input: bounds", key(path, value), "train", ("input.json", path, say)
        )
        for path, value, say in rows
    ]


def _validation_bounds() -> list[Case]:
    section = {"systems": "data"}
    return [
        Case(
            f"{VALID}.{name}={value}",
            "input: bounds",
            key(VALID, {**section, name: value}),
            "train",
            ("input.json", f"{VALID}.{name}", say),
        )
        for name, value, say in (
            ("batch_size", -1, "expected 0 or more"),
            ("numb_points", 0, "expected a positive number"),
            ("uniform_fraction", 2, "expected more than 0 and at most 1"),
        )
    ]


def _types() -> list[Case]:
    """Every key: a value of the wrong type."""
    rows = [
        ("model", 5),
        ("model", None),
        ("model.type_map", "C H"),
        ("model.type_map", [1, 2]),
        ("model.rcut_point", "far"),
        ("model.nspline", 24.5),
        ("model.precision", 64),
        ("model.spin", "yes"),
        ("model.electrons", "4 1"),
        ("model.descriptor", []),
        (f"{DESCRIPTOR}.rcut", None),
        (f"{DESCRIPTOR}.neuron", 16),
        (f"{DESCRIPTOR}.neuron", ["a"]),
        (f"{DESCRIPTOR}.lmax", "3"),
        (FITTING, "expansion"),
        (f"{FITTING}.nradial", [6]),
        ("model.baseline", "none"),
        ("learning_rate", 0.001),
        ("learning_rate.start_lr", "1e-3"),
        ("loss", []),
        ("loss.pref_abs", {}),
        ("training", "long"),
        (DATA, "data"),
        (f"{DATA}.systems", 5),
        (f"{DATA}.frames", 3),
        (f"{DATA}.batch_size", 1.5),
        (VALID, None),
        ("training.numb_steps", "10"),
        ("learning_rate.warmup_steps", 0.5),
        ("training.save_best", 1),
        ("training.gradient_max_norm", "none"),
        ("training.seed", 1.5),
        ("training.max_time", "1 h"),
        ("training.disp_file", 1),
        ("training.save_ckpt", None),
    ]
    return [
        Case(
            f"{path}:{json.dumps(value)}",
            "input: types",
            key(path, value),
            "train",
            ("input.json", path.split(".")[-1]),
        )
        for path, value in rows
    ] + [
        Case(
            "training.numb_steps:true",
            "input: types",
            key("training.numb_steps", True),
            "train",
            ("training.numb_steps is True, expected a positive number",),
        ),
        Case(
            f"{DESCRIPTOR}.type:list",
            "input: types",
            key(f"{DESCRIPTOR}.type", ["se_e2_a"]),
            "train",
            ("model.descriptor.type is ['se_e2_a'], expected one of equivariant, se_e2_a",),
        ),
    ]


def _keys() -> list[Case]:
    rows = [
        ("model.fiting_net", {}, "unknown key model.fiting_net: did you mean 'fitting_net'"),
        (f"{DESCRIPTOR}.rcutt", 3.0, f"unknown key {DESCRIPTOR}.rcutt: did you mean 'rcut'"),
        ("model.sel", [4], "unknown key model.sel"),
        ("training.numb_step", 5, "did you mean 'numb_steps'"),
        ("trainin", {}, "unknown key trainin: did you mean 'training'"),
        ("learning_rate.start_rl", 1, "did you mean 'start_lr'"),
        ("loss.pref_e", 1, "unknown key loss.pref_e"),
        (f"{DATA}.system", "data", f"unknown key {DATA}.system: did you mean 'systems'"),
        (f"{DESCRIPTOR}.type", "se_e2_b", "expected one of equivariant, se_e2_a; did you mean"),
        (f"{FITTING}.type", "expo", "model.fitting_net.type is 'expo', expected one of"),
        ("model.baseline.type", "atoms", "did you mean 'atomic'"),
        (f"{DESCRIPTOR}.axis_neuron", 4, f"unknown key {DESCRIPTOR}.axis_neuron"),
        ("model.precision", "float16", "model.precision is 'float16', expected float32 or float64"),
        ("model.type_map", [], "model.type_map is [], expected distinct elements"),
        ("model.type_map", ["H", "H"], "expected distinct elements"),
        ("model.type_map", ["C", "H 2"], "expected distinct elements"),
        (f"{DESCRIPTOR}.rcut_smth", 9.0, "rcut_smth is 9.0, expected less than rcut = 3.5"),
        ("learning_rate.stop_lr", 1.0, "stop_lr is 1.0, expected less than start_lr"),
        (f"{FITTING}.nradial", 30, "nradial is 30, expected at most nspline = 24"),
        ("model.electrons", [4.0], "model.electrons is [4.0], expected a number for each type"),
        ("model.electrons", [-1, 1], "expected a number for each type"),
        ("model.electrons", [0, 0], "expected a number for each type"),
        ("loss.pref_abs", 0, "are 0, expected one above 0"),
        (f"{DATA}.systems", [], "systems: found an empty list"),
        (f"{DATA}.systems", "nix", "nix: no such folder"),
        (f"{DATA}.frames", "x:y", "training_data.frames (data): found 'x:y', expected a slice"),
        (f"{DATA}.frames", "7:", "takes no frame of 2"),
        (f"{DATA}.frames", "5", "frame 5 asked for, found 2 frames"),
        (f"{DATA}.frames", [":", ":"], "training_data.frames: found 2 slices for 1 systems"),
        (VALID, {"systems": "data", "frames": "9:"}, "validation_data.frames (data): '9:'"),
        ("model.type_map", ["C", "O"], "found H, expected elements of the model: C O"),
        ("model.spin", True, "model.spin is true, found no spin_density.npy"),
        ("training.disp_file", "", "training.disp_file is '', expected a name"),
        ("training.disp_file", "nix/lcurve.out", "expected a file name in a folder that exists"),
        ("training.disp_file", "data", "training.disp_file is data, expected a file name"),
        ("training.save_ckpt", " ", "training.save_ckpt is ' ', expected a name"),
        ("training.save_ckpt", "mol.xyz", "training.save_ckpt is mol.xyz, which is a file"),
        ("training.save_ckpt", "model.ckpt", "model.ckpt: holds checkpoints already; go on by"),
    ]
    missing = [
        ("model", "`model` is required"),
        ("training", "`training` is required"),
        ("model.type_map", "`type_map` is required"),
        ("training.numb_steps", "`numb_steps` is required"),
        (DATA, "`training_data` is required"),
        (f"{DATA}.systems", "`systems` is required"),
    ]
    electrons_of_pairs = both(
        key("model.electrons", [4, 1]), key(FITTING, {"type": "pair", "neuron": [8]})
    )
    few_axes = key(DESCRIPTOR, {"type": "se_e2_a", "neuron": [8, 4], "axis_neuron": 5})
    return [
        *(
            Case(f"{path} is {value!r}", "input: keys", key(path, value), "train", (say,))
            for path, value, say in rows
        ),
        *(
            Case(f"no {path}", "input: keys", without(path), "train", ("input.json", say))
            for path, say in missing
        ),
        Case(
            "electrons of pair nets",
            "input: keys",
            electrons_of_pairs,
            "train",
            ("model.electrons needs fitting_net.type expansion, found pair",),
        ),
        Case(
            "more axes than channels",
            "input: keys",
            few_axes,
            "train",
            ("axis_neuron is 5, expected at most the last of neuron, 4",),
        ),
    ]


def _input_files() -> list[Case]:
    kind, yaml = "input: files", "train input.yaml"
    good = "model: {type_map: [C, H]}\ntraining: {training_data: {systems: data}, numb_steps: 1"
    rows = [
        ("no input", nothing, "train --restart", "no input given"),
        ("missing input", nothing, "train nix.json", "nix.json: no such file, expected a training"),
        ("empty input", text("input.json", ""), "train", "input.json: Expecting value"),
        ("directory as input", directory("input.json"), "train", "input.json: cannot be read"),
        ("binary input", raw("input.json", b"\xff\xfe{}"), "train", "input.json: cannot be read"),
        ("cut input", cut("input.json", 0.7), "train", "input.json: "),
        ("list as input", text("input.json", "[1]"), "train", "found list at the top"),
        ("number as input", text("input.json", "3"), "train", "found int at the top"),
        (
            "comment in input",
            replaced("input.json", ', "training"', ',\n// the run\n"training"'),
            "train",
            "comments go into keys that begin with _",
        ),
        ("single quotes", text("input.json", "{'model': 1}"), "train", "input.json: Expecting"),
        ("trailing comma", text("input.json", '{"model": {},}'), "train", "input.json: "),
        (
            "key twice",
            text("input.json", '{"model": {"spin": true, "spin": false}}'),
            "train",
            "input.json: key 'spin' stands twice",
        ),
        ("nested too deeply", text("input.json", "[" * 100_000), "train", "nested too deeply"),
        ("huge number", text("input.json", f'{{"a": {"9" * 5000}}}'), "train", "input.json: "),
        ("yaml key twice", yaml_input("model: 1\nmodel: 2\n"), yaml, "'model' stands twice"),
        ("yaml syntax", yaml_input("model: [1\n"), yaml, "input.yaml: while parsing"),
        ("yaml tab", yaml_input("model:\n\ttype_map: [C]\n"), yaml, "input.yaml: while scanning"),
        ("yaml object", yaml_input("a: !!python/object:os.system x\n"), yaml, "input.yaml: could"),
        ("yaml key of number", yaml_input("1: 2\n"), yaml, "input.yaml: key 1 is no text"),
        ("yaml empty", yaml_input(""), yaml, "input.yaml: found NoneType at the top"),
        ("yaml cut", yaml_input(good), yaml, "input.yaml: while parsing a flow mapping"),
        ("yaml key of list", yaml_input("? [a]\n: 3\n"), yaml, "key ['a'] is no text"),
        (
            "out.json in no folder",
            nothing,
            "train input.json --output nix/out.json",
            "nix/out.json",
        ),
        ("output is folder", nothing, "train input.json --output data", "--output is data"),
    ]
    return [Case(name, kind, spoil, command, (say,)) for name, spoil, command, say in rows]


def _negative_shape() -> bytes:
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (2, -4)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _data() -> list[Case]:
    def overlapping(coord):
        coord = coord.copy()
        coord[1, 3:6] = coord[1, :3]
        return coord

    loose = both(
        removed(f"{SET}/grid_shape.npy"),
        lambda folder: np.save(folder / SET / "grid.npy", np.zeros((2, 5, 3))),
    )
    rows = [
        ("no type.raw", removed("data/type.raw"), "data: found no type.raw"),
        ("empty type.raw", text("data/type.raw", ""), "type.raw: empty"),
        ("words in type.raw", text("data/type.raw", "0\nH\n1\n"), "type.raw: found 'H'"),
        ("negative type", text("data/type.raw", "0\n-1\n1\n"), "type.raw: found '-1', expected"),
        ("type beyond map", text("data/type.raw", "0\n1\n2\n"), "expected types 0 to 1"),
        ("too few types", text("data/type.raw", "0\n1\n"), "expected (2, 6)"),
        ("unicode digit", text("data/type.raw", "0\n1\n²\n"), "type.raw: found '²'"),
        ("no type_map.raw", removed("data/type_map.raw"), "type_map.raw: missing"),
        ("empty type_map.raw", text("data/type_map.raw", " \n"), "type_map.raw: empty"),
        ("binary type_map.raw", raw("data/type_map.raw", b"\xff\x00"), "type_map.raw: cannot"),
        ("directory as type_map.raw", directory("data/type_map.raw"), "type_map.raw: cannot"),
        (
            "unknown element",
            text("data/type_map.raw", "C\nXe\n"),
            "type_map.raw: found Xe, expected",
        ),
        ("no set", moved(SET, "data/other"), "found no set.* folder"),
        ("no coord", removed(f"{SET}/coord.npy"), "coord.npy: missing"),
        ("no box", removed(f"{SET}/box.npy"), "box.npy: missing"),
        ("no density", removed(f"{SET}/density.npy"), "density.npy: missing"),
        ("no grid", removed(f"{SET}/grid_shape.npy"), "neither grid_shape.npy"),
        ("empty density", raw(f"{SET}/density.npy", b""), "density.npy: not a complete .npy"),
        ("cut density", cut(f"{SET}/density.npy", 0.6), "density.npy: not a complete .npy"),
        ("cut header", cut(f"{SET}/coord.npy", 0.1), "coord.npy: not a complete .npy"),
        (
            "negative shape",
            raw(f"{SET}/density.npy", _negative_shape()),
            "density.npy: not a complete .npy",
        ),
        ("text as density", text(f"{SET}/density.npy", "1 2 3\n"), "density.npy: not a complete"),
        ("directory as density", directory(f"{SET}/density.npy"), "density.npy: "),
        ("dangling density", dangling(f"{SET}/density.npy"), "density.npy: missing"),
        (
            "pickled objects",
            array("density.npy", lambda a: np.array([{"a": 1}], dtype=object)),
            "density.npy: not a complete .npy",
        ),
        ("int density", array("density.npy", lambda a: a.astype(int)), "found int64 numbers"),
        ("complex density", array("density.npy", lambda a: a + 0j), "found complex64 numbers"),
        ("text coord", array("coord.npy", lambda a: a.astype("U9")), "coord.npy: found <U9"),
        ("bool box", array("box.npy", lambda a: a > 0), "box.npy: found bool numbers"),
        ("float grid_shape", array("grid_shape.npy", lambda a: a * 1.0), "expected integer"),
        (
            "coord of 2 atoms",
            array("coord.npy", lambda a: a[:, :6]),
            "shape (2, 6), expected (2, 9)",
        ),
        ("scalar coord", array("coord.npy", lambda a: a[0, 0]), "coord.npy: found shape ()"),
        ("box of one frame", array("box.npy", lambda a: a[:1]), "shape (1, 9), expected (2, 9)"),
        ("box (n, 3, 3)", array("box.npy", lambda a: a.reshape(2, 3, 3)), "expected (2, 9)"),
        ("box of lengths", array("box.npy", lambda a: a[:, :3]), "shape (2, 3), expected (2, 9)"),
        ("density of one frame", array("density.npy", lambda a: a[:1]), "expected (2, number of"),
        (
            "density 4D",
            array("density.npy", lambda a: a.reshape(2, 16, 16, 16)),
            "found shape (2, 16",
        ),
        ("flat density", array("density.npy", np.ravel), "density.npy: found shape (8192,)"),
        ("no points", array("density.npy", lambda a: a[:, :0]), "density.npy: found shape (2, 0)"),
        (
            "no frames",
            both(
                *(
                    array(f"{n}.npy", lambda a: a[:0])
                    for n in ("coord", "box", "density", "grid_shape")
                )
            ),
            "takes no frame of 0",
        ),
        ("grid does not match", entry("grid_shape.npy", (1, 2), 8), "frame 1 has grid 16 x 16 x 8"),
        ("negative grid", entry("grid_shape.npy", (0, 0), -16), "frame 0 has grid -16"),
        (
            "two negatives",
            entry("grid_shape.npy", (0, slice(0, 2)), -16),
            "frame 0 has grid -16 x -16",
        ),
        ("zero grid", entry("grid_shape.npy", (0, 0), 0), "frame 0 has grid 0 x"),
        (
            "overflowing grid",
            array("grid_shape.npy", lambda a: np.full(a.shape, 2**62)),
            "expected 4096 points",
        ),
        ("grid (n, 2)", array("grid_shape.npy", lambda a: a[:, :2]), "expected (2, 3)"),
        (
            "loose points do not match",
            loose,
            "grid.npy: found shape (2, 5, 3), expected (2, 4096, 3)",
        ),
        ("NaN density", entry("density.npy", (1, 7), np.nan), "frame 1: density holds NaN"),
        ("Inf density", entry("density.npy", (0, 7), np.inf), "frame 0: density holds NaN or inf"),
        ("Inf and -Inf", entry("density.npy", (0, slice(0, 2)), [np.inf, -np.inf]), "holds NaN"),
        ("NaN coord", entry("coord.npy", (1, 0), np.nan), "frame 1: coord holds NaN"),
        ("huge coord", entry("coord.npy", (1, 0), 1e300), "frame 1: coord "),
        ("NaN box", entry("box.npy", (1, 0), np.nan), "frame 1: box holds NaN"),
        ("flat box", entry("box.npy", (1, 0), 0.0), "frame 1: box is of no volume"),
        ("left-handed box", entry("box.npy", (1, 0), -6.0), "frame 1: box is left-handed"),
        ("zero box", array("box.npy", lambda a: 0 * a), "frame 0: box is of no volume"),
        ("overlapping atoms", array("coord.npy", overlapping), "atoms 0 and 1 0 Å apart"),
        ("e/bohr3", array("density.npy", lambda a: a * 0.148185 / 8), "integrates to 0.1"),
        ("times volume", array("density.npy", lambda a: a * 216), "expected electrons/Å^3"),
        ("zero density", array("density.npy", lambda a: 0 * a), "integrates to 0 electrons"),
        ("negative density", array("density.npy", lambda a: -a), "integrates to -"),
        (
            "spin of another shape",
            lambda folder: np.save(folder / SET / "spin_density.npy", np.zeros((2, 5))),
            "spin_density.npy: found shape (2, 5), expected (2, 4096)",
        ),
        (
            "NaN spin",
            lambda folder: np.save(folder / SET / "spin_density.npy", np.full((2, 4096), np.nan)),
            "frame 0: spin_density holds NaN",
        ),
        (
            "file as system",
            both(key(f"{DATA}.systems", "mol.xyz")),
            "mol.xyz: is a file but not HDF5",
        ),
        ("directory as type.raw", directory("data/type.raw"), "type.raw: cannot be read"),
        ("crowded sets", lambda folder: (folder / "data/set.001").mkdir(), "set.001"),
    ]
    # "no such folder" and "found no" name the folder alone.
    return [
        Case(name, "data", spoil, "train", ("data" if "mol" not in say else "mol", say))
        for name, spoil, say in rows
    ]


def _checkpoints() -> list[Case]:
    state = "state-0.data-00000-of-00001"
    rows = [
        ("no checkpoints", nothing, "freeze -c nix -o new.pb", "nix: found no input.json there"),
        ("file as checkpoints", nothing, "freeze -c mol.xyz -o new.pb", "mol.xyz: found no input"),
        ("empty checkpoints", directory("model.ckpt"), "freeze", "model.ckpt: found no input.json"),
        ("checkpoints without input", removed("model.ckpt/input.json"), "freeze", "no input.json"),
        (
            "cut checkpoint input",
            cut("model.ckpt/input.json", 0.5),
            "freeze",
            "input.json: damaged",
        ),
        ("empty checkpoint input", text("model.ckpt/input.json", ""), "freeze", "damaged"),
        ("list as checkpoint input", text("model.ckpt/input.json", "[1]"), "freeze", "damaged"),
        ("other checkpoint input", text("model.ckpt/input.json", '{"a": 1}'), "freeze", "damaged"),
        (
            "checkpoint input is a directory",
            directory("model.ckpt/input.json"),
            "freeze",
            "input.json: damaged",
        ),
        (
            "bad key in checkpoint input",
            replaced("model.ckpt/input.json", '"nspline"', '"nsplines"'),
            "freeze",
            "unknown key model.nsplines: did you mean 'nspline'",
        ),
        ("no state named", removed("model.ckpt/checkpoint"), "freeze", "no checkpoint there"),
        (
            "empty checkpoint file",
            text("model.ckpt/checkpoint", ""),
            "freeze",
            "model.ckpt/checkpoint: damaged",
        ),
        (
            "garbage checkpoint file",
            raw("model.ckpt/checkpoint", b"\xff\0:{"),
            "freeze",
            "model.ckpt",
        ),
        ("no index", removed("model.ckpt/state-0.index"), "freeze", "damaged or of another model"),
        ("no weights", removed(f"model.ckpt/{state}"), "freeze", "damaged or of another model"),
        ("cut weights", cut(f"model.ckpt/{state}", 0.5), "freeze", "damaged or of another model"),
        ("empty weights", raw(f"model.ckpt/{state}", b""), "freeze", "damaged or of another model"),
        (
            "cut index",
            cut("model.ckpt/state-0.index", 0.5),
            "freeze",
            "damaged or of another model",
        ),
        (
            "garbage index",
            raw("model.ckpt/state-0.index", b"x" * 999),
            "freeze",
            "state-0: damaged",
        ),
        ("states of another model", another_model("model.ckpt"), "freeze", "of another model"),
        (
            "restart of another model",
            both(RESTART, key("model.nspline", 30)),
            "restart",
            "section model differs from that of new.ckpt",
        ),
        ("restart without checkpoints", nothing, "restart", "new.ckpt: found no input.json there"),
        (
            "restart of a damaged state",
            both(RESTART, cut(f"new.ckpt/{state}", 0.5)),
            "restart",
            "damaged or of another model",
        ),
        ("init from nothing", directory("model.ckpt"), "init", "model.ckpt: found no input.json"),
        (
            "init from another model",
            key(f"{DESCRIPTOR}.nchannel", 9),
            "init",
            "model.ckpt: its model differs from section model",
        ),
        (
            "fine-tuning of no model",
            nothing,
            "train input.json --finetune rho.cube",
            "rho.cube: not a graph",
        ),
        (
            "init and restart",
            RESTART,
            f"{COMMANDS['restart']} --init-model kept.ckpt",
            "one of them",
        ),
    ]
    return [Case(name, "checkpoints", spoil, command, (say,)) for name, spoil, command, say in rows]


def _graphs() -> list[Case]:
    def no_nodes(found):
        del found.node[:]

    def cyclic(found):
        found.node.add(name="one", op="Identity", input=["two"])
        found.node.add(name="two", op="Identity", input=["one"])

    def lost_input(found):
        for node in found.node:
            if node.name == "o_density":
                node.input[0] = "nowhere"

    def attributes_alone(found):
        kept = [node for node in found.node if "_attr/" in node.name]
        del found.node[:]
        found.node.extend(kept)

    def other_type(found):
        import tensorflow as tf

        for node in found.node:
            if node.name == "t_type":
                node.attr["dtype"].type = tf.int64.as_datatype_enum

    def other_graph(found):
        import tensorflow as tf

        other = tf.Graph()
        with other.as_default():
            tf.constant(1.0, name="x")
        return other.as_graph_def()

    attribute, version = "model_attr", "model_attr/model_version"
    rows = [
        (
            "no frozen model",
            nothing,
            "show nix.pb",
            "nix.pb: no such file, expected a frozen model",
        ),
        ("directory as model", nothing, "show data", "data: cannot be read"),
        ("empty model", raw("frozen_model.pb", b""), "show", "an empty graph"),
        ("random bytes", raw("frozen_model.pb", bytes(range(256)) * 9), "show", "not a graph"),
        ("text as model", nothing, "show lcurve.out", "lcurve.out: not a graph"),
        ("model cut early", cut("frozen_model.pb", 0.1), "show", "frozen_model.pb: "),
        ("model cut late", cut("frozen_model.pb", 0.99), "show", "frozen_model.pb: "),
        ("checkpoint as model", nothing, "show model.ckpt/state-0.index", "state-0.index: not a"),
        ("npy as model", nothing, f"show {SET}/density.npy", "density.npy: not a graph"),
        ("no nodes", graph(no_nodes), "show", "an empty graph"),
        ("another graph", graph(other_graph), "show", "has no tensor model_attr/model_version"),
        ("newer version", constant(version, "99.0"), "show", "model version 99.0, expected 1.0"),
        ("version is a number", constant(version, 1.0), "show", f"{version} is no text"),
        ("no version", renamed(version, "other"), "show", f"has no tensor {version}"),
        ("no type map", renamed(f"{attribute}/type_map", "b"), "show", "no tensor model_attr/type"),
        ("no script", renamed("train_attr/training_script", "b"), "show", "no tensor train_attr"),
        ("broken script", constant("train_attr/training_script", "{"), "show", "script is damaged"),
        ("script is a list", constant("train_attr/training_script", "[]"), "show", "is damaged"),
        ("NaN cut-off", constant(f"{attribute}/rcut", np.nan), "show", "rcut is nan, expected"),
        ("cut-off is text", constant(f"{attribute}/rcut", "4"), "show", "rcut is b'4', expected"),
        ("no pairs", constant(f"{attribute}/max_pairs", 0), "show", "max_pairs is 0, expected"),
        ("no point tensor", renamed("t_point", "q_point"), "show", "frozen_model.pb: not a usable"),
        ("attributes alone", graph(attributes_alone), "show", "has no float64 tensor t_coord"),
        ("input lost", graph(lost_input), "show", "not a usable graph"),
        ("type of input", graph(other_type), "show", "frozen_model.pb: "),
        ("cycle", graph(cyclic), "show", "frozen_model.pb: "),
        (
            "unknown op",
            added("DdSomethingNew"),
            "show",
            "refused: holds operation 'DdSomethingNew'",
        ),
        (
            "reads files",
            added("ReadFile", ("t_type",)),
            "show",
            "refused: holds operation 'ReadFile'",
        ),
        (
            "writes files",
            added("WriteFile"),
            "predict",
            "holds operation 'WriteFile' (node 'extra')",
        ),
        ("calls Python", added("PyFunc"), "test", "refused: holds operation 'PyFunc'"),
        ("loads data", added("IteratorV2"), "predict", "refused: holds operation 'IteratorV2'"),
        ("compress nothing", nothing, "compress -i nix.pb -o new.pb", "nix.pb: no such file"),
        ("compress another graph", graph(other_graph), "compress", "has no tensor model_attr"),
        ("compress an unknown op", added("ReadFile"), "compress", "operation 'ReadFile'"),
        ("step too wide", nothing, f"{COMMANDS['compress']} -s 99", "step is 99.0 Å, expected"),
        ("step 0", nothing, f"{COMMANDS['compress']} -s 0", "found '0', expected a number above 0"),
        (
            "compress into a folder",
            nothing,
            "compress -i frozen_model.pb -o data",
            "data: is a dir",
        ),
        (
            "op in a function",
            in_function("WriteFile"),
            "predict",
            "refused: holds function",
        ),
        ("function", in_function("Add"), "show", "refused: holds function 'Abs'"),
    ]
    return [
        Case(name, "frozen models", spoil, command, (say,)) for name, spoil, command, say in rows
    ]


def _structures() -> list[Case]:
    far = "2\n\nC 0 0 0\nH 0 0 0\n"
    kind, model = "structures", "-m frozen_model.pb"
    rows = [
        ("no structure", removed("mol.xyz"), "predict", "mol.xyz: no such file"),
        ("empty structure", text("mol.xyz", ""), "predict", "mol.xyz: "),
        (
            "binary structure",
            raw("mol.xyz", b"\xff\xfe\0\1" * 30),
            "predict",
            "mol.xyz: ASE cannot",
        ),
        ("cut structure", text("mol.xyz", "5\n\nC 0 0 0\n"), "predict", "mol.xyz: "),
        ("no atoms", text("mol.xyz", "0\n\n"), "predict", "mol.xyz frame 0: has no atoms"),
        (
            "element not in model",
            text("mol.xyz", "1\n\nXe 0 0 0\n"),
            "predict",
            "knows C H, found Xe",
        ),
        ("no such element", text("mol.xyz", "1\n\nQq 0 0 0\n"), "predict", "mol.xyz: ASE cannot"),
        (
            "NaN position",
            text("mol.xyz", "1\n\nC nan 0 0\n"),
            "predict",
            "mol.xyz frame 0: coord holds NaN",
        ),
        (
            "atoms at one place",
            text("mol.xyz", far),
            "predict",
            "coord has atoms 0 and 1 0 Å apart",
        ),
        ("words as positions", text("mol.xyz", "1\n\nC a b c\n"), "predict", "mol.xyz: ASE cannot"),
        ("no such frame", nothing, f"{COMMANDS['predict']} -f 3", "mol.xyz: has no frame 3"),
        (
            "folder without system",
            nothing,
            f"predict {model} h2.save -o new.npy",
            "h2.save: found no",
        ),
        ("no such frame of a system", nothing, f"{COMMANDS['frame']} -f 9", "frame 9 asked for"),
        ("cut POSCAR", line("crystal.vasp", 3, "0.3 4.2"), "crystal", "not a valid POSCAR header"),
        ("flat POSCAR", line("crystal.vasp", 4, "0 0 0"), "crystal", "crystal.vasp frame 0: "),
        ("parallel cell", line("crystal.vasp", 3, "8 0 0"), "crystal", "crystal.vasp frame 0: "),
        ("model as structure", nothing, f"predict {model} frozen_model.pb", "frozen_model.pb: ASE"),
        (
            "NaN in a system",
            entry("coord.npy", (0, 0), np.nan),
            "frame",
            "data frame 0: coord holds NaN",
        ),
        ("test on NaN", entry("density.npy", (0, 0), np.nan), "test", "frame 0: "),
        ("test on cut data", cut(f"{SET}/density.npy", 0.5), "test", "density.npy: not a complete"),
        ("test on elements", text("data/type_map.raw", "C\nO\n"), "test", "type_map.raw: found O"),
        (
            "plot of cut data",
            cut(f"{SET}/density.npy", 0.5),
            "slice",
            "density.npy: not a complete",
        ),
        ("plot of NaN", entry("density.npy", (0, 9), np.nan), "line", "frame 0: "),
        ("parity of NaN", entry("density.npy", (1, 9), np.nan), "parity", "frame 1"),
        ("no learning curve", removed("lcurve.out"), "lcurve", "lcurve.out: no such file"),
        ("empty learning curve", text("lcurve.out", ""), "lcurve", "names no columns"),
        ("no header", text("lcurve.out", "1 2 3\n"), "lcurve", "names no columns"),
        ("words in curve", text("lcurve.out", "# step a\n1 x\n"), "lcurve", "expected numbers"),
        ("header alone", text("lcurve.out", "# step a\n"), "lcurve", "has no lines of data yet"),
        ("binary curve", raw("lcurve.out", b"\xff\0\1"), "lcurve", "names no columns"),
    ]
    return [Case(name, kind, spoil, command, (say,)) for name, spoil, command, say in rows]


def _density_files() -> list[Case]:
    cube = "a\nb\n{}\n2 2 0 0\n2 0 2 0\n2 0 0 2\n1 0 0 0 0\n{}\n"
    ones = "1 " * 8
    schema = "h2.save/data-file-schema.xml"
    rho = "h2.save/charge-density.dat"
    rows = [
        ("no cube", removed("rho.cube"), "cube", "rho.cube: no such file"),
        ("empty cube", text("rho.cube", ""), "cube", "rho.cube: empty"),
        ("binary cube", raw("rho.cube", b"\xff\xfe\0garbage"), "cube", "rho.cube: cannot be read"),
        ("words as cube", text("rho.cube", "a\nb\nno cube\n"), "cube", "rho.cube: not a cube file"),
        ("cut cube", cut("rho.cube", 0.5), "cube", "rho.cube: truncated"),
        ("cube cut in header", cut("rho.cube", 0.03), "cube", "rho.cube: "),
        ("orbitals", text("rho.cube", cube.format("-1 0 0 0", ones)), "cube", "several values"),
        ("two values", text("rho.cube", cube.format("1 0 0 0 2", ones)), "cube", "several values"),
        ("NaN in cube", text("rho.cube", cube.format("1 0 0 0", "nan " * 8)), "cube", "hold NaN"),
        ("words in cube", text("rho.cube", cube.format("1 0 0 0", "x " * 8)), "cube", "rho.cube: "),
        ("NaN origin", text("rho.cube", cube.format("1 nan 0 0", ones)), "cube", "rho.cube: "),
        ("no atoms in cube", text("rho.cube", cube.format("0 0 0 0", ones)), "cube", "rho.cube: "),
        ("zero voxels", line("rho.cube", 3, "0 1 0 0"), "cube", "rho.cube: "),
        ("huge cube", line("rho.cube", 3, "9999999999 1 0 0"), "cube", "rho.cube: truncated"),
        ("overflowing cube", line("rho.cube", 3, f"{10**30} 1 0 0"), "cube", "rho.cube: "),
        (
            "flat cube",
            line("rho.cube", 3, "6 0 0 0"),
            "cube",
            "rho.cube: periodic with 2 cell vectors",
        ),
        ("element 999", line("rho.cube", 6, "999 0 1 1 1"), "cube", "rho.cube: no valid atoms"),
        ("element -1", line("rho.cube", 6, "-1 0 1 1 1"), "cube", "rho.cube: no valid atoms"),
        ("directory as cube", directory("rho.cube"), "cube", "rho.cube: is a directory"),
        ("npz in no unit", npz(density=np.full((6, 7, 8), 1e-9)), "npz", "expected electrons/Å^3"),
        ("unit of CHGCAR", nothing, f"{COMMANDS['vasp']} --unit e/ang3", "unit of vasp files is"),
        ("no gzip", raw("rho.cube", b"\x1f\x8b" + 50 * b"x"), "cube", "cannot be read"),
        ("no bzip2", raw("rho.cube", b"BZh" + 50 * b"x"), "cube", "cannot be read"),
        ("no xz", raw("rho.cube", b"\xfd7zXZ\0" + 50 * b"x"), "cube", "cannot be read"),
        ("empty CHGCAR", text("CHGCAR", " \n"), "vasp", "CHGCAR: empty"),
        ("words as CHGCAR", text("CHGCAR", "nothing\n"), "vasp", "CHGCAR: not a CHGCAR"),
        ("cut CHGCAR", cut("CHGCAR", 0.6), "vasp", "CHGCAR: truncated"),
        ("POSCAR as CHGCAR", moved("crystal.vasp", "CHGCAR"), "vasp", "CHGCAR: found '' after"),
        ("grid of CHGCAR", replaced("CHGCAR", "6    7    8", "6  0  8"), "vasp", "expected a grid"),
        ("NaN in CHGCAR", replaced("CHGCAR", "E-0", "E+999 ", 1), "vasp", "CHGCAR: "),
        ("flat CHGCAR", line("CHGCAR", 2, "0 0 0"), "vasp", "CHGCAR: "),
        ("binary CHGCAR", raw("CHGCAR", b"\x89\0\xff" * 50), "vasp", "CHGCAR: cannot be read"),
        ("empty save folder", directory("h2.save"), "qe", "expected a pw.x save folder"),
        ("no schema", removed(schema), "qe", "data-file-schema.xml: missing"),
        ("empty schema", text(schema, ""), "qe", "not a complete pw.x schema file"),
        ("cut schema", cut(schema, 0.5), "qe", "not a complete pw.x schema file"),
        ("other schema", text(schema, "<a><output/></a>"), "qe", "not a complete pw.x schema"),
        (
            "entity bomb",
            text(schema, '<!DOCTYPE a [<!ENTITY b "c">]><a>&d;</a>'),
            "qe",
            "not a com",
        ),
        ("grid of schema", replaced(schema, 'nr1="', 'nr1="-'), "qe", "h2.save"),
        ("small grid", replaced(schema, 'fft_grid nr1="', 'fft_grid nr1="1" n="'), "qe", "h2.save"),
        ("cut density of pw.x", cut(rho, 0.5), "qe", "charge-density.dat: not a complete pw.x"),
        ("empty density of pw.x", raw(rho, b""), "qe", "charge-density.dat: not a complete pw.x"),
        (
            "text density of pw.x",
            text(rho, "1 2 3 4 5 6"),
            "qe",
            "charge-density.dat: not a complete",
        ),
        ("fake hdf5", text("h2.save/charge-density.hdf5", "x"), "qe", "hdf5: not a pw.x charge"),
        ("empty gpw", raw("rho.gpw", b""), "gpaw", "rho.gpw: not a .gpw file"),
        ("words as gpw", text("rho.gpw", "no ulm"), "gpaw", "rho.gpw: not a .gpw file"),
        ("cut gpw", cut("rho.gpw", 0.5), "gpaw", "rho.gpw: "),
        ("empty npz", raw("rho.npz", b""), "npz", "rho.npz: not an .npz archive"),
        ("cut npz", cut("rho.npz", 0.6), "npz", "rho.npz: not an .npz archive"),
        (
            "npy as npz",
            lambda f: np.save(open(f / "rho.npz", "wb"), np.ones(3)),
            "npz",
            "rho.npz: ",
        ),
        ("npz without box", npz(box=None), "npz", "expected also box"),
        ("npz without symbols", npz(numbers=None), "npz", "expected also symbols"),
        ("npz of 2D", npz(density=np.ones((2, 2))), "npz", "density has shape (2, 2)"),
        ("npz of words", npz(density=np.array(["a"])), "npz", "expected real numbers"),
        ("npz of objects", npz(coord=np.array([None])), "npz", "rho.npz: "),
        ("npz of NaN", npz(density=np.full((2, 2, 2), np.nan)), "npz", "density holds NaN"),
        ("npz of nothing", npz(density=np.ones((0, 2, 2))), "npz", "expected real numbers"),
        ("npz flat box", npz(box=np.zeros((3, 3))), "npz", "rho.npz: periodic with 0 cell vectors"),
        ("npz of other atoms", npz(numbers=np.array([1, 1])), "npz", "rho.npz: no valid atoms"),
        ("npz of no element", npz(numbers=np.array([1, 6, 400])), "npz", "rho.npz: no valid atoms"),
        ("npz box of 8", npz(box=np.ones(8)), "npz", "box has shape (8,), expected (3, 3)"),
        ("npz pbc", npz(pbc=np.array(["x", "y"])), "npz", "rho.npz: "),
        ("npz spin", npz(spin_density=np.ones((2, 2, 2))), "npz", "spin_density has shape"),
    ]
    return [
        Case(name, "density files", spoil, command, (say,)) for name, spoil, command, say in rows
    ]


def _options() -> list[Case]:
    predict, slice_, line_ = COMMANDS["predict"], COMMANDS["slice"], COMMANDS["line"]
    test, cube = COMMANDS["test"], COMMANDS["cube"]
    crystal = COMMANDS["crystal"]
    bare = "predict -m frozen_model.pb mol.xyz -o new.npy"
    rows = [
        ("mistyped command", "trian input.json", "unknown command 'trian', did you mean 'train'?"),
        ("unknown option", "train input.json --fast", "unrecognized arguments: --fast"),
        ("unknown option of show", "show frozen_model.pb --xml", "unrecognized arguments: --xml"),
        ("two inputs", "train input.json mol.xyz", "unrecognized arguments: mol.xyz"),
        ("no model given", "predict mol.xyz", "required: -m/--model"),
        ("no structure given", "predict -m frozen_model.pb", "required: STRUCTURE"),
        ("grid of two", f"{bare} --grid 4 4", "expected 3 arguments"),
        ("grid of zero", f"{bare} --grid 4 4 0", "found '0', expected a whole number above 0"),
        ("grid of words", f"{bare} --grid 4 4 x", "found 'x', expected a whole number above 0"),
        ("spacing nan", f"{bare} --spacing nan", "found 'nan', expected a number above 0"),
        ("spacing -1", f"{bare} --spacing=-1", "found '-1', expected a number above 0"),
        ("spacing and grid", f"{predict} --spacing 0.5", "not allowed with"),
        ("pad inf", f"{bare} --pad inf", "found 'inf', expected a number above 0"),
        ("pad of a crystal", f"{crystal} --pad 3", "--pad: the structure is periodic"),
        ("electrons 0", f"{predict} --electrons 0", "found '0', expected a number above 0"),
        ("frame x", f"{predict} -f x", "invalid int value: 'x'"),
        ("unknown output", f"{bare[:-7]} new.txt", "new.txt: unknown kind of density file"),
        ("output in no folder", f"{bare[:-7]} nix/a.npy", "in a folder that exists"),
        ("output is input", "predict -m frozen_model.pb CHGCAR -o CHGCAR", "is also an input"),
        ("output is a folder", f"{bare[:-7]} data.npy data/set.000/x.y", "x.y: unknown kind"),
        ("like nothing", f"{bare} --like nix.cube", "nix.cube: no such file"),
        ("like a structure", f"{bare} --like mol.xyz", "mol.xyz: format not known"),
        (
            "spin of a model without",
            f"{predict} --spin",
            "frozen_model.pb: was trained without spin",
        ),
        ("quiet and verbose", f"{predict} -v -q", "not allowed with"),
        ("test without data", "test -m frozen_model.pb", "required: -s/--system"),
        ("test of nothing", "test -m frozen_model.pb -s nix", "nix: no such folder"),
        (
            "test of frames",
            f"{test} --frames a:b",
            "--frames (data): found 'a:b', expected a slice",
        ),
        ("test of no frames", f"{test} --frames 7:", "--frames (data): '7:' takes no frame of 2"),
        ("test of -1 frames", f"{test} -n -1", "found '-1', expected a whole number above 0"),
        ("detail in no folder", f"{test} -d nix/detail", "in a folder that exists"),
        ("json in no folder", f"{test} --json nix/x.json", "in a folder that exists"),
        ("json is a folder", f"{test} --json data", "data: is a directory"),
        (
            "freeze into no folder",
            "freeze -c model.ckpt -o nix/new.pb",
            "nix/new.pb: its folder nix",
        ),
        ("freeze into a folder", "freeze -c model.ckpt -o data", "data: is a directory"),
        ("freeze extra", "freeze extra -c model.ckpt", "unrecognized arguments: extra"),
        ("convert nothing", "convert -o new", "required: FILE"),
        ("convert to nowhere", "convert rho.cube", "required: -o/--output"),
        ("convert into existing", "convert rho.cube -o data", "data: exists already"),
        ("convert into no folder", "convert rho.cube -o nix/new", "its folder nix does not exist"),
        ("unknown format", f"{cube} -f xyz", "format 'xyz' asked for, expected one of cube"),
        (
            "format not known",
            "convert lcurve.out -o new",
            "lcurve.out: format not known by its name",
        ),
        ("unknown unit", f"{cube} --unit e/nm3", "invalid choice: 'e/nm3'"),
        ("pbc and nopbc", f"{cube} --pbc --nopbc", "not allowed with"),
        ("type map lacks", f"{cube} --type-map C O", "found H, expected C O"),
        ("one file to add", "convert rho.cube CHGCAR --add CHGCAR -o new", "--add: found 1 files"),
        ("add another grid", "convert rho.cube --add h2.save -o new", "h2.save: has another grid"),
        ("second file bad", "convert rho.cube lcurve.out -o new", "lcurve.out: format not known"),
        ("unknown picture", "plot pie -o new.png", "invalid choice: 'pie'"),
        ("no picture", "plot", "required: PICTURE"),
        (
            "picture of text",
            "plot lcurve lcurve.out -o new.txt",
            "new.txt: unknown kind of picture",
        ),
        ("picture in no folder", "plot lcurve lcurve.out -o nix/a.png", "in a folder that exists"),
        ("plane 99", f"{slice_} --plane 99", "plane 99 asked for, the grid has planes 0 to 15"),
        ("axis d", f"{slice_} --axis d", "invalid choice: 'd'"),
        ("frame 99", f"{slice_} -f 99", "-f (data): frame 99 asked for, found 2 frames"),
        ("bond of one", f"{line_} --bond 0", "expected 2 arguments"),
        ("bond to 99", f"{line_} --bond 0 99", "--bond: atom 99 asked for, found atoms 0 to 2"),
        ("bond with itself", f"{line_} --bond 1 1", "--bond: atoms 1 and 1 lie at the same place"),
        ("bond and axis", f"{line_} --axis a", "not allowed with"),
        (
            "axis through 99",
            "plot line -m frozen_model.pb -s data --axis a --through 99 -o new.png",
            "--through: atom 99 asked for",
        ),
        ("no bond", "plot line -m frozen_model.pb -s data -o new.png", "required"),
    ]
    return [Case(name, "options", nothing, command, (say,)) for name, command, say in rows]


CASES = [
    *_bounds(),
    *_validation_bounds(),
    *_types(),
    *_keys(),
    *_input_files(),
    *_data(),
    *_checkpoints(),
    *_graphs(),
    *_structures(),
    *_density_files(),
    *_options(),
]
