#include "model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "../cell.h"

namespace dd {
namespace {

// Versions of the graph's contract that this code understands; those of the Python class.
const char* const kVersions[] = {"1.0"};
constexpr int64_t kMaxPoints = 1 << 18;  // at once, as in the Python class: both have the same numbers

struct Output {
  const char* name;
  int64_t width;  // numbers a point
};

Output output_of(DD_Quantity quantity) {
  switch (quantity) {
    case DD_DENSITY:
      return {"o_density", 1};
    case DD_GRADIENT:
      return {"o_density_grad", 3};
    case DD_SPIN_DENSITY:
      return {"o_spin_density", 1};
  }
  throw InvalidArgument("quantity is " + std::to_string(static_cast<int>(quantity)) +
                        ", expected DD_DENSITY, DD_GRADIENT or DD_SPIN_DENSITY");
}

// What the graph of a model holds: all of it checked when loading. Those of DeepDensity in Python.
struct Contract {
  const char* name;
  TF_DataType type;
  int axes;
  const char* needed_by;  // the tensor that does not go without, where not every model has this one
};
constexpr Contract kContract[] = {
    {"t_coord", TF_DOUBLE, 3, nullptr},
    {"t_type", TF_INT32, 1, nullptr},
    {"t_box", TF_DOUBLE, 2, nullptr},
    {"t_point", TF_DOUBLE, 3, nullptr},
    {"o_density", TF_DOUBLE, 2, nullptr},
    {"o_density_grad", TF_DOUBLE, 3, nullptr},
    {"o_spin_density", TF_DOUBLE, 2, "o_spin_density"},
    {"o_electrons", TF_DOUBLE, 1, "o_electrons"},
    {"o_augmentation", TF_DOUBLE, 3, "o_augmentation"},
    {"o_spin_augmentation", TF_DOUBLE, 3, "o_spin_augmentation"},
    {"o_neighbors", TF_INT32, 2, "o_neighbors"},
    {"t_grid_shape", TF_INT32, 1, "o_grid_parts"},
    {"t_grid_box", TF_DOUBLE, 1, "o_grid_parts"},
    {"t_grid_part", TF_INT32, 1, "o_grid_parts"},
    {"o_grid_parts", TF_INT32, 2, "o_grid_parts"},
    {"o_grid_density", TF_DOUBLE, 1, "o_grid_parts"},
    {"o_grid_spin_density", TF_DOUBLE, 1, "o_grid_spin_density"},
};

void check_contract(const Session& session) {
  for (const Contract& entry : kContract)
    if (!entry.needed_by || session.has(entry.needed_by)) session.tensor(entry.name, entry.type, entry.axes);
  if (session.has("o_grid_parts") && session.has("o_spin_density"))
    session.tensor("o_grid_spin_density", TF_DOUBLE, 1);
  if (session.has("o_augmentation") && session.has("o_spin_density"))
    session.tensor("o_spin_augmentation", TF_DOUBLE, 3);
}

void check_version(const std::string& path, const std::string& version) {
  std::string expected;
  for (const char* known : kVersions) {
    if (version == known) return;
    expected += (expected.empty() ? "" : " or ") + std::string(known);
  }
  throw BadModel(path + ": model version " + version + ", expected " + expected +
                 "; freeze the model anew, or use the version of deepdensity_tf that froze it");
}

void check_finite(const double* values, int64_t count, const char* name) {
  for (int64_t i = 0; i < count; ++i)
    require(std::isfinite(values[i]), name, " holds NaN or infinity, in row ", i / 3);
}

// Rows of a cell, checked.
std::array<Vec, 3> checked_cell(const double* cell, const char* name) {
  check_finite(cell, 9, name);
  std::array<Vec, 3> rows;
  for (int k = 0; k < 9; ++k) rows[k / 3][k % 3] = cell[k];
  checked_volume(rows, name);
  return rows;
}

// Nine zeros stand for no cell, as in the graph.
bool is_periodic(const DD_Structure& structure) {
  return structure.box && std::any_of(structure.box, structure.box + 9, [](double x) { return x != 0; });
}

void check_structure(const DD_Structure& structure, size_t ntypes) {
  require(structure.natoms >= 0 && structure.natoms <= std::numeric_limits<int32_t>::max() / 3,
          "natoms is ", structure.natoms);
  require(structure.natoms == 0 || (structure.coord && structure.atype),
          structure.coord ? "atype" : "coord", " is NULL");
  check_finite(structure.coord, 3 * structure.natoms, "coord");
  for (int64_t i = 0; i < structure.natoms; ++i)
    require(structure.atype[i] >= 0 && structure.atype[i] < static_cast<int64_t>(ntypes),
            "atype of atom ", i, " is ", structure.atype[i], ", expected 0 to ", ntypes - 1);
  if (is_periodic(structure)) checked_cell(structure.box, "box");
}

// Points of a tensor (1, npoints, 3), from `begin` to `end`.
Tensor some_points(const Tensor& all, int64_t begin, int64_t end) {
  return copied_tensor(static_cast<const double*>(TF_TensorData(all.get())) + 3 * begin, {1, end - begin, 3});
}

}  // namespace

Points listed_points(int64_t count, const double* coord) {
  require(count >= 0 && count <= std::numeric_limits<int64_t>::max() / 24, "npoints is ", count);
  require(count == 0 || coord, "points is NULL");
  check_finite(coord, 3 * count, "points");
  return {count, [coord](int64_t begin, int64_t end, double* out) { std::copy(coord + 3 * begin, coord + 3 * end, out); }};
}

Points grid_points(const DD_Grid& grid) {
  int64_t count = 1;
  for (int64_t n : grid.shape) {
    require(n > 0, "grid shape holds ", n, ", expected three positive numbers");
    require(!__builtin_mul_overflow(count, n, &count) && count <= std::numeric_limits<int64_t>::max() / 24,
            "grid shape asks for too many points");
  }
  check_finite(grid.origin, 3, "grid origin");
  const std::array<Vec, 3> cell = checked_cell(grid.cell, "grid cell");
  return {count, [grid, cell](int64_t begin, int64_t end, double* out) {
            const int64_t ny = grid.shape[1], nz = grid.shape[2];
            for (int64_t p = begin; p < end; ++p) {
              const int64_t index[] = {p / (ny * nz), p / nz % ny, p % nz};
              for (int c = 0; c < 3; ++c) {
                double x = grid.origin[c];
                for (int k = 0; k < 3; ++k) x += double(index[k]) / double(grid.shape[k]) * cell[k][c];
                *out++ = x;
              }
            }
          }};
}

struct Model::Frame {
  Tensor coord, atype, box;
  Feeds feeds;
};

Model::Model(const std::string& path) : path_(path), session_(path) {
  check_version(path, session_.text("model_attr/model_version"));
  check_contract(session_);
  std::istringstream elements(session_.text("model_attr/type_map"));
  for (std::string element; elements >> element;) type_map_.push_back(element);
  rcut_ = session_.number("model_attr/rcut");
  rcut_point_ = session_.number("model_attr/rcut_point");
  max_pairs_ = session_.integer("model_attr/max_pairs");
  atom_state_ = session_.tensors_under("atom_state");
  coord_ = session_.tensor("t_coord", TF_DOUBLE);
  atype_ = session_.tensor("t_type", TF_INT32);
  box_ = session_.tensor("t_box", TF_DOUBLE);
  point_ = session_.tensor("t_point", TF_DOUBLE);
  nstates_ = session_.has("model_attr/initial_magmom") ? 3 : 1;
  if (session_.has("o_augmentation")) {
    noccupancies_ = session_.last_axis("o_augmentation");
    occupancy_channels_ = session_.text("model_attr/augmentation");
  }
  read_seen();
}

// Which types the training data held; models of older versions do not say.
void Model::read_seen() {
  const char* name = "model_attr/elements_seen";
  seen_.assign(type_map_.size(), true);
  if (!session_.has(name)) return;
  const Tensor counts = std::move(session_.run({session_.tensor(name, TF_INT64)}, {})[0]);
  if (TF_TensorElementCount(counts.get()) != static_cast<int64_t>(2 * seen_.size()))
    throw BadModel(path_ + ": " + name + " is damaged");
  const auto* atoms = static_cast<const int64_t*>(TF_TensorData(counts.get()));
  bool any = false;
  for (size_t t = 0; t < seen_.size(); ++t) any |= (seen_[t] = atoms[2 * t] > 0);
  if (!any) seen_.assign(type_map_.size(), true);
}

int32_t Model::type_of(const std::string& element) const {
  const auto found = std::find(type_map_.begin(), type_map_.end(), element);
  if (found != type_map_.end()) return static_cast<int32_t>(found - type_map_.begin());
  std::string known;
  for (const std::string& name : type_map_) known += " " + name;
  throw InvalidArgument(path_ + ": knows" + known + ", found " + element);
}

Model::Frame Model::frame(const DD_Structure& structure) const {
  check_structure(structure, type_map_.size() * nstates_);
  for (int64_t i = 0; i < structure.natoms; ++i)
    if (const size_t element = structure.atype[i] % type_map_.size(); !seen_[element])
      throw InvalidArgument(path_ + ": found " + type_map_[element] +
                            " in the structure, which is in the model's type map but was in none of its training data");
  static const double no_box[9] = {};
  Frame frame;
  frame.coord = copied_tensor(structure.coord, {1, structure.natoms, 3});
  frame.atype = copied_tensor(structure.atype, {structure.natoms});
  frame.box = copied_tensor(is_periodic(structure) ? structure.box : no_box, {1, 9});
  frame.feeds.add(coord_, frame.coord);
  frame.feeds.add(atype_, frame.atype);
  frame.feeds.add(box_, frame.box);
  return frame;
}

// What points need of the atoms, computed once for all chunks; the feeds point to what is returned.
std::vector<Tensor> Model::add_atom_state(Feeds* feeds) const {
  Feeds without_points = *feeds;
  const Tensor none = new_tensor(TF_DOUBLE, {1, 0, 3});
  without_points.add(point_, none);
  std::vector<Tensor> state = session_.run(atom_state_, without_points);
  for (size_t i = 0; i < state.size(); ++i) feeds->add(atom_state_[i], state[i]);
  return state;
}

// Where stretches of the points of `feeds` end whose pairs with atoms fit in memory.
std::vector<int64_t> Model::ends_of_chunks(const Feeds& feeds, int64_t npoints, int64_t natoms) const {
  std::vector<int64_t> ends;
  if (session_.has("o_neighbors")) {
    const Tensor counts = values(session_.tensor("o_neighbors", TF_INT32), feeds, npoints);
    const auto* count = static_cast<const int32_t*>(TF_TensorData(counts.get()));
    int64_t pairs = 0;
    for (int64_t p = 0; p < npoints; ++p) {
      pairs += count[p];
      if (p == 0 || pairs <= max_pairs_) continue;
      ends.push_back(p);
      pairs = count[p];
    }
  } else {
    const int64_t most = std::max<int64_t>(1, max_pairs_ / std::max<int64_t>(1, natoms));
    for (int64_t end = most; end < npoints; end += most) ends.push_back(end);
  }
  ends.push_back(npoints);
  return ends;
}

void Model::eval(DD_Quantity quantity, const DD_Structure& structure, const Points& points, double* out) const {
  const Output output = output_of(quantity);
  require(quantity != DD_SPIN_DENSITY || has_spin(), path_, ": was trained without spin");
  const TF_Output fetch = session_.tensor(output.name, TF_DOUBLE);
  Frame frame = this->frame(structure);
  if (points.count == 0) return;
  require(out != nullptr, "out is NULL");
  const std::vector<Tensor> state = add_atom_state(&frame.feeds);
  for (int64_t begin = 0; begin < points.count; begin += kMaxPoints) {
    const int64_t count = std::min(points.count - begin, kMaxPoints);
    const Tensor some = new_tensor(TF_DOUBLE, {1, count, 3});
    points.write(begin, begin + count, static_cast<double*>(TF_TensorData(some.get())));
    Feeds feeds = frame.feeds;
    feeds.add(point_, some);
    int64_t done = 0;
    for (const int64_t end : ends_of_chunks(feeds, count, structure.natoms)) {
      const Tensor chunk = end - done < count ? some_points(some, done, end) : Tensor();
      if (chunk) feeds.values.back() = chunk.get();
      const int64_t size = (end - done) * output.width;
      const Tensor values = this->values(fetch, feeds, size);
      std::copy_n(static_cast<const double*>(TF_TensorData(values.get())), size, out + (begin + done) * output.width);
      done = end;
    }
  }
}

// Evaluates a tensor that must have `count` elements.
Tensor Model::values(TF_Output fetch, const Feeds& feeds, int64_t count) const {
  Tensor values = std::move(session_.run({fetch}, feeds)[0]);
  const int64_t found = TF_TensorElementCount(values.get());
  if (found == count) return values;
  throw BadModel(path_ + ": " + TF_OperationName(fetch.oper) + " has " + std::to_string(found) +
                 " values, expected " + std::to_string(count));
}

// The op takes grids from the origin on, over the box where the structure is periodic.
bool Model::knows_grid(DD_Quantity quantity, const DD_Structure& structure, const DD_Grid& grid) const {
  return quantity != DD_GRADIENT && session_.has("o_grid_parts") &&
         std::all_of(grid.origin, grid.origin + 3, [](double x) { return x == 0; }) &&
         std::all_of(grid.shape, grid.shape + 3, [](int64_t n) { return n <= std::numeric_limits<int32_t>::max(); }) &&
         (!is_periodic(structure) || std::equal(grid.cell, grid.cell + 9, structure.box));
}

void Model::eval_grid(DD_Quantity quantity, const DD_Structure& structure, const DD_Grid& grid, double* out) const {
  const Points points = grid_points(grid);
  if (!knows_grid(quantity, structure, grid)) return eval(quantity, structure, points, out);
  require(quantity != DD_SPIN_DENSITY || has_spin(), path_, ": was trained without spin");
  const char* name = quantity == DD_SPIN_DENSITY ? "o_grid_spin_density" : "o_grid_density";
  Frame frame = this->frame(structure);
  require(out != nullptr, "out is NULL");
  const int32_t shape[] = {static_cast<int32_t>(grid.shape[0]), static_cast<int32_t>(grid.shape[1]),
                           static_cast<int32_t>(grid.shape[2])};
  const Tensor shape_tensor = copied_tensor(shape, {3}), cell = copied_tensor(grid.cell, {9});
  frame.feeds.add(session_.tensor("t_grid_shape", TF_INT32), shape_tensor);
  frame.feeds.add(session_.tensor("t_grid_box", TF_DOUBLE), cell);
  const Tensor parts = std::move(session_.run({session_.tensor("o_grid_parts", TF_INT32)}, frame.feeds)[0]);
  const std::vector<Tensor> state = add_atom_state(&frame.feeds);
  // What lies in no part is out of reach of all atoms.
  std::fill_n(out, points.count, 0.0);
  const auto* ends = static_cast<const int32_t*>(TF_TensorData(parts.get()));
  for (int64_t k = 0; k < TF_TensorElementCount(parts.get()) / 6; ++k, ends += 6)
    eval_part(session_.tensor(name, TF_DOUBLE), frame.feeds, grid, ends, out);
}

// Evaluates the points of a grid from ends[0 ... 2] up to ends[3 ... 5] along the axes.
void Model::eval_part(TF_Output fetch, Feeds feeds, const DD_Grid& grid, const int32_t* ends, double* out) const {
  int64_t count = 1;
  for (int k = 0; k < 3; ++k) {
    if (ends[k] < 0 || ends[k] > ends[3 + k] || ends[3 + k] > grid.shape[k])
      throw BadModel(path_ + ": o_grid_parts lie outside of the grid");
    count *= ends[3 + k] - ends[k];
  }
  const Tensor part = copied_tensor(ends, {6});
  feeds.add(session_.tensor("t_grid_part", TF_INT32), part);
  const Tensor values = this->values(fetch, feeds, count);
  const auto* value = static_cast<const double*>(TF_TensorData(values.get()));
  const int64_t line = ends[5] - ends[2];
  for (int64_t i = ends[0]; i < ends[3]; ++i)
    for (int64_t j = ends[1]; j < ends[4]; ++j, value += line)
      std::copy_n(value, line, out + (i * grid.shape[1] + j) * grid.shape[2] + ends[2]);
}

Tensor Model::without_points(const char* name, Feeds feeds, int64_t count) const {
  const Tensor none = new_tensor(TF_DOUBLE, {1, 0, 3});
  feeds.add(point_, none);
  return values(session_.tensor(name, TF_DOUBLE), feeds, count);
}

void Model::eval_occupancies(const DD_Structure& structure, int spin, double* out) const {
  require(noccupancies_ > 0, path_, ": was trained without PAW occupancies");
  require(spin == 0 || spin == 1, "spin is ", spin, ", expected 0 or 1");
  require(!spin || has_spin(), path_, ": was trained without spin");
  const Frame frame = this->frame(structure);
  if (structure.natoms == 0) return;
  require(out != nullptr, "out is NULL");
  const int64_t count = structure.natoms * noccupancies_;
  const Tensor found = without_points(spin ? "o_spin_augmentation" : "o_augmentation", frame.feeds, count);
  std::copy_n(static_cast<const double*>(TF_TensorData(found.get())), count, out);
}

double Model::eval_electrons(const DD_Structure& structure) const {
  require(session_.has("o_electrons"), path_, ": its fitting type has no exact integral");
  const Frame frame = this->frame(structure);
  return *static_cast<const double*>(TF_TensorData(without_points("o_electrons", frame.feeds, 1).get()));
}

}  // namespace dd
