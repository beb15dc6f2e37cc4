"""Command line of this folder: figures of unseen frames, their summary, JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from ase import Atoms

from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.data.system import find_systems
from deepdensity_tf.infer.deep_density import DeepDensity


def measure_frames(
    description: str,
    measure: Callable[[DeepDensity, Atoms], dict],
    summarise: Callable[[list[dict]], dict],
) -> None:
    """Run `measure` on the frames that the arguments name, print and write the rows' summary."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="frozen model")
    parser.add_argument("--system", required=True, help="system, or folder of systems")
    parser.add_argument("--frames", default=":", help="unseen frames of each, e.g. 24:30")
    parser.add_argument("-o", "--output", type=Path, help="JSON file of the table")
    args = parser.parse_args()
    model = DeepDensity(args.model)
    rows = []
    for system in find_systems(args.system, model.type_map):
        for number in select_frames(args.frames, system.nframes, "--frames"):
            frame = system.frame(number)
            symbols = [model.type_map[atype] for atype in frame.atype]
            atoms = Atoms(symbols, frame.coord, cell=frame.box, pbc=frame.pbc)
            values = measure(model, atoms)
            rows.append({"frame": f"{system.path.name} {number}", **values})
            print(rows[-1]["frame"], *(f"{n} {x:.5g}" for n, x in values.items()), flush=True)
    summary = summarise(rows)
    print(json.dumps(summary, indent=1))
    if args.output:
        args.output.write_text(json.dumps({**summary, "frames": rows}, indent=1) + "\n")
