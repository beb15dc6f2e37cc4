"""Models run on TensorFlow's native libraries, beside its Python or without it."""

import gc
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.neighbors import neighbors
from deepdensity_tf.infer.session import GraphSession
from deepdensity_tf.utils import ops
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.tf_graph import Graph, Session
from deepdensity_tf.utils.tf_library import RESOURCE_EXHAUSTED, TensorFlowError

EVALUATED = """
    import os, sys
    import numpy as np
    from deepdensity_tf import DeepDensity
    coord = np.array([[0, 0, 0], [1.1, 0, 0], [-0.5, 1, 0], [0, 0.3, 1.2]])
    points = np.random.default_rng(0).normal(size=(500, 3))
    def evaluated():
        return DeepDensity(sys.argv[1]).eval(coord, None, [0, 1, 1, 1], points)
"""


def run(script, *arguments, **environment):
    """What a program prints; it must not write anything to stderr."""
    env = {**os.environ, **environment}
    env.pop("TF_CPP_MIN_LOG_LEVEL", None)
    code = textwrap.dedent(EVALUATED) + textwrap.dedent(script)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_first_models_in_several_threads(frozen_model):
    script = """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda k: evaluated(), range(8)))
        print(all((other == found[0]).all() for other in found), os.readlink("/proc/self/fd/2")[:5])
    """
    assert run(script, frozen_model) == "True pipe:\n"


def test_no_python_of_tensorflow_is_needed(frozen_model):
    script = """
        density = evaluated()
        assert density.max() > 0
        slow = ("tensorflow", "scipy", "matplotlib", "ase")
        print([name for name in slow if name in sys.modules])
    """
    assert run(script, frozen_model) == "[]\n"


def test_predict_imports_little(frozen_model, tmp_path):
    (tmp_path / "a.xyz").write_text("2\n\nC 0 0 0\nH 0 0 1.1\n")
    script = """
        from deepdensity_tf.main import main
        os.chdir(sys.argv[2])
        assert main(["-q", "predict", "-m", sys.argv[1], "a.xyz", "--spacing", "0.5"]) == 0
        slow = ("tensorflow", "scipy", "matplotlib", "dargs", "rich")
        print([name for name in slow if name in sys.modules])
    """
    assert run(script, frozen_model, tmp_path) == "[]\n"


BESIDE = {
    "before": "before = evaluated(); use(); after = evaluated()",
    "behind": "use(); before = evaluated(); after = evaluated()",
}


@pytest.mark.parametrize("order", BESIDE)
def test_beside_tensorflow_in_python(order, frozen_model, tmp_path):
    """One TensorFlow in the process, whichever was first; changing and training models works."""
    script = f"""
        from deepdensity_tf.utils.log import import_tensorflow
        def use():
            import_tensorflow()
            import tensorflow as tf
            from deepdensity_tf.infer.compression import compress
            from deepdensity_tf.utils import ops
            x = tf.Variable(np.eye(3))
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(ops.harmonics(x, 2) ** 2)
            assert np.isfinite(tape.gradient(value, x)).all()
            compress(sys.argv[1], sys.argv[2])
        {BESIDE[order]}
        assert np.array_equal(before, after)
        other = DeepDensity(sys.argv[2]).eval(coord, None, [0, 1, 1, 1], points)
        np.testing.assert_allclose(other, before, rtol=1e-4, atol=1e-6 * before.max())
        names = [line.split()[-1] for line in open("/proc/self/maps") if ".so" in line]
        for name in ("libtensorflow_cc.so", "libtensorflow_framework.so", "libdeepdensity_op.so"):
            assert len({{found for found in names if name in found}}) == 1, name
        import hashlib, ssl
        ssl.create_default_context()
        print(repr(before.sum()))
    """
    found = run(script, frozen_model, tmp_path / "compressed.pb")
    assert found == run("print(repr(evaluated().sum()))", frozen_model)


