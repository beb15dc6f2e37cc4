/* Cycles of load, evaluations, failures and free; prints the resident memory in kB after each.
 *
 * usage: cycles MODEL NCYCLES NEVALS */
#define _DEFAULT_SOURCE /* sysconf */
#include <deepdensity/c_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const double coord[] = {1, 1, 1, 2, 1.1, 1, 0.6, 1.9, 1.3};
static const double cell[] = {4, 0, 0, 0.5, 4.4, 0, 0, -0.3, 5};
static const double flat[] = {4, 0, 0, 8, 0, 0, 0, 0, 5};
static const int32_t atype[] = {0, 1, 1};
static const int32_t unknown[] = {0, 1, 99};

static void must(int ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "%s: %s\n", what, DD_LastError());
  exit(1);
}

static long resident(void) {
  long total, pages;
  FILE* stream = fopen("/proc/self/statm", "r");
  must(stream && fscanf(stream, "%ld %ld", &total, &pages) == 2, "statm");
  fclose(stream);
  return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static void evaluate(const DD_Model* model) {
  const DD_Grid grid = {{12, 13, 14}, {4, 0, 0, 0.5, 4.4, 0, 0, -0.3, 5}, {0, 0, 0}};
  const DD_Structure crystal = {3, coord, atype, cell}, molecule = {3, coord, atype, NULL};
  const double nan_point[] = {0, NAN, 0};
  double out[12 * 13 * 14 * 3], electrons;
  must(!DD_EvalGrid(model, DD_DENSITY, &crystal, &grid, out), "grid");
  must(!DD_EvalGrid(model, DD_GRADIENT, &molecule, &grid, out), "gradient on a grid");
  must(!DD_Eval(model, DD_DENSITY, &molecule, 3, coord, out), "density");
  must(!DD_Eval(model, DD_GRADIENT, &crystal, 3, coord, out), "gradient");
  must(!DD_EvalElectrons(model, &crystal, &electrons), "electrons");
  const DD_Structure wrong_box = {3, coord, atype, flat}, wrong_types = {3, coord, unknown, NULL};
  must(DD_Eval(model, DD_DENSITY, &wrong_box, 3, coord, out) == DD_INVALID_ARGUMENT, "flat box");
  must(DD_Eval(model, DD_DENSITY, &wrong_types, 3, coord, out) == DD_INVALID_ARGUMENT, "types");
  must(DD_Eval(model, DD_DENSITY, &molecule, 1, nan_point, out) == DD_INVALID_ARGUMENT, "NaN");
  must(DD_TypeOf(model, "Xx") == -1, "element");
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  for (int cycle = 0; cycle < atoi(argv[2]); ++cycle) {
    DD_Model* model;
    must(!DD_Load(argv[1], &model), "load");
    for (int n = 0; n < atoi(argv[3]); ++n) evaluate(model);
    if (!getenv("CYCLES_LEAK")) DD_Free(model); /* shows that a leak would be found */
    model = NULL;
    must(DD_Load("/", &model) == DD_BAD_MODEL && !model, "a folder");
    must(DD_Load(argv[0], &model) == DD_BAD_MODEL && !model, "a program");
    printf("%ld\n", resident());
  }
  return 0;
}
