// The border: C calls in, no exception out.
#include "include/deepdensity/c_api.h"

#include <cstdio>
#include <new>

#include "model.h"

struct DD_Model {
  explicit DD_Model(const char* path) : model(dd::model_file(path)) {}
  const dd::Model model;
};

namespace {

// Fixed in size: an error must not need memory.
thread_local char last_error[2048] = "";

DD_Status fail(DD_Status status, const char* message) {
  std::snprintf(last_error, sizeof last_error, "%s", message);
  for (char* c = last_error; *c; ++c)
    if (*c == '\n' || *c == '\r') *c = ' ';
  return status;
}

template <typename Body> DD_Status guarded(Body body) noexcept {
  try {
    body();
    return DD_OK;
  } catch (const dd::InvalidArgument& error) {
    return fail(DD_INVALID_ARGUMENT, error.what());
  } catch (const dd::BadModel& error) {
    return fail(DD_BAD_MODEL, error.what());
  } catch (const std::bad_alloc&) {
    return fail(DD_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(DD_INTERNAL, error.what());
  } catch (...) {
    return fail(DD_INTERNAL, "unknown failure");
  }
}

template <typename T> T& given(T* pointer, const char* name) {
  dd::require(pointer != nullptr, name, " is NULL");
  return *pointer;
}

const dd::Model& model_of(const DD_Model* handle) { return given(handle, "model").model; }

// A property of a model, or `otherwise` on error.
template <typename T, typename Get> T property(const DD_Model* handle, T otherwise, Get get) noexcept {
  T value = otherwise;
  guarded([&] { value = get(model_of(handle)); });
  return value;
}

}  // namespace

DD_Status DD_Load(const char* path, DD_Model** model) {
  return guarded([&] {
    given(model, "model") = nullptr;
    *model = new DD_Model(&given(path, "path"));
  });
}

DD_Status DD_CheckGraph(const void* graph, int64_t size) {
  return guarded([&] {
    if (size < 0) throw dd::InvalidArgument("size is " + std::to_string(size));
    const std::string fault = dd::fault_of(static_cast<const char*>(graph), graph ? static_cast<size_t>(size) : 0);
    if (!fault.empty()) throw dd::BadModel(fault);
  });
}

void DD_Free(DD_Model* model) { delete model; }

const char* DD_LastError(void) { return last_error; }

int32_t DD_NumTypes(const DD_Model* model) {
  return property<int32_t>(model, -1, [](const dd::Model& m) { return static_cast<int32_t>(m.type_map().size()); });
}

const char* DD_TypeName(const DD_Model* model, int32_t type) {
  return property<const char*>(model, nullptr, [&](const dd::Model& m) {
    const auto& names = m.type_map();
    dd::require(type >= 0 && static_cast<size_t>(type) < names.size(),
                "type is ", type, ", expected 0 to ", names.size() - 1);
    return names[static_cast<size_t>(type)].c_str();
  });
}

int32_t DD_TypeOf(const DD_Model* model, const char* element) {
  return property<int32_t>(model, -1, [&](const dd::Model& m) { return m.type_of(&given(element, "element")); });
}

double DD_RCut(const DD_Model* model) {
  return property<double>(model, -1, [](const dd::Model& m) { return m.rcut(); });
}

double DD_RCutPoint(const DD_Model* model) {
  return property<double>(model, -1, [](const dd::Model& m) { return m.rcut_point(); });
}

int DD_HasSpin(const DD_Model* model) {
  return property<int>(model, -1, [](const dd::Model& m) { return m.has_spin() ? 1 : 0; });
}

DD_Status DD_Eval(const DD_Model* model, DD_Quantity quantity, const DD_Structure* structure, int64_t npoints,
                  const double* points, double* out) {
  return guarded([&] {
    model_of(model).eval(quantity, given(structure, "structure"), dd::listed_points(npoints, points), out);
  });
}

DD_Status DD_EvalGrid(const DD_Model* model, DD_Quantity quantity, const DD_Structure* structure, const DD_Grid* grid,
                      double* out) {
  return guarded([&] {
    model_of(model).eval_grid(quantity, given(structure, "structure"), given(grid, "grid"), out);
  });
}

int64_t DD_NumOccupancies(const DD_Model* model) {
  return property<int64_t>(model, -1, [](const dd::Model& m) { return m.noccupancies(); });
}

const char* DD_OccupancyChannels(const DD_Model* model) {
  return property<const char*>(model, nullptr, [](const dd::Model& m) {
    return m.noccupancies() ? m.occupancy_channels().c_str() : nullptr;
  });
}

DD_Status DD_EvalOccupancies(const DD_Model* model, const DD_Structure* structure, int spin, double* out) {
  return guarded([&] { model_of(model).eval_occupancies(given(structure, "structure"), spin, out); });
}

DD_Status DD_EvalElectrons(const DD_Model* model, const DD_Structure* structure, double* electrons) {
  return guarded([&] {
    double& target = given(electrons, "electrons");
    target = model_of(model).eval_electrons(given(structure, "structure"));
  });
}
