// C++ interface of Deep Density: a thin layer over deepdensity/c_api.h, header only, C++11.
//
//   deepdensity::DeepDensity model("frozen_model.pb");
//   deepdensity::Structure molecule{coord, model.atype_of({"C", "H", "H"}), {}};
//   std::vector<double> density = model.eval(molecule, points);
//
// Lengths in Å, densities in electrons/Å^3. Whatever fails throws deepdensity::Error. Any number of
// threads may evaluate one model at the same time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "deepdensity/c_api.h"

namespace deepdensity {

// What a call of the library failed with.
class Error : public std::runtime_error {
 public:
  Error(DD_Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  DD_Status status() const { return status_; }

 private:
  DD_Status status_;
};

// Atoms, and their cell if they are periodic.
struct Structure {
  std::vector<double> coord;   // natoms x 3, Å
  std::vector<int32_t> atype;  // natoms
  std::vector<double> box;     // 3 x 3, rows are the cell vectors, Å; empty: not periodic
};

// A regular grid: point (i, j, k) lies at origin + (i/nx, j/ny, k/nz) cell.
struct Grid {
  std::array<int64_t, 3> shape;
  std::array<double, 9> cell;    // rows, Å
  std::array<double, 3> origin;  // Å
};

// A frozen model.
class DeepDensity {
 public:
  // A file, or the name of a model that comes with the package.
  explicit DeepDensity(const std::string& path) {
    DD_Model* model = nullptr;
    check(DD_Load(path.c_str(), &model));
    model_.reset(model);
    for (int32_t type = 0; type < DD_NumTypes(model); ++type) type_map_.push_back(DD_TypeName(model, type));
  }

  // Elements, in the order of the types.
  const std::vector<std::string>& type_map() const { return type_map_; }
  // Cut-offs between atoms and of an atom's density, Å.
  double rcut() const { return DD_RCut(model_.get()); }
  double rcut_point() const { return DD_RCutPoint(model_.get()); }
  bool has_spin() const { return DD_HasSpin(model_.get()) == 1; }

  // Types of elements.
  std::vector<int32_t> atype_of(const std::vector<std::string>& elements) const {
    std::vector<int32_t> types;
    for (const std::string& element : elements) {
      types.push_back(DD_TypeOf(model_.get(), element.c_str()));
      if (types.back() < 0) throw Error(DD_INVALID_ARGUMENT, DD_LastError());
    }
    return types;
  }

  // A quantity at points (npoints x 3): npoints numbers, three times as many for DD_GRADIENT.
  std::vector<double> eval(const Structure& structure, const std::vector<double>& points,
                           DD_Quantity quantity = DD_DENSITY) const {
    if (points.size() % 3) throw Error(DD_INVALID_ARGUMENT, "points does not hold three numbers a point");
    const DD_Structure atoms = view(structure);
    std::vector<double> out(points.size() / 3 * width(quantity));
    check(DD_Eval(model_.get(), quantity, &atoms, static_cast<int64_t>(points.size() / 3), points.data(), out.data()));
    return out;
  }

  // A quantity on a grid, in C order.
  std::vector<double> eval_grid(const Structure& structure, const Grid& grid,
                                DD_Quantity quantity = DD_DENSITY) const {
    const DD_Structure atoms = view(structure);
    DD_Grid lattice;
    std::size_t npoints = 1;
    for (int k = 0; k < 3; ++k) {
      if (grid.shape[k] < 1) throw Error(DD_INVALID_ARGUMENT, "grid shape holds a number below 1");
      npoints *= static_cast<std::size_t>(grid.shape[k]);
      lattice.shape[k] = grid.shape[k];
      lattice.origin[k] = grid.origin[k];
    }
    for (int k = 0; k < 9; ++k) lattice.cell[k] = grid.cell[k];
    std::vector<double> out(npoints * width(quantity));
    check(DD_EvalGrid(model_.get(), quantity, &atoms, &lattice, out.data()));
    return out;
  }

  // Number of electrons: the exact integral of the density, before any correction.
  double eval_electrons(const Structure& structure) const {
    const DD_Structure atoms = view(structure);
    double electrons = 0;
    check(DD_EvalElectrons(model_.get(), &atoms, &electrons));
    return electrons;
  }

  // PAW occupancies of an atom; 0 without.
  std::size_t noccupancies() const { return static_cast<std::size_t>(DD_NumOccupancies(model_.get())); }

  // PAW occupancies of the atoms (natoms x noccupancies), NaN behind those of an element that has fewer; with
  // `spin` those of up minus down.
  std::vector<double> eval_occupancies(const Structure& structure, bool spin = false) const {
    const DD_Structure atoms = view(structure);
    std::vector<double> out(structure.atype.size() * noccupancies());
    check(DD_EvalOccupancies(model_.get(), &atoms, spin, out.data()));
    return out;
  }

 private:
  struct Deleter {
    void operator()(DD_Model* model) const { DD_Free(model); }
  };

  static void check(DD_Status status) {
    if (status != DD_OK) throw Error(status, DD_LastError());
  }
  static std::size_t width(DD_Quantity quantity) { return quantity == DD_GRADIENT ? 3 : 1; }

  static DD_Structure view(const Structure& s) {
    if (s.coord.size() != 3 * s.atype.size())
      throw Error(DD_INVALID_ARGUMENT, "coord holds " + std::to_string(s.coord.size()) + " numbers, expected three for each of " +
                                           std::to_string(s.atype.size()) + " types");
    if (!s.box.empty() && s.box.size() != 9)
      throw Error(DD_INVALID_ARGUMENT, "box holds " + std::to_string(s.box.size()) + " numbers, expected 9 or none");
    return {static_cast<int64_t>(s.atype.size()), s.coord.data(), s.atype.data(), s.box.empty() ? nullptr : s.box.data()};
  }

  std::unique_ptr<DD_Model, Deleter> model_;
  std::vector<std::string> type_map_;
};

}  // namespace deepdensity
