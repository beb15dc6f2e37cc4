// Random calls of all ops, good and bad, from sensible to extreme: `driver CALLS SEED [THREADS]`.
//
// Prints a line a call: op, what came of it, and of each output the number of elements, of those that are not
// finite, the sum and the sum of magnitudes. All arithmetic that leads to arguments is exact: builds by other
// compilers, and for other machines, see the same calls.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "stand_in.h"

using stand_in::Answer;
using stand_in::Array;
using stand_in::Attributes;
using stand_in::call;

namespace {

using Shape = std::vector<int64_t>;

class Calls {
 public:
  explicit Calls(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  std::string one() {
    switch (below(16)) {
      case 0: return neighbors();
      case 1: return env_mat();
      case 2: return harmonics();
      case 3: return expansion();
      case 4: return density();
      case 5: return grid();
      case 6: return grid_parts();
      case 7: return table();
      case 8: return gather();
      case 9: return grouped();
      case 10: return extreme();
      case 11: return orthogonal();
      case 12: return coupling();
      case 13: return interpolate();
      case 14: return pair_products();
      default: return many_points();
    }
  }

 private:
  // splitmix64
  uint64_t bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  double normal() {
    double sum = -6;
    for (int k = 0; k < 12; ++k) sum += uniform();
    return sum;
  }
  bool odd(double chance = 0.15) { return uniform() < chance; }

  // A length: mostly of a few Å.
  double number() {
    const double absurd[] = {0, -1, 1e-300, 1e-12, 1e-7, 1e8, 1e20, 1e300, std::nan(""), HUGE_VAL, -HUGE_VAL};
    return odd() ? absurd[below(11)] : 0.125 + 6 * uniform();
  }

  Shape nearly(Shape shape) {
    if (odd(0.05) && !shape.empty()) shape[below(shape.size())] += below(3);
    if (odd(0.02) && !shape.empty()) shape.pop_back();
    return shape;
  }

  template <typename T> static constexpr TF_DataType type_of() {
    return std::is_same<T, double>::value ? TF_DOUBLE : std::is_same<T, float>::value ? TF_FLOAT : TF_INT32;
  }
  template <typename T> static Array array(const Shape& shape, const std::vector<T>& values) {
    Array made(type_of<T>(), shape);
    if (made.size()) std::memcpy(made.data<T>(), values.data(), made.size() * sizeof(T));
    return made;
  }
  template <typename T> static Array exact(std::initializer_list<T> values) {
    return array<T>({static_cast<int64_t>(values.size())}, std::vector<T>(values));
  }
  static Array scalar(double value) { return array<double>({}, {value}); }
  static Array scalar(int32_t value) { return array<int32_t>({}, {value}); }

  // Mostly finite numbers, of a mostly right shape.
  Array doubles(const Shape& shape, double scale = 4) {
    Array made(TF_DOUBLE, nearly(shape));
    double* x = made.data<double>();
    for (int64_t i = 0; i < made.size(); ++i) x[i] = scale * normal();
    while (made.size() && odd(0.1)) x[below(made.size())] = number();
    return made;
  }
  // Of either precision, finite.
  Array reals(TF_DataType type, const Shape& shape) {
    Array made(type, nearly(shape));
    for (int64_t i = 0; i < made.size(); ++i) {
      const float value = static_cast<float>(normal());
      if (type == TF_FLOAT) made.data<float>()[i] = value; else made.data<double>()[i] = value;
    }
    return made;
  }
  Array integers(int64_t low, int64_t high, int64_t size, bool sorted = false) {
    Array made(TF_INT32, nearly({size}));
    int32_t* x = made.data<int32_t>();
    for (int64_t i = 0; i < made.size(); ++i) x[i] = static_cast<int32_t>(low + below(std::max(high - low, int64_t{1})));
    const int32_t limits[] = {-1, static_cast<int32_t>(high), INT32_MAX, INT32_MIN};
    if (made.size() && odd(0.1)) x[below(made.size())] = limits[below(4)];
    if (sorted && !odd(0.1)) std::sort(x, x + made.size());
    return made;
  }
  Array splits(int64_t nframes, int64_t total) {
    std::vector<int32_t> cuts = {0};
    for (int64_t f = 1; f < nframes; ++f) cuts.push_back(static_cast<int32_t>(below(total + 1)));
    std::sort(cuts.begin(), cuts.end());
    cuts.push_back(static_cast<int32_t>(total));
    cuts.resize(nframes + 1);
    if (odd(0.05)) cuts[below(cuts.size())] += static_cast<int32_t>(below(7) - 3);
    return array<int32_t>({nframes + 1}, cuts);
  }
  Array boxes(int64_t nframes) {
    std::vector<double> rows(9 * nframes);
    for (int64_t f = 0; f < nframes; ++f) {
      double* box = rows.data() + 9 * f;
      for (int k = 0; k < 9; ++k) box[k] = 0.3 * normal() + (k % 4 == 0 ? 5 : 0);
      const double powers[] = {0.125, 0.5, 8, 64, 1024};
      switch (below(16)) {
        case 0: case 1: case 5: std::fill_n(box, 9, 0.0); break;
        case 2: { const double by = powers[below(5)]; for (int k = 0; k < 9; ++k) box[k] *= by; break; }
        case 3: for (int k = 0; k < 3; ++k) box[k] = box[3 + k] * (1 + 1e-9); break;
        case 4: box[below(9)] = number(); break;
        default: break;
      }
    }
    return array<double>({nframes, 9}, rows);
  }
  static Array no_box() { return array<double>({1, 9}, std::vector<double>(9)); }
  TF_DataType precision() { return below(2) ? TF_FLOAT : TF_DOUBLE; }
  Array coefficients(TF_DataType type, int64_t natoms) {
    const int64_t nchannel = odd(0.03) ? 0 : 1 + below(3), nspline = odd(0.03) ? 0 : 1 + below(14), lmax = below(9);
    return reals(type, {natoms, nchannel, nspline, (lmax + 1) * (lmax + 1) + odd(0.03)});
  }
  Array radial() {
    const double rcut = number();
    return exact<double>({rcut, odd() ? number() : rcut * (1 + below(8)) / 8});
  }

  static std::string said(const std::string& op, const Answer& answer) {
    if (answer.code != TF_OK) return op + (answer.code == TF_INVALID_ARGUMENT ? " refused" : " failed");
    std::string line = op + " answered";
    for (const Array& output : answer.outputs) line += summary(output);
    return line;
  }
  static double value(const Array& a, int64_t i) {
    return a.type == TF_DOUBLE ? a.data<double>()[i] : a.type == TF_FLOAT ? a.data<float>()[i] : a.data<int32_t>()[i];
  }
  static std::string summary(const Array& output) {
    double sum = 0, magnitude = 0;
    int64_t odd_ones = 0;
    for (int64_t i = 0; i < output.size(); ++i) {
      const double x = value(output, i);
      if (!std::isfinite(x)) { ++odd_ones; continue; }
      sum += x, magnitude += std::abs(x);
    }
    char text[128];
    std::snprintf(text, sizeof text, " %c %lld %lld %.17g %.17g", output.type == TF_FLOAT ? 'f' : 'd',
                  static_cast<long long>(output.size()), static_cast<long long>(odd_ones), sum, magnitude);
    return text;
  }
  static std::string ask(const std::string& op, const std::vector<Array>& inputs, const Attributes& attributes = {}) {
    return said(op, call(op, inputs, attributes));
  }

  std::string neighbors() {
    const int64_t nframes = below(4), natoms = below(20), ncenters = below(30);
    const Array coord = doubles({natoms, 3}), atoms = splits(nframes, natoms), box = boxes(nframes);
    const bool same = below(2);
    const Array center = same ? coord : doubles({ncenters, 3}, 20), centers = same ? atoms : splits(nframes, ncenters);
    const std::vector<Array> inputs = {center, centers, coord, atoms, box, scalar(number())};
    if (below(3) == 0) return ask("DdNeighborCounts", inputs);
    return ask("DdNeighborList", inputs, {{"skip_self", same || odd()}});
  }

  std::string env_mat() {
    const int64_t n = below(40), lmax = below(9);
    const Array disp = doubles({n, 3}), smth = scalar(number()), rcut = scalar(number());
    if (below(2)) return ask("DdEnvMat", {disp, smth, rcut}, {{"lmax", lmax}});
    return ask("DdEnvMatGrad", {doubles({n, (lmax + 1) * (lmax + 1)}), disp, smth, rcut}, {{"lmax", lmax}});
  }

  std::string harmonics() {
    const int64_t n = below(40), lmax = below(11) - 1;
    const Array vec = doubles({n, 3});
    if (below(2)) return ask("DdHarmonics", {vec}, {{"lmax", lmax}});
    return ask("DdHarmonicsGrad", {doubles({n, (lmax + 1) * (lmax + 1)}), vec}, {{"lmax", lmax}});
  }

  std::string expansion() {
    const int64_t npairs = below(80), natoms = below(6), npoints = below(20);
    const TF_DataType type = precision();
    const Array coef = coefficients(type, natoms);
    std::vector<Array> inputs = {doubles({npairs, 3}, 1.5), integers(0, npoints, npairs, true), integers(0, natoms, npairs),
                                 coef, radial()};
    if (below(3) == 0) {
      inputs.push_back(scalar(static_cast<int32_t>(odd(0.05) ? below(5) - 2 : npoints)));
      return ask("DdExpansion", inputs, {{"T", type}});
    }
    inputs.insert(inputs.begin(), doubles({npoints, coef.dims.size() > 1 ? coef.dims[1] : 1}));
    return ask(below(2) ? "DdExpansionGradDisp" : "DdExpansionGradCoef", inputs, {{"T", type}});
  }

  std::string density() {
    const int64_t nframes = below(3), natoms = below(8), npoints = below(200);
    const TF_DataType type = precision();
    const char* op = below(2) ? "DdDensity" : "DdDensityGrad";
    const std::vector<Array> inputs = {doubles({npoints, 3}), splits(nframes, npoints), doubles({natoms, 3}),
                                       splits(nframes, natoms), boxes(nframes), coefficients(type, natoms), radial()};
    return ask(op, inputs, {{"T", type}});
  }

  // Enough points for several threads, blocks and groups of every width.
  std::string many_points() {
    const int64_t natoms = 1 + below(40), npoints = 3000 + below(9000), lmax = below(9), nchannel = 1 + below(5);
    const TF_DataType type = precision();
    Array box = no_box();
    const double edge = 4 + 6 * uniform();
    if (below(2)) box.data<double>()[0] = box.data<double>()[4] = box.data<double>()[8] = edge;
    const auto in_box = [&](int64_t n) {
      Array x(TF_DOUBLE, {n, 3});
      for (int64_t i = 0; i < 3 * n; ++i) x.data<double>()[i] = edge * (1.5 * uniform() - 0.25);
      return x;
    };
    Array coef(type, {natoms, nchannel, 3 + below(60), (lmax + 1) * (lmax + 1)});
    for (int64_t i = 0; i < coef.size(); ++i) {
      const float c = static_cast<float>(uniform() - 0.5);
      if (type == TF_FLOAT) coef.data<float>()[i] = c; else coef.data<double>()[i] = c;
    }
    const Array radial = exact<double>({1 + 2 * uniform(), 0.0625 + uniform() / 2});
    const auto ends = [](int64_t n) { return exact<int32_t>({0, static_cast<int32_t>(n)}); };
    const char* op = below(3) ? "DdDensity" : "DdDensityGrad";
    return ask(op, {in_box(npoints), ends(npoints), in_box(natoms), ends(natoms), box, coef, radial}, {{"T", type}});
  }

  std::string grid() {
    const int64_t natoms = below(8);
    const TF_DataType type = precision();
    const Array frame = boxes(1);
    Array rows(TF_DOUBLE, {9});
    std::memcpy(rows.data<double>(), frame.data<double>(), 72);
    if (odd(0.05)) rows = doubles({9});
    Array shape(TF_INT32, {3}), part(TF_INT32, {6});
    for (int k = 0; k < 3; ++k) {
      int32_t* ends = part.data<int32_t>() + k;
      shape.data<int32_t>()[k] = static_cast<int32_t>(1 + below(40));
      ends[0] = static_cast<int32_t>(below(shape.data<int32_t>()[k]));
      ends[3] = static_cast<int32_t>(ends[0] + below(shape.data<int32_t>()[k] - ends[0] + 1));
    }
    if (below(3) == 0) part = exact<int32_t>({static_cast<int32_t>(below(3)), static_cast<int32_t>(3 + below(3))});
    if (odd()) part = integers(0, 9, 6);
    if (odd()) shape = integers(0, 40, 3);
    return ask("DdDensityGrid", {shape, part, rows, doubles({natoms, 3}), below(2) ? frame : no_box(),
                                 coefficients(type, natoms), radial()}, {{"T", type}});
  }

  std::string grid_parts() {
    const Array frame = boxes(1);
    Array rows(TF_DOUBLE, {9});
    std::memcpy(rows.data<double>(), frame.data<double>(), 72);
    const int32_t sizes[] = {1, 2, 40, 4000, INT32_MAX};
    const Array shape = exact<int32_t>({sizes[below(5)], sizes[below(5)], sizes[below(5)]});
    const int32_t most = below(4) ? 1 << 20 : static_cast<int32_t>(below(5) - 1);
    return ask("DdGridParts", {shape, rows, doubles({below(5), 3}), below(2) ? frame : no_box(), scalar(number()), scalar(most)});
  }

  std::string table() {
    const int64_t n = below(60), pieces = below(9), nout = below(5);
    const TF_DataType type = precision();
    Array x = reals(type, {n});
    if (x.size() && odd()) {
      const double value = number();
      const int64_t place = below(x.size());
      if (type == TF_DOUBLE) x.data<double>()[place] = value;
      else x.data<float>()[place] = std::abs(value) < 1e30 || !std::isfinite(value) ? static_cast<float>(value) : HUGE_VALF;
    }
    return ask("DdTable", {x, reals(type, {pieces, 6, nout}), scalar(number())}, {{"T", type}});
  }

  std::string gather() {
    const int64_t npairs = below(50), natoms = below(9), channels = below(9), lmax = below(5), passed = below(2);
    const int64_t nlm = (lmax + 1) * (lmax + 1), width = (lmax + 1) * channels * (1 + passed);
    const TF_DataType type = precision();
    std::vector<Array> inputs = {integers(0, natoms, npairs, true), integers(0, natoms, npairs), reals(type, {npairs, width}),
                                 reals(type, {npairs, nlm}), reals(type, {natoms, channels}),
                                 reals(type, {nlm, natoms, channels})};
    const Attributes attributes = {{"lmax", lmax}, {"passed", passed}, {"T", type}};
    if (below(2)) return ask("DdGather", inputs, attributes);
    if (below(2)) {
      inputs[2] = reals(type, {npairs});
      for (int64_t p = 0; p < inputs[2].size(); ++p)  // most of them among the nodes
        if (type == TF_FLOAT) inputs[2].data<float>()[p] += 5; else inputs[2].data<double>()[p] += 5;
      inputs.push_back(reals(type, {below(20), width}));
      return ask("DdGatherBetween", inputs, attributes);
    }
    inputs.insert(inputs.begin(), reals(type, {nlm, natoms, channels}));
    return ask("DdGatherGrad", inputs, attributes);
  }

  std::string grouped() {
    const int64_t rows = below(60), groups = below(5), nin = below(9), nout = below(9);
    const TF_DataType type = precision();
    std::vector<Array> inputs = {reals(type, {rows, nin}), reals(type, {groups, nin, nout}), integers(0, groups, rows)};
    if (below(2)) return ask("DdGroupedMatMul", inputs, {{"T", type}});
    inputs.insert(inputs.begin(), reals(type, {rows, nout}));
    return ask("DdGroupedMatMulGrad", inputs, {{"T", type}});
  }

  std::string orthogonal() {
    const TF_DataType type = precision();
    return ask("DdOrthogonal", {reals(type, {below(4), below(40), below(40)})}, {{"T", type}});
  }

  Array terms(int64_t nterms, int64_t nlm) {
    const Array made = integers(0, nlm, nterms, true), from = integers(0, nlm, 2 * nterms);
    Array all(TF_INT32, {nterms, 3});
    const auto entry = [](const Array& list, int64_t k) { return k < list.size() ? list.data<int32_t>()[k] : -1; };
    for (int64_t t = 0; t < nterms; ++t) {
      int32_t* term = all.data<int32_t>() + 3 * t;
      term[0] = entry(made, t), term[1] = entry(from, 2 * t), term[2] = entry(from, 2 * t + 1);
    }
    return all;
  }

  std::string coupling() {
    const int64_t nlm = below(26), n = below(9), m = below(70), nterms = below(40);
    const TF_DataType type = precision();
    return ask("DdCoupling",
               {reals(type, {nlm, n, m}), reals(type, {nlm, n, m}), terms(nterms, nlm), reals(type, {nterms})},
               {{"T", type}});
  }

  std::string pair_products() {
    const int64_t npairs = below(50), natoms = below(9), channels = below(40), lmax = below(5), nterms = below(40);
    const int64_t nlm = (lmax + 1) * (lmax + 1);
    const TF_DataType type = precision();
    std::vector<Array> inputs = {integers(0, natoms, npairs, true), integers(0, natoms, npairs),
                                 reals(type, {npairs, (lmax + 1) * channels}), reals(type, {npairs, nlm}),
                                 reals(type, {nlm, natoms, channels}), terms(nterms, nlm), reals(type, {nterms})};
    const Attributes attributes = {{"lmax", lmax}, {"T", type}};
    if (below(2)) return ask("DdGatherProducts", inputs, attributes);
    inputs.insert(inputs.begin(), reals(type, {nlm, natoms, channels}));
    return ask("DdGatherProductsGrad", inputs, attributes);
  }

  std::string interpolate() {
    const int64_t n = below(40), nodes = below(20), width = below(40);
    const TF_DataType type = precision();
    std::vector<Array> inputs = {reals(type, {n}), reals(type, {nodes, width})};
    // Mostly places among the nodes.
    const auto put = [&](auto* x) {
      for (int64_t i = 0; i < inputs[0].size(); ++i)
        if (below(50)) x[i] = uniform() * std::max<int64_t>(nodes - 1, 0);
    };
    type == TF_DOUBLE ? put(inputs[0].data<double>()) : put(inputs[0].data<float>());
    if (below(2)) return ask("DdInterpolate", inputs, {{"T", type}});
    inputs.insert(inputs.begin(), reals(type, {n, width}));
    return ask("DdInterpolateGrad", inputs, {{"T", type}});
  }

  // Dimensions that only empty arrays can have, and the widest that real ones may.
  std::string extreme() {
    const int64_t sizes[] = {0, 1, 4, 1 << 12, 1 << 16, 1 << 20, INT32_MAX, int64_t{1} << 31, (int64_t{1} << 32) + 1};
    const auto size = [&] { return sizes[below(9)]; };
    const auto fitting = [&](Shape shape) {
      bool empty = false;
      double product = 1;
      for (const int64_t n : shape) empty = empty || n == 0, product *= double(std::max<int64_t>(n, 1));
      if (!empty && product > (1 << 22)) shape[0] = 0;
      return product < 9e18 ? shape : Shape(shape.size(), 0);  // TensorFlow itself has no others
    };
    const TF_DataType type = precision();
    const auto zeros = [&](TF_DataType kind, const Shape& shape) {
      Array made(kind, fitting(shape));
      if (made.size()) std::memset(made.data<void>(), 0, made.size() * (kind == TF_DOUBLE ? 8 : 4));
      return made;
    };
    const int64_t natoms = below(2) ? 0 : size(), npoints = below(400);
    const Array radial = exact<double>({2.5, 0.5});
    switch (below(7)) {
      case 0: {
        Shape shape = below(3) ? fitting({natoms, size(), size(), size()}) : Shape{2, 1500 + below(1500), 6, 4};
        const Array coef = zeros(type, shape);
        const int64_t n = std::min<int64_t>(coef.dims[0], 50);
        const auto ends = [](int64_t m) { return exact<int32_t>({0, static_cast<int32_t>(m)}); };
        const char* op = below(2) ? "DdDensity" : "DdDensityGrad";
        return ask(op,
                   {zeros(TF_DOUBLE, {npoints, 3}), ends(npoints), zeros(TF_DOUBLE, {n, 3}), ends(n), no_box(), coef, radial},
                   {{"T", type}});
      }
      case 1:
        return ask("DdExpansion", {zeros(TF_DOUBLE, {0, 3}), zeros(TF_INT32, {0}), zeros(TF_INT32, {0}),
                                   zeros(type, {natoms, size(), size(), size()}), radial,
                                   scalar(below(2) ? INT32_MAX : static_cast<int32_t>(npoints))}, {{"T", type}});
      case 2:
        return ask("DdTable", {zeros(type, {size()}), zeros(type, {size(), 6, size()}), scalar(0.5)}, {{"T", type}});
      case 3: {
        const int64_t channels = size(), lmax = below(9), passed = below(2);
        const Array radii = zeros(type, {0, (lmax + 1) * channels});
        return ask("DdGather", {zeros(TF_INT32, {0}), zeros(TF_INT32, {0}), radii, zeros(type, {0, (lmax + 1) * (lmax + 1)}),
                                zeros(type, {size(), channels}), zeros(type, {0, 0, 0})},
                   {{"lmax", lmax}, {"passed", passed}, {"T", type}});
      }
      case 4: {
        const int64_t nin = size();
        return ask("DdGroupedMatMul", {zeros(type, {size(), nin}), zeros(type, {size(), nin, size()}), zeros(TF_INT32, {size()})},
                   {{"T", type}});
      }
      case 5: {
        Array rows(TF_DOUBLE, {9});
        for (int k = 0; k < 9; ++k) rows.data<double>()[k] = k % 4 == 0 ? 9 : 0;
        const auto side = [&] { return static_cast<int32_t>(std::min<int64_t>(size(), INT32_MAX)); };
        const int32_t n[] = {side(), side(), side()};
        return ask("DdDensityGrid", {exact<int32_t>({n[0], n[1], n[2]}), exact<int32_t>({0, 0, 0, n[0], n[1], n[2]}), rows,
                                     zeros(TF_DOUBLE, {0, 3}), no_box(), zeros(type, {0, size(), 4, 1}), radial}, {{"T", type}});
      }
      default:
        return ask("DdNeighborList", {zeros(TF_DOUBLE, {0, 3}), zeros(TF_INT32, {size()}), zeros(TF_DOUBLE, {0, 3}),
                                      zeros(TF_INT32, {size()}), zeros(TF_DOUBLE, {size(), 9}), scalar(3.0)},
                   {{"skip_self", 0}});
    }
  }

  uint64_t state_;
};

}  // namespace

extern "C" const char* deepdensity_instruction_set(void);

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  if (!deepdensity_instruction_set()) return 3;  // what DEEPDENSITY_ISA names is not to be had here
  const int64_t ncalls = std::atoll(argv[1]), seed = std::atoll(argv[2]), nthreads = argc > 3 ? std::atoll(argv[3]) : 1;
  std::vector<std::vector<std::string>> lines(nthreads);
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < nthreads; ++t)
    threads.emplace_back([&, t] {
      Calls calls(static_cast<uint64_t>(seed + t));
      for (int64_t k = 0; k < ncalls; ++k) lines[t].push_back(calls.one());
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& of_thread : lines)
    for (const std::string& line : of_thread) std::puts(line.c_str());
}
