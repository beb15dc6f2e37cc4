"""The native ops as TensorFlow functions, with their gradients."""

from __future__ import annotations

import ctypes
import functools

import tensorflow as tf

from deepdensity_tf.utils.native import OP_LIBRARY as LIBRARY
from deepdensity_tf.utils.op_library import load_op_library, native, obey_threads


@functools.cache
def library():
    """The ops as Python functions; loads the op library, once.

    Raises
    ------
    InputError
        As `op_library.load_op_library`.
    """
    load_op_library()
    obey_threads()
    return tf.load_op_library(str(LIBRARY))


def native_ops() -> frozenset[str]:
    """Names of the operations that the library registers, e.g. DdEnvMat."""
    return frozenset(name for name in vars(library()) if name.startswith("Dd"))


def num_threads() -> int:
    """Threads of the native code, by the rule of op/threads.h."""
    library()
    return native().deepdensity_num_threads()


def instruction_set() -> str:
    """Which kernels are in use: baseline, avx2 or avx512; DEEPDENSITY_ISA chooses."""
    library()
    name = native().deepdensity_instruction_set
    name.restype = ctypes.c_char_p
    return name().decode()


def own_message(error: tf.errors.OpError) -> str:
    """The op's own line of an error, without TensorFlow's account of where it arose."""
    message = error.message
    own = message.rpartition("Node: ")[2].splitlines() if "Node: " in message else ["", message]
    lines = [line.strip() for line in own[1:] if line.strip()]
    return lines[0] if lines else message.splitlines()[0]


# Lengths go through convert_to_tensor: tf.cast would take a Python float through float32.


def neighbor_list(center, center_splits, coord, coord_splits, box, rcut, skip_self=False):
    """All pairs (centre, atom image) closer than `rcut`, ordered by centre.

    Parameters
    ----------
    center, coord : tf.Tensor
        Positions (n, 3) float64 in Å of centres and atoms; all frames one after the other.
    center_splits, coord_splits : tf.Tensor
        Where each frame begins and the last one ends, (nframes + 1,) int32.
    box : tf.Tensor
        Cells (nframes, 9) float64 in Å; nine zeros: not periodic.
    rcut : tf.Tensor or float
        Cut-off, Å.
    skip_self : bool
        The centres are the atoms: leave out the pair of an atom with itself
        (its periodic images stay).

    Returns
    -------
    pair_center, pair_atom : tf.Tensor
        (npairs,) int32 indices into `center` and `coord`.
    disp : tf.Tensor
        (npairs, 3) float64, from the centre to the atom's image, Å.

    Raises
    ------
    tf.errors.InvalidArgumentError
        Malformed shapes or splits, NaN, a box without volume.
    """
    pair_center, pair_atom, disp = library().dd_neighbor_list(
        center=center,
        center_splits=center_splits,
        coord=coord,
        coord_splits=coord_splits,
        box=box,
        rcut=tf.convert_to_tensor(rcut, tf.float64),
        skip_self=skip_self,
    )
    return (
        tf.ensure_shape(pair_center, [None]),
        tf.ensure_shape(pair_atom, [None]),
        tf.ensure_shape(disp, [None, 3]),
    )


def neighbor_counts(batch, rcut):
    """Atoms within `rcut` (Å) of each point of a batch, with their images: (npoints,) int32."""
    return library().dd_neighbor_counts(
        center=batch.point,
        center_splits=batch.point_splits,
        coord=batch.coord,
        coord_splits=batch.coord_splits,
        box=batch.box,
        rcut=tf.convert_to_tensor(rcut, tf.float64),
    )


def env_mat(disp, rcut_smth, rcut, lmax=1):
    """Environment matrix rows s(r) S_lm(d/r), S_lm the real solid harmonics.

    Parameters
    ----------
    disp : tf.Tensor
        Displacements (npairs, 3) float64, Å.
    rcut_smth, rcut : float
        s(r) is 1/r up to `rcut_smth` and falls smoothly to 0 at `rcut`, Å.
    lmax : int
        Highest angular momentum; 1 gives (s, s x/r, s y/r, s z/r).

    Returns
    -------
    tf.Tensor
        (npairs, (lmax + 1)**2) float64, 1/Å.

    References
    ----------
    Zhang et al., NeurIPS 31 (2018), arXiv:1805.09003, eqs 5 and 6.
    """
    rows = library().dd_env_mat(
        disp=disp,
        rcut_smth=tf.convert_to_tensor(rcut_smth, tf.float64),
        rcut=tf.convert_to_tensor(rcut, tf.float64),
        lmax=lmax,
    )
    return tf.ensure_shape(rows, [None, (lmax + 1) ** 2])


