// Density of a structure on the grid of its cell, as a cube file.
//
// usage: density MODEL STRUCTURE.extxyz NX NY NZ OUTPUT.cube
#include <deepdensity/deepdensity.hpp>
#include <iostream>

#include "files.h"

namespace {

struct Xyz : XyzFile {
  explicit Xyz(const char* path) {
    const char* wrong = read_xyz(path, this);
    if (!wrong) return;
    free_xyz(this);
    throw std::runtime_error(std::string(path) + ": " + wrong);
  }
  ~Xyz() { free_xyz(this); }
  Xyz(const Xyz&) = delete;
  Xyz& operator=(const Xyz&) = delete;
};

void run(char** argv) {
  const Xyz xyz(argv[2]);
  const deepdensity::DeepDensity model(argv[1]);
  deepdensity::Structure structure;
  structure.coord.assign(xyz.coord, xyz.coord + 3 * xyz.natoms);
  structure.atype = model.atype_of(std::vector<std::string>(xyz.element, xyz.element + xyz.natoms));
  if (xyz.periodic) structure.box.assign(xyz.cell, xyz.cell + 9);

  deepdensity::Grid grid{{{atoll(argv[3]), atoll(argv[4]), atoll(argv[5])}}, {}, {}};
  std::copy(xyz.cell, xyz.cell + 9, grid.cell.begin());
  const std::vector<double> density = model.eval_grid(structure, grid);
  if (write_cube(argv[6], &xyz, grid.shape.data(), density.data()))
    throw std::runtime_error(std::string(argv[6]) + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 7) throw std::runtime_error("usage: density MODEL STRUCTURE.extxyz NX NY NZ OUTPUT.cube");
    run(argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  return 0;
}
