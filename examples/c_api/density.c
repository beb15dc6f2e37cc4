/* Density of a structure on the grid of its cell, as a cube file.
 *
 * usage: density MODEL STRUCTURE.extxyz NX NY NZ OUTPUT.cube */
#include <deepdensity/c_api.h>

#include "files.h"

static int complain(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  return 2;
}

/* The density on the grid; `density` must be freed also after a failure. */
static DD_Status predict(const DD_Model* model, const XyzFile* xyz, const DD_Grid* grid, double** density) {
  int32_t* atype = (int32_t*)malloc((size_t)xyz->natoms * sizeof *atype);
  *density = (double*)malloc((size_t)(grid->shape[0] * grid->shape[1] * grid->shape[2]) * sizeof **density);
  DD_Status status = atype ? DD_OK : DD_OUT_OF_MEMORY;
  for (int i = 0; status == DD_OK && i < xyz->natoms; ++i) {
    atype[i] = DD_TypeOf(model, xyz->element[i]);
    if (atype[i] < 0) status = DD_INVALID_ARGUMENT;
  }
  if (status == DD_OK) {
    const DD_Structure structure = {xyz->natoms, xyz->coord, atype, xyz->periodic ? xyz->cell : NULL};
    status = DD_EvalGrid(model, DD_DENSITY, &structure, grid, *density);
  }
  free(atype);
  return status;
}

int main(int argc, char** argv) {
  if (argc != 7) return complain("usage", "density MODEL STRUCTURE.extxyz NX NY NZ OUTPUT.cube");
  XyzFile xyz;
  const char* wrong = read_xyz(argv[2], &xyz);
  if (wrong) {
    free_xyz(&xyz);
    return complain(argv[2], wrong);
  }
  DD_Grid grid = {{atoll(argv[3]), atoll(argv[4]), atoll(argv[5])}, {0}, {0, 0, 0}};
  memcpy(grid.cell, xyz.cell, sizeof grid.cell);

  DD_Model* model;
  double* density = NULL;
  int code = 0;
  if (DD_Load(argv[1], &model) != DD_OK || predict(model, &xyz, &grid, &density) != DD_OK)
    code = complain("error", DD_LastError());
  else if (write_cube(argv[6], &xyz, grid.shape, density))
    code = complain(argv[6], "cannot be written");
  free(density);
  DD_Free(model);
  free_xyz(&xyz);
  return code;
}
