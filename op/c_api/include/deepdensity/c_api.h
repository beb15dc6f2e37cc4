/* C interface of Deep Density: electron densities from a frozen model (`dd-tf freeze`).
 *
 *   DD_Model* model;
 *   if (DD_Load("frozen_model.pb", &model)) { puts(DD_LastError()); return 1; }
 *   DD_Structure molecule = {natoms, coord, atype, NULL};
 *   if (DD_Eval(model, DD_DENSITY, &molecule, npoints, points, density)) puts(DD_LastError());
 *   DD_Free(model);
 *
 * Lengths in Å, densities in electrons/Å^3, gradients in electrons/Å^4.
 *
 * Errors: functions that can fail return DD_OK (0) or another DD_Status; what went wrong is then
 * said by DD_LastError(). No C++ exception leaves the library, and a wrong argument (also NULL, NaN,
 * unknown types) is an error, not a crash. After a failure the output arrays hold nothing of use.
 *
 * Threads: a model does not change once loaded. Any number of threads may evaluate one model at the
 * same time; only DD_Free must come last. Environment: TF_NUM_INTRAOP_THREADS limits the threads of
 * one evaluation, TF_CPP_MIN_LOG_LEVEL=3 quietens TensorFlow's own log on stderr.
 */
#ifndef DEEPDENSITY_C_API_H_
#define DEEPDENSITY_C_API_H_

#include <stdint.h>

#define DD_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* A frozen model, ready to evaluate. */
typedef struct DD_Model DD_Model;

typedef enum DD_Status {
  DD_OK = 0,
  DD_INVALID_ARGUMENT = 1, /* an argument is wrong */
  DD_BAD_MODEL = 2,        /* the file is missing, unreadable or no model of a known version */
  DD_OUT_OF_MEMORY = 3,
  DD_INTERNAL = 4 /* the op library or TensorFlow failed */
} DD_Status;

typedef enum DD_Quantity {
  DD_DENSITY = 0,      /* electrons/Å^3; 0 where no atom is within rcut_point */
  DD_GRADIENT = 1,     /* d density / d point, three numbers a point, electrons/Å^4 */
  DD_SPIN_DENSITY = 2 /* up minus down, electrons/Å^3; only where DD_HasSpin */
} DD_Quantity;

/* Atoms, and their cell if they are periodic. Any cell goes, also one smaller than the cut-offs;
 * atoms and points outside of it are wrapped. */
typedef struct DD_Structure {
  int64_t natoms;
  const double* coord;  /* natoms x 3, Å */
  const int32_t* atype; /* natoms, in the order of the model's n types (DD_TypeOf); a model with
                           initial_magmom takes type + n for an initial moment that is up, type + 2 n
                           for one that is down, type alone for none */
  const double* box;    /* 3 x 3, rows are the cell vectors, Å; NULL (or nine zeros): not periodic */
} DD_Structure;

/* A regular grid: point (i, j, k) lies at origin + (i/nx, j/ny, k/nz) cell. */
typedef struct DD_Grid {
  int64_t shape[3]; /* nx, ny, nz */
  double cell[9];   /* rows are the vectors that span the grid, Å */
  double origin[3]; /* Å */
} DD_Grid;

/* Load a frozen model: a file, or the name of a model that comes with the package, such as "organic"
 * (`dd-tf models`), where no file of that name exists. On failure *model is NULL. */
DD_EXPORT DD_Status DD_Load(const char* path, DD_Model** model);

/* Whether DD_Load would let TensorFlow see these bytes, `size` of a serialized GraphDef: only known
 * operations, no functions, no shapes that overflow. DD_BAD_MODEL if not. */
DD_EXPORT DD_Status DD_CheckGraph(const void* graph, int64_t size);

/* Free a model; NULL is allowed. */
DD_EXPORT void DD_Free(DD_Model* model);

/* What the last failed call of this thread had to say: one line, "" if none failed. Valid until the
 * thread's next failure. */
DD_EXPORT const char* DD_LastError(void);

/* Number of types (elements); -1 on error. */
DD_EXPORT int32_t DD_NumTypes(const DD_Model* model);

/* Element of a type, e.g. "H"; NULL on error. Lives as long as the model. */
DD_EXPORT const char* DD_TypeName(const DD_Model* model, int32_t type);

/* Type of an element; -1 if the model does not know it, or on another error. */
DD_EXPORT int32_t DD_TypeOf(const DD_Model* model, const char* element);

/* Cut-off between atoms, Å; -1 on error. */
DD_EXPORT double DD_RCut(const DD_Model* model);

/* Cut-off of an atom's density, Å; -1 on error. */
DD_EXPORT double DD_RCutPoint(const DD_Model* model);

/* 1 if the model was trained with spin, else 0; -1 on error. */
DD_EXPORT int DD_HasSpin(const DD_Model* model);

/* A quantity at any points.
 *   points   npoints x 3, Å
 *   out      npoints, or npoints x 3 for DD_GRADIENT */
DD_EXPORT DD_Status DD_Eval(const DD_Model* model, DD_Quantity quantity,
                            const DD_Structure* structure, int64_t npoints, const double* points,
                            double* out);

/* A quantity on a grid, in C order (k fastest). Memory beyond `out` does not grow with the grid.
 *   out      nx x ny x nz, or nx x ny x nz x 3 for DD_GRADIENT */
DD_EXPORT DD_Status DD_EvalGrid(const DD_Model* model, DD_Quantity quantity,
                                const DD_Structure* structure, const DD_Grid* grid, double* out);

/* Number of electrons: the integral of the density, exact and without a grid, before any correction.
 * DD_INVALID_ARGUMENT where the model's fitting type has no such integral. */
DD_EXPORT DD_Status DD_EvalElectrons(const DD_Model* model, const DD_Structure* structure,
                                     double* electrons);

/* PAW occupancies of an atom in DD_EvalOccupancies; 0 if the model has none, -1 on error. */
DD_EXPORT int64_t DD_NumOccupancies(const DD_Model* model);

/* What they are: JSON with the code they are of and the l of each element's channels, as in
 * augmentation.json of the data; NULL if the model has none, or on error. Lives as long as the model. */
DD_EXPORT const char* DD_OccupancyChannels(const DD_Model* model);

/* PAW occupancies of the atoms, in the blocks and the order of the data the model learned from.
 *   spin     0: of the total density; 1: up minus down, only where DD_HasSpin
 *   out      natoms x DD_NumOccupancies, NaN behind those of an element that has fewer */
DD_EXPORT DD_Status DD_EvalOccupancies(const DD_Model* model, const DD_Structure* structure, int spin,
                                       double* out);

#ifdef __cplusplus
}
#endif

#endif /* DEEPDENSITY_C_API_H_ */