def harmonics(vec, lmax):
    """Real solid harmonics S_lm of vectors, Racah normalisation.

    Within one l the order is m = l, -l, ..., 1, -1, 0, so l = 1 is (x, y, z).

    Parameters
    ----------
    vec : tf.Tensor
        (n, 3) float64.
    lmax : int
        Highest angular momentum, up to 8.

    Returns
    -------
    tf.Tensor
        (n, (lmax + 1)**2) float64.
    """
    values = library().dd_harmonics(vec=vec, lmax=lmax)
    return tf.ensure_shape(values, [None, (lmax + 1) ** 2])


def expansion(disp, pair_point, pair_atom, coef, radial, npoints):
    """Density of atom-centred functions with coefficients per atom.

    rho_c(r) = sum_i sum_klm coef[i, c, k, lm] N_k(t) S_lm(u), with cubic B-splines
    N_k in a stretched distance t and the softened direction u (op/expansion.cc).

    Parameters
    ----------
    disp : tf.Tensor
        (npairs, 3) float64, point minus atom, Å.
    pair_point, pair_atom : tf.Tensor
        (npairs,) int32; `pair_point` rises.
    coef : tf.Tensor
        (natoms, nchannel, nspline, (lmax + 1)**2) float32 or float64.
    radial : tf.Tensor
        (2,) float64: cut-off and softening length, Å.
    npoints : tf.Tensor
        int32 scalar.

    Returns
    -------
    tf.Tensor
        (npoints, nchannel) float64; 0 where a point has no atom within the cut-off.
    """
    return library().dd_expansion(
        disp=disp,
        pair_point=pair_point,
        pair_atom=pair_atom,
        coef=coef,
        radial=radial,
        npoints=npoints,
    )


def density(batch, coef, radial):
    """Density of atom-centred functions, as `expansion`, without a list of pairs.

    Parameters
    ----------
    batch : Batch
        Points, atoms and cells of all frames (model/density_model.py).
    coef, radial : tf.Tensor
        As in `expansion`.

    Returns
    -------
    tf.Tensor
        (npoints, nchannel) float64. It has no gradient: see `density_gradient`.
    """
    return library().dd_density(**_density_inputs(batch, coef, radial))


def density_gradient(batch, coef, radial):
    """Gradient of the first channel of `density` with respect to the points: (npoints, 3)."""
    return library().dd_density_grad(**_density_inputs(batch, coef, radial))


def density_on_grid(shape, part, grid_box, coord, box, coef, radial):
    """`density` on a part of a regular grid, for one frame.

    Parameters
    ----------
    shape : tf.Tensor
        (3,) int32: points along each row of `grid_box`, from its origin on.
    part : tf.Tensor
        (6,) int32: first points and ends along each axis, as from `grid_parts`; or (2,): which
        part, and how many there are, along the first axis. What a point gets does not depend on
        the parts.
    grid_box : tf.Tensor
        (9,) float64 rows in Å that span the grid: the box where the frame is periodic.
    coord, box : tf.Tensor
        (natoms, 3) and (1, 9) float64, Å.
    coef, radial : tf.Tensor
        As in `expansion`.

    Returns
    -------
    tf.Tensor
        (npoints, nchannel) float64, the points of the part in C order.
    """
    return library().dd_density_grid(
        shape=shape, part=part, grid_box=grid_box, coord=coord, box=box, coef=coef, radial=radial
    )


def grid_parts(shape, grid_box, coord, box, rcut, most):
    """The parts of a regular grid where there is density, for one frame.

    Parameters
    ----------
    shape, grid_box, coord, box : tf.Tensor
        As in `density_on_grid`.
    rcut : float
        Cut-off of the atoms' densities, Å.
    most : int
        Points of a part, about.

    Returns
    -------
    tf.Tensor
        (nparts, 6) int32: first points and ends along each axis. What lies in no part is 0.
    """
    return library().dd_grid_parts(
        shape=shape,
        grid_box=grid_box,
        coord=coord,
        box=box,
        rcut=tf.convert_to_tensor(rcut, tf.float64),
        most=most,
    )


