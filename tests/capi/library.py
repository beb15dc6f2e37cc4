"""The C library through ctypes: the calls of deepdensity/c_api.h, nothing more."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p

import numpy as np

from deepdensity_tf.utils.native import C_LIBRARY

OK, INVALID_ARGUMENT, BAD_MODEL = 0, 1, 2
DENSITY, GRADIENT, SPIN_DENSITY = 0, 1, 2


class CStructure(ctypes.Structure):
    """DD_Structure."""

    _fields_ = [("natoms", c_int64), ("coord", c_void_p), ("atype", c_void_p), ("box", c_void_p)]


class CGrid(ctypes.Structure):
    """DD_Grid."""

    _fields_ = [("shape", c_int64 * 3), ("cell", c_double * 9), ("origin", c_double * 3)]


def open_library():
    """The library, with the types of its functions."""
    lib = ctypes.CDLL(str(C_LIBRARY))
    structure, grid = POINTER(CStructure), POINTER(CGrid)
    signatures = {
        "DD_Load": (c_int, [c_char_p, POINTER(c_void_p)]),
        "DD_CheckGraph": (c_int, [c_char_p, c_int64]),
        "DD_Free": (None, [c_void_p]),
        "DD_LastError": (c_char_p, []),
        "DD_NumTypes": (c_int32, [c_void_p]),
        "DD_TypeName": (c_char_p, [c_void_p, c_int32]),
        "DD_TypeOf": (c_int32, [c_void_p, c_char_p]),
        "DD_RCut": (c_double, [c_void_p]),
        "DD_RCutPoint": (c_double, [c_void_p]),
        "DD_HasSpin": (c_int, [c_void_p]),
        "DD_Eval": (c_int, [c_void_p, c_int, structure, c_int64, c_void_p, c_void_p]),
        "DD_EvalGrid": (c_int, [c_void_p, c_int, structure, grid, c_void_p]),
        "DD_NumOccupancies": (c_int64, [c_void_p]),
        "DD_OccupancyChannels": (c_char_p, [c_void_p]),
        "DD_EvalOccupancies": (c_int, [c_void_p, structure, c_int, c_void_p]),
        "DD_EvalElectrons": (c_int, [c_void_p, structure, POINTER(c_double)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Structure(CStructure):
    """Atoms that own their arrays."""

    def __init__(self, coord, atype, box=None):
        self.arrays = [np.array(coord, np.float64), np.array(atype, np.int32)]
        self.arrays += [] if box is None else [np.array(box, np.float64)]
        pointers = [array.ctypes.data for array in self.arrays]
        super().__init__(len(self.arrays[1]), *pointers)


class Model:
    """A handle; calls return the status."""

    def __init__(self, lib, path):
        self.lib, self.handle = lib, c_void_p()
        self.status = lib.DD_Load(str(path).encode(), byref(self.handle))

    def close(self):
        self.lib.DD_Free(self.handle)

    def error(self) -> str:
        return self.lib.DD_LastError().decode()

    def eval(self, structure, points, quantity=DENSITY):
        points = np.array(points, np.float64)
        out = np.full((len(points), 3) if quantity == GRADIENT else len(points), np.nan)
        arguments = (structure, len(points), points.ctypes.data, out.ctypes.data)
        return self.lib.DD_Eval(self.handle, quantity, *arguments), out

    def eval_grid(self, structure, shape, cell, origin=(0, 0, 0), quantity=DENSITY):
        grid = CGrid(
            (c_int64 * 3)(*shape), (c_double * 9)(*np.ravel(cell)), (c_double * 3)(*origin)
        )
        out = np.full((*shape, 3) if quantity == GRADIENT else shape, np.nan)
        return self.lib.DD_EvalGrid(self.handle, quantity, structure, grid, out.ctypes.data), out

    def eval_occupancies(self, structure, spin=0):
        width = max(self.lib.DD_NumOccupancies(self.handle), 0)
        out = np.zeros((structure.natoms, width))
        pointer = out.ctypes.data
        return self.lib.DD_EvalOccupancies(self.handle, structure, spin, pointer), out

    def eval_electrons(self, structure):
        value = c_double()
        return self.lib.DD_EvalElectrons(self.handle, structure, byref(value)), value.value
