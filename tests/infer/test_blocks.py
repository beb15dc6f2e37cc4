"""How a grid is cut into blocks for evaluation."""

import numpy as np
import pytest

from deepdensity_tf.infer.chunks import grid_blocks


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 1, 30), (20, 21, 22), (5, 300, 2)])
@pytest.mark.parametrize("size", [1, 6, 100, 10**6])
def test_every_point_once_and_no_block_too_large(shape, size):
    count = np.zeros(shape, int)
    for block in grid_blocks(shape, size):
        assert 0 < count[block].size <= size
        count[block] += 1
    np.testing.assert_array_equal(count, 1)


def test_blocks_are_compact():
    largest = max((b for b in grid_blocks((200, 200, 200), 200_000)), key=lambda b: b[0].stop)
    edges = [part.stop - part.start for part in largest]
    assert max(edges) <= 2 * min(edges)
