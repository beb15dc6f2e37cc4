"""Density along a chain: reference, model and their difference.

Example: python plot.py -m frozen_model.pb -s data/one_d/mixed/test32 -o density.png
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from matplotlib.figure import Figure

from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.frames import predict_frame
from deepdensity_tf.plot.pictures import save_figure
from deepdensity_tf.utils.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-s", "--system", required=True)
    parser.add_argument("-f", "--frame", type=int, default=0)
    parser.add_argument("-o", "--output", default="density.png")
    args = parser.parse_args()
    model = DeepDensity(args.model)
    frame = DensitySystem(args.system, model.type_map).frame(args.frame)
    predicted = np.ravel(predict_frame(model, frame))
    save_figure(draw(frame, predicted, model.type_map), args.output)
    nmae = 100 * np.abs(predicted - frame.density).sum() / np.abs(frame.density).sum()
    print(f"{args.output}: frame {args.frame} of {args.system}, NMAE {nmae:.4f} %")


def draw(frame, predicted: np.ndarray, type_map) -> Figure:
    """Both densities above, the difference below; marks along the top are the atoms.

    Parameters
    ----------
    frame : Frame
        Of a chain along x.
    predicted : np.ndarray
        (npoints,), the model's density at the frame's points.
    type_map : sequence of str
        Names of the types.
    """
    x = frame.points()[:, 0]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    above.plot(x, frame.density, color="0.7", linewidth=3, label="reference")
    above.plot(x, predicted, color="#1f77b4", linewidth=1, label="model")
    ticks = above.get_xaxis_transform()
    for index, name in enumerate(type_map):
        places = frame.coord[frame.atype == index, 0]
        label = f"atoms {name}" if len(type_map) > 1 else "atoms"
        above.plot(
            places, np.ones(len(places)), "v", color=f"C{index + 1}", transform=ticks, label=label
        )
    above.set_ylabel("density (electrons / length)")
    figure.legend(loc="outside upper center", ncols=4)
    below.plot(x, predicted - frame.density, color="#d62728", linewidth=1)
    below.axhline(0, color="0.7", linewidth=0.8)
    below.set(xlabel="x", ylabel="model - reference", xlim=(x[0], x[-1]))
    return figure


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"plot.py: {error}")
