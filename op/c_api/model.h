// A frozen model: what deepdensity_tf/infer/deep_density.py is in Python.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "include/deepdensity/c_api.h"
#include "session.h"

namespace dd {

// Points of space in a row, each written only when its turn comes.
struct Points {
  int64_t count;
  std::function<void(int64_t begin, int64_t end, double* coord)> write;
};

Points listed_points(int64_t count, const double* coord);
Points grid_points(const DD_Grid& grid);

// Does not change once loaded: all methods may run in several threads at a time.
class Model {
 public:
  // Throws BadModel.
  explicit Model(const std::string& path);

  const std::vector<std::string>& type_map() const { return type_map_; }
  // Throws InvalidArgument for an element the model does not know.
  int32_t type_of(const std::string& element) const;
  double rcut() const { return rcut_; }
  double rcut_point() const { return rcut_point_; }
  bool has_spin() const { return session_.has("o_spin_density"); }
  // Of an atom; 0 without.
  int64_t noccupancies() const { return noccupancies_; }
  const std::string& occupancy_channels() const { return occupancy_channels_; }

  // Throw InvalidArgument.
  void eval(DD_Quantity quantity, const DD_Structure& structure, const Points& points, double* out) const;
  void eval_grid(DD_Quantity quantity, const DD_Structure& structure, const DD_Grid& grid, double* out) const;
  double eval_electrons(const DD_Structure& structure) const;
  void eval_occupancies(const DD_Structure& structure, int spin, double* out) const;

 private:
  struct Frame;  // tensors of a checked structure

  void read_seen();
  Frame frame(const DD_Structure& structure) const;
  std::vector<Tensor> add_atom_state(Feeds* feeds) const;
  Tensor values(TF_Output fetch, const Feeds& feeds, int64_t count) const;
  // Values of an output that asks for no points.
  Tensor without_points(const char* name, Feeds feeds, int64_t count) const;
  bool knows_grid(DD_Quantity quantity, const DD_Structure& structure, const DD_Grid& grid) const;
  std::vector<int64_t> ends_of_chunks(const Feeds& feeds, int64_t npoints, int64_t natoms) const;
  void eval_part(TF_Output fetch, Feeds feeds, const DD_Grid& grid, const int32_t* ends, double* out) const;

  std::string path_;
  Session session_;
  std::vector<std::string> type_map_;
  std::vector<bool> seen_;
  size_t nstates_;  // of an atom: without initial moment, with one up or down
  double rcut_, rcut_point_;
  int32_t max_pairs_;
  int64_t noccupancies_ = 0;
  std::string occupancy_channels_;
  std::vector<TF_Output> atom_state_;
  TF_Output coord_, atype_, box_, point_;
};

}  // namespace dd