def _density_inputs(batch, coef, radial):
    names = ("point", "point_splits", "coord", "coord_splits", "box")
    return {**{name: getattr(batch, name) for name in names}, "coef": coef, "radial": radial}


def gather_messages(pairs, radial, rows, sent, tensors, lmax):
    """Sums over the neighbours of each atom (op/messages.cc).

    gathered[lm, i, k] = sum_j radial[ij, l, k] rows[ij, lm] sent[j, k]
    + radial[ij, nl + l, k] rows[ij, 0] tensors[lm, j, k], the second term only with `tensors`.

    Parameters
    ----------
    pairs : Pairs
        Pairs of atoms, ordered by centre (descriptor/base.py).
    radial : tf.Tensor
        (npairs, (lmax + 1) nchannels), twice as many with `tensors`.
    rows : tf.Tensor
        (npairs, (lmax + 1)**2).
    sent : tf.Tensor
        (natoms, nchannels).
    tensors : tf.Tensor or None
        ((lmax + 1)**2, natoms, nchannels).

    Returns
    -------
    tf.Tensor
        ((lmax + 1)**2, natoms, nchannels).
    """
    nlm, nchannels = (lmax + 1) ** 2, sent.shape[-1]
    passed = tensors is not None
    gathered = library().dd_gather(
        center=pairs.center,
        atom=pairs.atom,
        radial=radial,
        rows=rows,
        sent=sent,
        tensors=tensors if passed else tf.zeros([0, 0, 0], sent.dtype),
        lmax=lmax,
        passed=passed,
    )
    return tf.ensure_shape(gathered, [nlm, None, nchannels])


def gather_products(pairs, radial, rows, tensors, lmax, term, value):
    """Sums over the neighbours of each atom, of their functions times the pair's own
    (op/pair_products.cc).

    gathered[c, i, k] = sum_j sum_t value[t] tensors[a_t, j, k] radial[ij, l(b_t), k] rows[ij, b_t].

    Parameters
    ----------
    pairs : Pairs
        Pairs of atoms (descriptor/base.py).
    radial : tf.Tensor
        (npairs, (lmax + 1) nchannels).
    rows : tf.Tensor
        (npairs, (lmax + 1)**2).
    tensors : tf.Tensor
        ((lmax + 1)**2, natoms, nchannels).
    lmax : int
        Highest angular momentum of all of them.
    term, value : tf.Tensor
        As in `couple`.

    Returns
    -------
    tf.Tensor
        ((lmax + 1)**2, natoms, nchannels).
    """
    gathered = library().dd_gather_products(
        center=pairs.center,
        atom=pairs.atom,
        radial=radial,
        rows=rows,
        tensors=tensors,
        term=term,
        value=value,
        lmax=lmax,
    )
    return tf.ensure_shape(gathered, tensors.shape)


def grouped_matmul(x, weight, group):
    """x[r] @ weight[group[r]] for every row r (op/grouped.cc).

    Parameters
    ----------
    x : tf.Tensor
        (n, nin).
    weight : tf.Tensor
        (ngroups, nin, nout); groups that no row asks for cost nothing.
    group : tf.Tensor
        (n,) int32.

    Returns
    -------
    tf.Tensor
        (n, nout).
    """
    product = library().dd_grouped_mat_mul(x=x, weight=weight, group=group)
    return tf.ensure_shape(product, [None, weight.shape[2]])


def couple(left, right, term, value):
    """Sums of products of rows, out[c] = sum_t value[t] left[a_t] right[b_t] (op/coupling.cc).

    Parameters
    ----------
    left, right : tf.Tensor
        (nlm, n, m) float32 or float64.
    term : tf.Tensor
        (nterms, 3) int32: c, a, b; c rises. Values are the same for all orders of c, a and b, and
        all orders are there: the gradient relies on it.
    value : tf.Tensor
        (nterms,).

    Returns
    -------
    tf.Tensor
        (nlm, n, m).
    """
    product = library().dd_coupling(left=left, right=right, term=term, value=value)
    return tf.ensure_shape(product, left.shape)


def interpolate(x, nodes):
    """Rows between rows, by polynomials of degree five (op/interpolate.cc).

    Parameters
    ----------
    x : tf.Tensor
        Places (n,) float32 or float64, from 0 to nnodes - 1. There is no gradient with respect to
        them.
    nodes : tf.Tensor
        (nnodes, width): values at 0, 1, 2 ...; six or more.

    Returns
    -------
    tf.Tensor
        (n, width): at each place that of the polynomial through the six nodes about it.

    Raises
    ------
    tf.errors.InvalidArgumentError
        Too few nodes, or a place beyond them.
    """
    values = library().dd_interpolate(x=x, nodes=nodes)
    return tf.ensure_shape(values, [None, nodes.shape[1]])


