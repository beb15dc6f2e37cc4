"""How often each system is drawn: DeePMD's auto_prob and sys_probs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deepdensity_tf.utils.errors import InputError


def auto_probabilities(text: str, sizes: np.ndarray, source: str) -> np.ndarray | None:
    """Probability of each system as `auto_prob` says.

    Parameters
    ----------
    text : str
        prob_uniform: all systems alike; prob_sys_size: by their number of frames;
        "prob_sys_size;0:5:0.3;5:10:0.7": systems 0 to 4 share 0.3, by their frames, systems 5 to
        9 share 0.7.
    sizes : np.ndarray
        (nsystems,) frames of each system.
    source : str
        Name of the key, for messages.

    Returns
    -------
    np.ndarray or None
        (nsystems,), sum 1; None where every frame is drawn equally often.

    Raises
    ------
    InputError
        Another text, or blocks that are none.
    """
    name, *blocks = text.split(";")
    if name == "prob_uniform" and not blocks:
        return np.full(len(sizes), 1 / len(sizes))
    if name != "prob_sys_size":
        raise InputError(
            f"{source}: found {text!r}, expected prob_uniform, prob_sys_size or "
            "'prob_sys_size;0:5:0.3;5:10:0.7'"
        )
    if not blocks:
        return None
    probability = np.zeros(len(sizes))
    taken = np.zeros(len(sizes), dtype=bool)
    for block in blocks:
        first, last, share = _block(block, len(sizes), source)
        if taken[first:last].any():
            raise InputError(f"{source}: block {block} overlaps another")
        taken[first:last] = True
        probability[first:last] = share * sizes[first:last] / sizes[first:last].sum()
    return _normalised(probability, source)


def _block(text: str, nsystems: int, source: str) -> tuple[int, int, float]:
    try:
        first, last, share = text.split(":")
        found = int(first), int(last), float(share)
    except ValueError:
        raise InputError(f"{source}: found block {text!r}, expected first:last:weight") from None
    if not 0 <= found[0] < found[1] <= nsystems:
        raise InputError(f"{source}: block {text}, found {nsystems} systems (0 to {nsystems - 1})")
    return found


def given_probabilities(
    shares: Sequence[float], owner: Sequence[int], sizes: np.ndarray, source: str
) -> np.ndarray:
    """Probability of each system where `sys_probs` gives one for each entry of `systems`.

    Parameters
    ----------
    shares : sequence of float
        One for each entry of `systems`; they are scaled to a sum of 1.
    owner : sequence of int
        Which entry each system came from; systems of one entry share by their frames.
    sizes : np.ndarray
        (nsystems,) frames of each system.
    source : str
        Name of the key, for messages.
    """
    entries = np.asarray(owner)
    if len(shares) != entries.max() + 1:
        raise InputError(
            f"{source}: found {len(shares)} numbers, expected one for each of the "
            f"{entries.max() + 1} entries of systems"
        )
    total = np.bincount(entries, weights=sizes)
    return _normalised(np.asarray(shares)[entries] * sizes / total[entries], source)


def _normalised(probability: np.ndarray, source: str) -> np.ndarray:
    if not (np.isfinite(probability).all() and probability.min() >= 0 and probability.sum() > 0):
        raise InputError(f"{source}: expected numbers of 0 or more, one of them above 0")
    return probability / probability.sum()


def epoch_order(
    probability: np.ndarray, sizes: np.ndarray, seed: int
) -> Callable[[int], np.ndarray]:
    """The frames of each epoch, as many as there are in all.

    Each system is drawn as often as its probability says (to within one draw an epoch, right in
    the mean over epochs), and its frames in turn: all once, in an order of their own, before one
    comes again (to within one draw where an epoch ends).

    Parameters
    ----------
    probability, sizes : np.ndarray
        (nsystems,) of each system, and its frames.
    seed : int
        Of the orders.

    Returns
    -------
    callable
        ``order(epoch)``: (nframes,) numbers of frames, counted through all systems.
    """
    total, edges = int(sizes.sum()), np.cumsum(probability)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 0, epoch])
        places = (np.arange(total) + rng.random()) / total * edges[-1]
        systems = np.minimum(np.searchsorted(edges, places, side="right"), len(sizes) - 1)
        draws = np.bincount(systems, minlength=len(sizes))
        drawn = np.flatnonzero(draws)
        before = np.floor(probability[drawn] * total * epoch).astype(np.int64)
        chosen = [
            starts[system] + _in_turn(seed, system, sizes[system], first, draws[system])
            for system, first in zip(drawn, before, strict=True)
        ]
        return rng.permutation(np.concatenate(chosen))

    return order


def _in_turn(seed: int, system: int, nframes: int, first: int, count: int) -> np.ndarray:
    """Draws `first` to `first + count` of a system: one permutation of its frames after another."""
    if nframes == 1:
        return np.zeros(count, dtype=np.int64)
    rounds = range(first // nframes, (first + count - 1) // nframes + 1)
    orders = [np.random.default_rng([seed, 5, system, n]).permutation(nframes) for n in rounds]
    return np.concatenate(orders)[first % nframes :][:count]