def test_threads_are_as_many_as_asked_for(frozen_model):
    script = """
        evaluated()
        print(len(os.listdir("/proc/self/task")))
    """
    few, intra, inter = (
        int(run(script, frozen_model, TF_NUM_INTRAOP_THREADS=a, TF_NUM_INTEROP_THREADS=b))
        for a, b in (("1", "1"), ("9", "1"), ("1", "9"))
    )
    assert intra >= few + 7 and inter >= few + 7


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_threads_as_tensorflow_is_told(frozen_model):
    script = """
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(1)
        evaluated()
        from deepdensity_tf.utils.op_library import native
        print(native().deepdensity_num_threads())
    """
    code = "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\n"
    code += "from deepdensity_tf.utils.log import import_tensorflow; import_tensorflow()\n"
    assert run(code + textwrap.dedent(script), frozen_model) == "1\n"


def test_dropped_models_free_their_memory(frozen_model):
    script = """
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        points = np.zeros((200_000, 3))
        def held(count):
            for _ in range(count):
                evaluated()
            return resident() / 2**20
        before = held(10)
        print(held(30) - before)
    """
    # A model's graph and session take 2 MB or more, an evaluation's points and density 6.
    assert float(run(script, frozen_model)) < 20


def graph_file(path, **constants):
    """A file with placeholders, a sum and constants."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float64, [None, 3], name="x")
        tf.reduce_sum(x, axis=1, name="sum")
        tf.identity(x, name="same")
        tf.cast(x, tf.bfloat16, name="half")
        tf.gather(x, tf.compat.v1.placeholder(tf.int32, [None], name="rows"), name="picked")
        for name, value in constants.items():
            tf.constant(value, name=name)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return GraphSession(path)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return graph_file(
        tmp_path_factory.mktemp("graph") / "graph.pb",
        short="H C",
        empty="",
        long="x" * 1000 + "Å\0y",
        many=[["a", ""], ["b" * 100, "c\0d"]],
        none=np.zeros((0, 2), object),
        table=np.arange(6.0).reshape(2, 3),
        scalar=np.float64(2.5),
        flags=[True, False],
        counts=np.array([[1, 2]], np.int64),
        nothing=np.zeros((0, 3), np.float32),
        minus=-1.0,
    )


def test_constants(graph):
    assert graph.text("short") == "H C" and graph.text("empty") == ""
    assert graph.text("long") == "x" * 1000 + "Å\0y"
    assert graph.constant("many").tolist() == [[b"a", b""], [b"b" * 100, b"c\0d"]]
    assert graph.constant("none").shape == (0, 2)
    assert graph.number("scalar") == 2.5
    for name, expected in (
        ("table", np.arange(6.0).reshape(2, 3)),
        ("flags", np.array([True, False])),
        ("counts", np.array([[1, 2]], np.int64)),
        ("nothing", np.zeros((0, 3), np.float32)),
    ):
        found = graph.constant(name)
        assert found.dtype == expected.dtype and np.array_equal(found, expected)


def test_arrays_are_the_callers_own(graph):
    table = graph.constant("table")
    table += 1
    assert np.array_equal(graph.constant("table"), np.arange(6.0).reshape(2, 3))
    given = np.ones((2, 3))
    same, again = graph.run(["same:0", "same:0"], {"x:0": given})
    same += 1
    assert (given == 1).all() and (again == 1).all()


def test_arrays_outlive_their_session(tmp_path):
    graph = graph_file(tmp_path / "graph.pb")
    x = np.random.default_rng(0).normal(size=(10**5, 3))
    total = graph.run("sum:0", {"x:0": x})
    view = total[5:]
    del graph, total
    gc.collect()
    np.testing.assert_allclose(view, x.sum(1)[5:], atol=1e-14)


@pytest.mark.parametrize(
    "x",
    [
        np.arange(12.0).reshape(4, 3)[::2],
        np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        np.arange(6).reshape(2, 3),
        np.broadcast_to(np.ones(3), (2, 3)),
        np.frombuffer(b"\0" + np.arange(6.0).tobytes(), np.uint8)[1:]
        .view(np.float64)
        .reshape(2, 3),
        np.zeros((0, 3)),
        [[1, 2, 3]],
    ],
    ids=["strided", "fortran", "integers", "broadcast", "unaligned", "empty", "list"],
)
def test_any_memory_is_taken(graph, x):
    assert np.array_equal(graph.run("sum:0", {"x:0": x}), np.sum(x, 1))


@pytest.mark.parametrize(
    ("names", "feeds", "words"),
    [
        ("absent:0", {}, "has no tensor absent, expected a model frozen by dd-tf freeze"),
        ("sum:1", {"x:0": np.ones((1, 3))}, "has no tensor sum, expected"),
        ("sum:0", {"y:0": 1}, "has no tensor y, expected"),
        ("sum:0", {"x:0": np.ones((1, 4))}, r"x:0 of shape \(-1, 3\) does not take \(1, 4\)"),
        ("sum:0", {"x:0": np.ones(3)}, r"x:0 of shape \(-1, 3\) does not take \(3,\)"),
        ("sum:0", {"x:0": "text"}, "could not convert string to float"),
        ("sum:0", {}, "You must feed a value for placeholder"),
        ("half:0", {"x:0": np.ones((1, 3))}, "a type that NumPy does not have"),
        ("sum:0", {"x:0": np.ones((1, 3)), "half:0": np.ones((1, 3))}, ""),
        ("sum:0", {"x:0": np.ones((1, 3)), "short:0": "text"}, "cannot be fed"),
        ("picked:0", {"x:0": np.ones((1, 3)), "rows:0": [4]}, r"indices\[0\] = 4 is not in"),
    ],
)
def test_errors_name_the_file(graph, names, feeds, words):
    with pytest.raises(InputError, match=rf"graph\.pb: .*{words}") as caught:
        graph.run(names, feeds)
    assert str(caught.value).count("graph.pb") == 1


def test_constants_that_are_something_else(graph):
    for ask, words in (
        (lambda: graph.text("absent"), "has no tensor absent, expected a model frozen by"),
        (lambda: graph.text("scalar"), "scalar is no text"),
        (lambda: graph.text("many"), "many is no text"),
        (lambda: graph.number("minus"), "minus is -1.0, expected a positive number"),
        (lambda: graph.number("table"), "expected a positive number"),
        (lambda: graph.number("short"), "expected a positive number"),
        (lambda: graph.constant("sum"), "sum cannot be read \\(You must feed a value"),
        (lambda: graph.mapping("short", "model", dict), "short is damaged"),
    ):
        with pytest.raises(InputError, match=words):
            ask()


def test_memory_that_is_not_there(graph, monkeypatch):
    def exhausted(self, fetches, feeds=()):
        raise TensorFlowError(RESOURCE_EXHAUSTED, "OOM when allocating")

    monkeypatch.setattr(Session, "run", exhausted)
    with pytest.raises(MemoryError, match="give fewer max_pairs"):
        graph.run("sum:0", {"x:0": np.ones((1, 3))})


@pytest.mark.parametrize(
    ("message", "own"),
    [
        ("rcut is 0\n\t [[{{node a}}]]", "rcut is 0"),
        ("2 root error(s) found.\n  (0) INVALID_ARGUMENT: no: way\n\t [[x]]\n  (1) y", "no: way"),
        ("", ""),
    ],
)
def test_own_message(message, own):
    assert TensorFlowError(3, message).own_message == own


def test_bytes_that_are_no_graph():
    with pytest.raises(TensorFlowError, match="Invalid GraphDef"):
        Graph(b"no graph")


def test_threads_side_by_side(frozen_model):
    model = DeepDensity(frozen_model)
    rng = np.random.default_rng(1)
    cases = [(rng.normal(size=(4, 3)), rng.normal(size=(300, 3))) for _ in range(16)]

    def density(case):
        return model.eval(case[0], None, [0, 1, 1, 1], case[1])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(density, cases))
    for case, values in zip(cases, found, strict=True):
        assert np.array_equal(values, density(case))


@pytest.mark.parametrize("box", [None, np.array([[3.0, 0, 0], [1, 3, 0], [0, -1, 4]])])
def test_neighbors_are_those_of_training(box):
    coord = np.random.default_rng(2).uniform(0, 3, (6, 3))
    ends, cell = [0, len(coord)], np.zeros((1, 9)) if box is None else box.reshape(1, 9)
    expected = ops.neighbor_list(coord, ends, coord, ends, cell, 2.5, skip_self=True)
    found = neighbors(coord, box, 2.5)
    assert len(found[0]) > 0
    for mine, other in zip(found, expected, strict=True):
        assert np.array_equal(mine, other.numpy())
    with pytest.raises(InputError, match="rcut is 0"):
        neighbors(coord, box, 0.0)
