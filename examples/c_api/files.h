/* Structures in, cubes out: what the two examples share beside the library. C99 and C++. */
#ifndef FILES_H_
#define FILES_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double BOHR = 0.529177210903; /* Å */

/* Atoms of an extended XYZ file:
 *   number of atoms
 *   Lattice="ax ay az bx by bz cx cy cz" pbc="T T T"
 *   element x y z ...                                 one line an atom, Å */
typedef struct {
  int natoms;
  char (*element)[4];
  double* coord;
  double cell[9];
  int periodic;
} XyzFile;

static void free_xyz(XyzFile* xyz) {
  free(xyz->element);
  free(xyz->coord);
}

/* Reads the first frame; returns what is wrong, or NULL. */
static const char* read_xyz_stream(FILE* stream, XyzFile* xyz) {
  char line[4096];
  if (!fgets(line, sizeof line, stream) || sscanf(line, "%d", &xyz->natoms) != 1 || xyz->natoms < 1)
    return "line 1: expected the number of atoms";
  xyz->element = (char(*)[4])calloc((size_t)xyz->natoms, sizeof *xyz->element);
  xyz->coord = (double*)calloc((size_t)xyz->natoms * 3, sizeof(double));
  if (!xyz->element || !xyz->coord) return "not enough memory for its atoms";
  const char* lattice = fgets(line, sizeof line, stream) ? strstr(line, "Lattice=\"") : NULL;
  double* c = xyz->cell;
  if (!lattice || sscanf(lattice + 9, "%lf%lf%lf%lf%lf%lf%lf%lf%lf", c, c + 1, c + 2, c + 3, c + 4, c + 5,
                         c + 6, c + 7, c + 8) != 9)
    return "line 2: expected Lattice=\"nine numbers\", the cell that the grid spans";
  xyz->periodic = strstr(line, "pbc=\"F") == NULL;
  for (int i = 0; i < xyz->natoms; ++i) {
    double* r = xyz->coord + 3 * i;
    if (!fgets(line, sizeof line, stream) || sscanf(line, "%3s%lf%lf%lf", xyz->element[i], r, r + 1, r + 2) != 4)
      return "expected a line with element, x, y, z for each atom";
  }
  return NULL;
}

static const char* read_xyz(const char* path, XyzFile* xyz) {
  memset(xyz, 0, sizeof *xyz);
  FILE* stream = fopen(path, "r");
  if (!stream) return "cannot be opened";
  const char* wrong = read_xyz_stream(stream, xyz);
  fclose(stream);
  return wrong;
}

static int atomic_number(const char* element) {
  static const char* const names =
      " H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr "
      "Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta "
      "W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr ";
  char word[8];
  snprintf(word, sizeof word, " %s ", element);
  const char* found = strstr(names, word);
  int number = found != NULL;
  for (const char* p = names + 1; found && p <= found; ++p) number += *p == ' ';
  return number;
}

/* Density (electrons/Å^3, C order) as a Gaussian cube file; returns 0 if all was written. */
static int write_cube(const char* path, const XyzFile* xyz, const int64_t* shape, const double* density) {
  FILE* stream = fopen(path, "w");
  if (!stream) return 1;
  fprintf(stream, "electron density in electrons/bohr^3\nOUTER LOOP: X, MIDDLE LOOP: Y, INNER LOOP: Z\n");
  fprintf(stream, "%5d %17.12f %17.12f %17.12f\n", xyz->natoms, 0.0, 0.0, 0.0);
  for (int k = 0; k < 3; ++k) {
    const double unit = 1 / (BOHR * (double)shape[k]);
    fprintf(stream, "%5d %17.12f %17.12f %17.12f\n", (int)shape[k], xyz->cell[3 * k] * unit,
            xyz->cell[3 * k + 1] * unit, xyz->cell[3 * k + 2] * unit);
  }
  for (int i = 0; i < xyz->natoms; ++i) {
    const int number = atomic_number(xyz->element[i]);
    const double* r = xyz->coord + 3 * i;
    fprintf(stream, "%5d %17.12f %17.12f %17.12f %17.12f\n", number, (double)number, r[0] / BOHR, r[1] / BOHR,
            r[2] / BOHR);
  }
  const int64_t nz = shape[2], npoints = shape[0] * shape[1] * nz;
  for (int64_t p = 0; p < npoints; ++p)
    fprintf(stream, " %20.13E%s", density[p] * BOHR * BOHR * BOHR, p % nz % 6 == 5 || p % nz == nz - 1 ? "\n" : "");
  const int failed = ferror(stream) != 0;
  return fclose(stream) != 0 || failed;
}

#endif /* FILES_H_ */
