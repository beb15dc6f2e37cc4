// Page of dd-tf view; what it shows stands in the page as JSON (see view.py).
"use strict";

const scene = JSON.parse(document.getElementById("data").textContent);

const KINDS = { f4: Float32Array, u4: Uint32Array, u2: Uint16Array };

function decode([kind, text]) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new KINDS[kind](bytes.buffer);
}

const element = (id) => document.getElementById(id);
const graph = element("scene");
const [nx, ny, nz] = scene.shape;
const fields = scene.fields.map((field) => ({ ...field, values: decode(field.values) }));
const picked = [];

function position(f) {
  return [0, 1, 2].map(
    (c) => scene.origin[c] + f[0] * scene.cell[0][c] + f[1] * scene.cell[1][c] + f[2] * scene.cell[2][c]
  );
}

function fractions(p) {
  const d = p.map((x, c) => x - scene.origin[c]);
  return [0, 1, 2].map((a) => d[0] * scene.inverse[0][a] + d[1] * scene.inverse[1][a] + d[2] * scene.inverse[2][a]);
}

// Linear interpolation between grid points; NaN outside of the box of a molecule.
function interpolate(values, p) {
  const low = [], rest = [];
  const f = fractions(p);
  for (let a = 0; a < 3; a++) {
    const n = scene.shape[a], x = f[a] * n;
    if (!scene.pbc && (x < 0 || x > n - 1)) return NaN;
    low.push(Math.floor(x));
    rest.push(x - Math.floor(x));
  }
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    let weight = 1, index = 0;
    for (let a = 0; a < 3; a++) {
      const up = (corner >> a) & 1, n = scene.shape[a];
      weight *= up ? rest[a] : 1 - rest[a];
      index = index * n + ((((low[a] + up) % n) + n) % n);
    }
    if (weight) sum += weight * values[index];
  }
  return sum;
}

function surfaces(field) {
  const level = field.levels[element("level").value];
  return level.meshes.map((mesh) => {
    if (!mesh.x) {
      const [x, y, z, i, j, k] = mesh.arrays.map(decode);
      Object.assign(mesh, { x, y, z, i, j, k });
    }
    return {
      type: "mesh3d", x: mesh.x, y: mesh.y, z: mesh.z, i: mesh.i, j: mesh.j, k: mesh.k,
      color: scene.colours[mesh.sign], opacity: Number(element("opacity").value),
      lighting: { ambient: 0.5, diffuse: 0.8, specular: 0.3, roughness: 0.5 },
      name: `${mesh.sign} ${level.value.toPrecision(3)}`, hoverinfo: "name",
    };
  });
}

function plane(field) {
  const axis = Number(element("plane").value);
  if (axis < 0) return [];
  const [b, c] = [0, 1, 2].filter((a) => a !== axis);
  const height = Number(element("height").value);
  const grid = () => Array.from({ length: scene.shape[b] }, () => new Array(scene.shape[c]));
  const [x, y, z, v] = [grid(), grid(), grid(), grid()];
  for (let i = 0; i < scene.shape[b]; i++) {
    for (let j = 0; j < scene.shape[c]; j++) {
      const at = [0, 0, 0];
      at[axis] = height; at[b] = i; at[c] = j;
      [x[i][j], y[i][j], z[i][j]] = position(at.map((n, a) => n / scene.shape[a]));
      v[i][j] = field.values[(at[0] * ny + at[1]) * nz + at[2]];
    }
  }
  const top = field.levels[0].value;
  const range = field.signed ? { cmin: -top, cmax: top, colorscale: "RdBu" }
                             : { cmin: 0, cmax: top, colorscale: "Viridis" };
  return [{ type: "surface", x, y, z, surfacecolor: v, ...range, name: "plane", opacity: 0.95,
            colorbar: { title: { text: "e/Å³" }, thickness: 12, len: 0.6 }, hoverinfo: "skip" }];
}

function atoms() {
  if (!element("atoms").checked) return [];
  const bonds = { type: "scatter3d", mode: "lines", ...scene.bonds, hoverinfo: "skip",
                  line: { color: "#777", width: 7 } };
  const balls = { type: "scatter3d", mode: "markers", ...scene.atoms.place, text: scene.atoms.names,
                  hoverinfo: "text", marker: { ...scene.atoms.marker, line: { color: "#333", width: 1 } } };
  return [bonds, balls];
}

function cell() {
  if (!element("cell").checked) return [];
  return [{ type: "scatter3d", mode: "lines", ...scene.edges, hoverinfo: "skip",
            line: { color: "#222", width: 2 } }];
}

function marks() {
  if (!picked.length) return [];
  const [x, y, z] = [0, 1, 2].map((c) => picked.map((p) => p[c]));
  return [{ type: "scatter3d", mode: "lines+markers", x, y, z, hoverinfo: "skip",
            line: { color: "#e08214", width: 6 }, marker: { color: "#e08214", size: 5 } }];
}

const current = () => fields[element("field").value];

function draw() {
  const field = current();
  const level = field.levels[element("level").value];
  element("value").textContent = `${level.value.toPrecision(3)} e/Å³${level.note}`;
  const traces = [...surfaces(field), ...plane(field), ...atoms(), ...cell(), ...marks()];
  const axis = { visible: false };
  const layout = {
    margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, uirevision: "same",
    scene: { aspectmode: "data", xaxis: axis, yaxis: axis, zaxis: axis, uirevision: "same" },
  };
  return Plotly.react(graph, traces, layout, { responsive: true, displaylogo: false });
}

function drawProfile() {
  const [start, end] = picked;
  const along = end.map((x, c) => x - start[c]);
  const length = Math.hypot(...along);
  const steps = Array.from({ length: 301 }, (_, n) => n / 300);
  const traces = fields.map((field) => ({
    name: field.name, x: steps.map((t) => t * length),
    y: steps.map((t) => interpolate(field.values, start.map((x, c) => x + t * along[c]))),
  }));
  element("profile").style.display = "block";
  Plotly.react("profile", traces, {
    margin: { l: 60, r: 10, t: 10, b: 40 }, showlegend: fields.length > 1, height: 240,
    xaxis: { title: { text: "Å" } }, yaxis: { title: { text: "e/Å³" } },
  }, { responsive: true, displaylogo: false });
  Plotly.Plots.resize(graph);
}

function pick(p) {
  if (picked.length === 2) picked.length = 0;
  picked.push(p);
  if (picked.length === 2) drawProfile();
  draw();
}

function chooseField() {
  element("level").max = current().levels.length - 1;
  element("level").value = current().start;
  draw();
}

function choosePlane() {
  const axis = Number(element("plane").value);
  element("height").disabled = axis < 0;
  if (axis >= 0) {
    element("height").max = scene.shape[axis] - 1;
    element("height").value = scene.middle[axis];
  }
  draw();
}

fields.forEach((field, n) => element("field").add(new Option(field.name, n)));
element("field").style.display = fields.length > 1 ? "" : "none";
element("field").addEventListener("change", chooseField);
element("plane").addEventListener("change", choosePlane);
for (const id of ["level", "opacity", "height", "atoms", "cell"]) element(id).addEventListener("input", draw);
// The box of a molecule is a window, most of it empty.
element("cell").checked = scene.pbc;
chooseField();
graph.on("plotly_click", (event) => {
  const { x, y, z } = event.points[0];
  pick([x, y, z]);
});
