"""Memory of predictions is that of the pairs that are held at once, wherever the atoms are."""

import os
import subprocess
import sys
import textwrap

import pytest

PAIR = {"fitting_net": {"type": "pair", "neuron": [48, 48], "nradial": 6}}

SCRIPT = """
    import sys
    import numpy as np
    from deepdensity_tf.infer.deep_density import DeepDensity
    model = DeepDensity(sys.argv[1])
    rng = np.random.default_rng(0)
    atype = rng.integers(0, 2, 400)
    def peak(edge, npoints, vacuum):
        coord = 50 + edge * rng.uniform(-0.5, 0.5, (400, 3))
        points = 50 + edge * rng.uniform(-0.5, 0.5, (npoints, 3))
        around = 100 * rng.uniform(0, 1, (vacuum, 3))
        points = np.concatenate([around, points])
        assert np.isfinite(model.eval(coord, 100 * np.eye(3), atype, points)).all()
        # Of this program alone: getrusage counts what the process held before it began.
        (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    begin = peak(16, 10, 0)
    plan = peak(16, 8000, 0) - begin
    droplet = peak(16, 8000, 30000) - begin
    print(plan, droplet)
"""


@pytest.mark.slow
def test_droplet_in_vacuum(make_frozen):
    """Chunks are cut by the pairs they have, not by the mean density of the box."""
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(make_frozen(**PAIR))]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    plan, droplet = map(float, done.stdout.split())
    assert 20 < plan and droplet < 2 * plan