def orthogonal(matrices):
    """Matrices with the same singular vectors and all singular values near one (op/orthogonal.cc).

    Parameters
    ----------
    matrices : tf.Tensor
        (n, rows, columns) float32 or float64.

    Returns
    -------
    tf.Tensor
        (n, rows, columns): singular values from 1e-3 of the norm on lie between 0.7 and 1.2, those
        below grow by a factor of 480; zeros stay. It has no gradient.

    References
    ----------
    Newton-Schulz steps of Jordan et al., Muon (2024).
    """
    return tf.ensure_shape(library().dd_orthogonal(x=matrices), matrices.shape)


def table(x, coef, step):
    """Functions of a distance from a table of quintic pieces (op/table.cc).

    Parameters
    ----------
    x : tf.Tensor
        (n,) float32 or float64, Å.
    coef : tf.Tensor
        (nintervals, 6, nout): coefficients of the powers of x within an interval.
    step : float
        Width of an interval, Å.

    Returns
    -------
    tf.Tensor
        (n, nout). It has no gradient.
    """
    step = tf.convert_to_tensor(step, tf.float64)
    return library().dd_table(x=x, table=coef, step=step)


@tf.RegisterGradient("DdNeighborList")
def _neighbor_list_gradient(op, _center_grad, _atom_grad, disp_grad):
    center, _, coord = op.inputs[:3]
    to_coord = tf.math.unsorted_segment_sum(disp_grad, op.outputs[1], tf.shape(coord)[0])
    to_center = -tf.math.unsorted_segment_sum(disp_grad, op.outputs[0], tf.shape(center)[0])
    return to_center, None, to_coord, None, None, None


@tf.RegisterGradient("DdEnvMat")
def _env_mat_gradient(op, grad):
    disp, rcut_smth, rcut = op.inputs
    to_disp = library().dd_env_mat_grad(
        grad=grad, disp=disp, rcut_smth=rcut_smth, rcut=rcut, lmax=op.get_attr("lmax")
    )
    return to_disp, None, None


@tf.RegisterGradient("DdHarmonics")
def _harmonics_gradient(op, grad):
    return library().dd_harmonics_grad(grad=grad, vec=op.inputs[0], lmax=op.get_attr("lmax"))


@tf.RegisterGradient("DdExpansion")
def _expansion_gradient(op, grad):
    disp, pair_point, pair_atom, coef, radial, _ = op.inputs
    arguments = {
        "grad": grad,
        "disp": disp,
        "pair_point": pair_point,
        "pair_atom": pair_atom,
        "coef": coef,
        "radial": radial,
    }
    to_disp = library().dd_expansion_grad_disp(**arguments)
    to_coef = library().dd_expansion_grad_coef(**arguments)
    return to_disp, None, None, to_coef, None, None


@tf.RegisterGradient("DdGather")
def _gather_gradient(op, grad):
    to_radial, to_rows, to_sent, to_tensors = library().dd_gather_grad(
        grad, *op.inputs, lmax=op.get_attr("lmax"), passed=op.get_attr("passed")
    )
    return None, None, to_radial, to_rows, to_sent, to_tensors if op.get_attr("passed") else None


@tf.RegisterGradient("DdGatherProducts")
def _gather_products_gradient(op, grad):
    to_radial, to_rows, to_tensors = library().dd_gather_products_grad(
        grad, *op.inputs, lmax=op.get_attr("lmax")
    )
    return None, None, to_radial, to_rows, to_tensors, None, None


@tf.RegisterGradient("DdGroupedMatMul")
def _grouped_matmul_gradient(op, grad):
    return *library().dd_grouped_mat_mul_grad(grad, *op.inputs), None


@tf.RegisterGradient("DdInterpolate")
def _interpolate_gradient(op, grad):
    return None, library().dd_interpolate_grad(grad, *op.inputs)


@tf.RegisterGradient("DdCoupling")
def _coupling_gradient(op, grad):
    left, right, term, value = op.inputs
    return couple(grad, right, term, value), couple(left, grad, term, value), None, None
