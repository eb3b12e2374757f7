/* SPDX-License-Identifier: Apache-2.0 */
// What WebGL 2 draws: the dials, the map, the microphone's level.
//
// It has to be smooth in software, too: what stands still of a dial is drawn once, into a texture; what moves is drawn
// by narrow shapes; edges are smoothed by the shaders, not by multisampling; nothing is instanced, as each instance costs
// as much as a call there.

const AROUND = 1.24; // a dial's texture reaches so far, in radii: the face, and the shade around it
const PLACE = `#version 300 es
uniform vec2 centre, radius; // in clip space
const float START = 2.36, SPAN = 4.712; // a scale: from lower left clockwise to lower right
vec4 place(vec2 at) { return vec4(centre + at * radius, 0, 1); }
vec2 way(float share) { float a = share * SPAN - START; return vec2(sin(a), cos(a)); }
`;
const CORNERS = "vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0";

const FACE = [`${PLACE}
out vec2 at;
void main() { at = (${CORNERS}) * ${AROUND}; gl_Position = vec4(at / ${AROUND}, 0, 1); }`,
`#version 300 es
precision highp float;
in vec2 at;
out vec4 colour;
uniform float ticks, zero, pixel; // shares of the scale
uniform vec3 accent, ink, back, face, good;
const float START = 2.36, SPAN = 4.712;
vec4 over(vec4 under, vec3 c, float a) { return vec4(mix(under.rgb, c, a), under.a + a * (1.0 - under.a)); }
float inside(float d) { return 1.0 - smoothstep(-pixel, pixel, d); }
void main() {
  float r = length(at), share = (atan(at.x, at.y) + START) / SPAN;
  vec4 c = vec4(back, 0.94 * (1.0 - smoothstep(0.9, ${AROUND}, r)));
  c = over(c, mix(face, back, smoothstep(0.1, 0.75, r)), inside(r - 0.985));
  c = over(c, accent, 0.16 * smoothstep(0.55, 0.97, r) * smoothstep(-0.9, 0.9, at.y) * inside(r - 0.985));
  c = over(c, mix(face, ink, 0.3), inside(abs(r - 0.985) - 0.006));
  bool on = share >= 0.0 && share <= 1.0;
  float ring = inside(abs(r - 0.9) - 0.03);
  if (on) {
    c = over(c, mix(face, ink, 0.15), ring);
    float stripes = step(0.5, fract(share * 60.0)); // what comes back to the battery
    if (share < zero) c = over(c, good, ring * mix(0.15, 0.42, stripes));
  }
  float big = abs(fract(share * ticks + 0.5) - 0.5) / ticks * SPAN * r;
  float small = abs(fract(share * ticks * 4.0 + 0.5) - 0.5) / ticks / 4.0 * SPAN * r;
  if (share > -0.01 && share < 1.01) {
    c = over(c, ink, 0.42 * inside(max(small - 0.004, abs(r - 0.825) - 0.016)));
    c = over(c, ink, 0.95 * inside(max(big - 0.008, abs(r - 0.805) - 0.036)));
  }
  colour = vec4(c.rgb * c.a, c.a);
}`];

const ROUND = 40; // corners of what is taken of the texture
const BLIT = [`${PLACE}
uniform float reach;
out vec2 at;
void main() {
  float angle = float(gl_VertexID) * ${(2 * Math.PI) / ROUND};
  vec2 p = vec2(cos(angle), sin(angle)) * reach;
  at = p * ${0.5 / AROUND} + 0.5;
  gl_Position = place(p);
}`,
`#version 300 es
precision highp float;
in vec2 at;
out vec4 colour;
uniform sampler2D picture;
void main() { colour = texture(picture, at); }`];

const SEGMENTS = 72; // of the arc
const ARC = [`${PLACE}
uniform float from, to;
out float r, share;
void main() {
  share = mix(from, to, float(gl_VertexID >> 1) / float(${SEGMENTS}));
  r = (gl_VertexID & 1) == 0 ? 0.82 : 0.98;
  gl_Position = place(way(share) * r);
}`,
`#version 300 es
precision highp float;
in float r, share;
out vec4 colour;
uniform vec3 hue, tip;
uniform float pixel, to;
void main() {
  float d = abs(r - 0.9);
  float ring = 1.0 - smoothstep(-pixel, pixel, d - 0.03);
  float a = max(ring, 0.32 * (1.0 - smoothstep(0.0, 0.08, d)));
  colour = vec4(mix(hue, tip, clamp(1.0 - abs(to - share) * 3.0, 0.0, 1.0)) * a, a);
}`];

const HAND = [`${PLACE}
uniform float value, from, to, wide;
out vec2 at; // along from 0 to 1, across from -1 to 1
void main() {
  at = vec2(gl_VertexID >> 1, float(gl_VertexID & 1) * 2.0 - 1.0);
  vec2 w = way(value);
  gl_Position = place(w * mix(from, to, at.x) + vec2(w.y, -w.x) * at.y * wide);
}`,
`#version 300 es
precision highp float;
in vec2 at;
out vec4 colour;
uniform vec3 hue;
uniform float thick, glow, taper, pixel; // thick: its share of the quad's width
void main() {
  float across = abs(at.y), half_ = thick * mix(1.0, 1.0 - taper, at.x);
  float a = 1.0 - smoothstep(half_ - pixel, half_ + pixel, across);
  a = max(a, glow * at.x * (1.0 - smoothstep(0.0, 1.0, across)));
  a *= smoothstep(0.0, 0.25, at.x + 1.0 - taper);
  colour = vec4(hue * a, a);
}`];

const GROUND = `#version 300 es
uniform vec2 car;
uniform float heading, scale, aspect, tilt;
uniform vec4 box; // centre and half size in clip space
out float depth;
vec4 seen(vec2 point) { // metres; the way ahead is up, and leans away
  vec2 p = point - car;
  float s = sin(heading), c = cos(heading);
  vec2 q = vec2(p.x * s - p.y * c, p.x * c + p.y * s) * scale;
  float w = 1.0 + max(-0.85, q.y * tilt);
  depth = q.y;
  return vec4(box.xy * w + vec2(q.x / aspect, q.y - 0.38 * w) * box.zw, 0, w);
}
`;
const FADE = `1.0 - smoothstep(far * 0.45, far, depth)`;

const AREA = [`${GROUND}
layout(location = 0) in vec2 point;
void main() { gl_Position = seen(point); }`,
`#version 300 es
precision highp float;
in float depth;
out vec4 colour;
uniform vec3 tint;
uniform float far;
void main() { float a = ${FADE}; colour = vec4(tint * a, a); }`];

const LINE = [`${GROUND}
layout(location = 0) in vec4 ends;
uniform float width; // half of it, metres
out vec3 at; // across, beyond the start, beyond the end, in widths: round ends
void main() {
  vec2 along = ends.zw - ends.xy;
  float size = length(along);
  along = size > 0.01 ? along / size : vec2(1, 0);
  int corner = (gl_VertexID % 6) * 2 > 5 ? 6 - gl_VertexID % 6 : gl_VertexID % 6; // of two triangles: 0 1 2, 3 2 1
  float side = float(corner & 1) * 2.0 - 1.0;
  bool last = corner > 1;
  float rest = size / width + 1.0;
  at = vec3(side, last ? -rest : 1.0, last ? 1.0 : -rest);
  gl_Position = seen((last ? ends.zw : ends.xy) + (along * (last ? 1.0 : -1.0) + vec2(-along.y, along.x) * side) * width);
}`,
`#version 300 es
precision highp float;
in float depth;
in vec3 at;
out vec4 colour;
uniform vec3 tint;
uniform float far;
void main() {
  float d = length(vec2(at.x, max(0.0, max(at.y, at.z))));
  float a = clamp((1.0 - d) / max(fwidth(d), 0.001), 0.0, 1.0) * (${FADE});
  colour = vec4(tint * a, a);
}`];

const LEVELS = 40;
const BARS = [`#version 300 es
uniform vec2 centre, radius;
uniform float levels[${LEVELS}], square; // square: a bar's width over the height
out vec2 at;
out float tall;
void main() {
  int bar = gl_VertexID / 6, n = gl_VertexID % 6 * 2 > 5 ? 6 - gl_VertexID % 6 : gl_VertexID % 6;
  vec2 corner = vec2(n & 1, n >> 1) * 2.0 - 1.0;
  tall = max(levels[bar], 0.08);
  float x = (float(bar) + 0.5 + corner.x * 0.3) / float(${LEVELS}) * 2.0 - 1.0;
  at = vec2(corner.x, corner.y * tall / square);
  tall /= square;
  gl_Position = vec4(centre + vec2(x, corner.y * tall * square) * radius, 0, 1);
}`,
`#version 300 es
precision highp float;
in vec2 at;
in float tall;
out vec4 colour;
uniform vec3 hue;
void main() {
  float d = length(vec2(at.x, max(0.0, abs(at.y) - max(0.0, tall - 1.0))));
  float a = 1.0 - smoothstep(0.7, 1.0, d);
  colour = vec4(hue * a, a);
}`];

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
const look = (names) => Object.fromEntries(Object.entries(names).map(([name, hex]) => [name, rgb(hex)]));
const NIGHT = look({ back: "#05080e", land: "#0d141f", street: "#34435a", avenue: "#5a6f8e", casing: "#070b12",
  park: "#11281f", building: "#162131", water: "#12304f", route: "#38b6ff", edge: "#0b4a78", face: "#101b2b",
  accent: "#38b6ff", tip: "#b5ecff", ink: "#eef4fb", good: "#3ddbb0", hand: "#ff8a3d", limit: "#ffb703", car: "#ffffff" });
const DAY = look({ back: "#dde5ee", land: "#e9edf1", street: "#ffffff", avenue: "#ffdf9e", casing: "#c3ccd8",
  park: "#c2e0bd", building: "#d8dee6", water: "#a6cdec", route: "#0a64b4", edge: "#ffffff", face: "#f7fafd",
  accent: "#0a64b4", tip: "#0a4f90", ink: "#0f1a2b", good: "#00866a", hand: "#d94f00", limit: "#a35200", car: "#0f1a2b" });

function program(gl, [vertex, fragment]) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(made));
  const set = {};
  for (let i = 0; i < (gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS) ?? 0); i++) {
    const { name, type } = gl.getActiveUniform(made, i);
    const at = gl.getUniformLocation(made, name);
    const kinds = { [gl.FLOAT_VEC2]: "uniform2fv", [gl.FLOAT_VEC3]: "uniform3fv", [gl.FLOAT_VEC4]: "uniform4fv" };
    set[name.replace("[0]", "")] = (value) => {
      if (type === gl.SAMPLER_2D) gl.uniform1i(at, value);
      else if (type === gl.FLOAT) name.endsWith("[0]") ? gl.uniform1fv(at, value) : gl.uniform1f(at, value);
      else gl[kinds[type]](at, value);
    };
  }
  const use = (values) => {
    gl.useProgram(made);
    for (const name in values) set[name]?.(values[name]);
  };
  return { use };
}

// Numbers between 0 and 1 that are always the same ones.
const chance = (n) => { const s = Math.sin(n * 12.9898) * 43758.5453; return s - Math.floor(s); };

export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    const gl = (this.gl = canvas.getContext("webgl2", { antialias: false, alpha: false, depth: false, powerPreference: "low-power" }));
    if (!gl) throw new Error("This page needs WebGL 2, which this browser does not have");
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => this.prepare());
    this.prepare();
  }

  prepare() {
    const gl = this.gl;
    Object.assign(this, { face: program(gl, FACE), blit: program(gl, BLIT), arc: program(gl, ARC), hand: program(gl, HAND),
      area: program(gl, AREA), line: program(gl, LINE), bars: program(gl, BARS) });
    this.empty = gl.createVertexArray();
    this.layers = {};
    this.faces = {};
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (this.city) this.setCity(this.city);
    if (this.route) this.setRoute(this.route);
  }

  // Points of areas, or the lines' ends, four numbers each.
  layer(name, numbers, size) {
    const gl = this.gl;
    if (size === 4) numbers = Array.from({ length: numbers.length * 6 }, (_, i) => numbers[Math.floor(i / 24) * 4 + (i % 4)]); // for each corner
    const layer = (this.layers[name] ??= { array: gl.createVertexArray(), buffer: gl.createBuffer(), size });
    layer.count = numbers.length / size;
    gl.bindVertexArray(layer.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, layer.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(numbers), gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, size, gl.FLOAT, false, 0, 0);
  }

  setCity(city) {
    this.city = city;
    const chain = (points) => points.slice(1).flatMap((b, i) => [...points[i], ...b]);
    for (const wide of [false, true]) {
      const those = city.streets.filter((street) => street[2] === wide);
      this.layer(wide ? "avenues" : "streets", those.flatMap(([a, b]) => [...city.nodes[a], ...city.nodes[b]]), 4);
    }
    this.layer("river", chain(city.river), 4);
    const quad = (a, b, c, d) => [...a, ...b, ...c, ...a, ...c, ...d];
    const parks = [];
    const buildings = [];
    const rows = city.size - 1;
    for (let block = 0; block < rows * rows; block++) {
      const [x, y] = [block % rows, Math.floor(block / rows)];
      const node = (dx, dy) => city.nodes[(y + dy) * city.size + x + dx];
      const [a, b, c, d] = [node(0, 0), node(1, 0), node(1, 1), node(0, 1)];
      if (city.parks.includes(block)) {
        parks.push(...quad(a, b, c, d));
        continue;
      }
      const at = (u, v) => [0, 1].map((i) => (a[i] * (1 - u) + b[i] * u) * (1 - v) + (d[i] * (1 - u) + c[i] * u) * v);
      for (let i = 0; i < 4; i++) { // a building in each quarter, mostly
        if (chance(block * 4 + i) < 0.22) continue;
        const [u, v] = [i & 1 ? 0.53 : 0.13, i & 2 ? 0.53 : 0.13];
        const [w, h] = [0.2 + 0.14 * chance(block + i * 7.7), 0.2 + 0.14 * chance(block * 3 + i)];
        buildings.push(...quad(at(u, v), at(u + w, v), at(u + w, v + h), at(u, v + h)));
      }
    }
    this.layer("parks", parks, 2);
    this.layer("buildings", buildings, 2);
    this.layer("car", [-1, -0.85, 0, -0.45, 0, 1.25, 1, -0.85, 0, -0.45, 0, 1.25], 2);
    this.layer("here", [0, 0, 0, 0], 4);
    this.layer("route", [], 4);
    this.layer("end", [], 4);
  }

  // points: [x, y] in metres, from the car to the destination; none without a route
  setRoute(points) {
    this.route = points;
    if (!this.layers.route) return;
    this.layer("route", points.slice(1).flatMap((b, i) => [...points[i], ...b]), 4);
    const end = points.at(-1);
    this.layer("end", end ? [...end, ...end] : [], 4);
  }

  resize() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [Math.round(innerWidth * ratio), Math.round(innerHeight * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    return ratio;
  }

  // shown: speed, limit, top (shares of it), power, x, y, heading, zoom; night; map: { view, around } (DOMRects) or null;
  // left, right: the dials' DOMRects; level: the microphone's DOMRect; levels: Float32Array; listening
  draw(shown) {
    const gl = this.gl;
    const ratio = this.resize();
    const colours = shown.night ? NIGHT : DAY;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(...colours.back, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (shown.map && this.city) this.drawMap(shown, colours, ratio);
    const share = (v) => Math.max(0, Math.min(1, v));
    this.dial("left", shown, colours, ratio, share(shown.speed / shown.top), 0, shown.top / 20, share(shown.limit / shown.top));
    this.dial("right", shown, colours, ratio, share((shown.power + 60) / 200), 0.3, 10, -1);
    const { centre, radius } = this.clip(shown.level, shown.level.width / 2, shown.level.height / 2);
    this.bars.use({ centre, radius, levels: shown.levels, square: (shown.level.width / LEVELS / shown.level.height) * 0.6,
      hue: shown.listening ? colours.good : colours.face.map((v, i) => v * 0.6 + colours.ink[i] * 0.4) });
    gl.drawArrays(gl.TRIANGLES, 0, 6 * LEVELS);
  }

  clip(rect, x, y = x) {
    const centre = [((rect.left + rect.width / 2) / innerWidth) * 2 - 1, 1 - ((rect.top + rect.height / 2) / innerHeight) * 2];
    return { centre, radius: [(x * 2) / innerWidth, (y * 2) / innerHeight] };
  }

  // The face of a dial, as a texture that is made when its size or the colours change.
  faceOf(name, key, size, values) {
    const gl = this.gl;
    const face = (this.faces[name] ??= { texture: gl.createTexture(), frame: gl.createFramebuffer() });
    gl.bindTexture(gl.TEXTURE_2D, face.texture);
    if (face.key === key) return;
    face.key = key;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, size, size, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    for (const [what, how] of [["MIN_FILTER", "NEAREST"], ["MAG_FILTER", "NEAREST"], ["WRAP_S", "CLAMP_TO_EDGE"],
      ["WRAP_T", "CLAMP_TO_EDGE"]]) gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${what}`], gl[how]);
    gl.bindFramebuffer(gl.FRAMEBUFFER, face.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, face.texture, 0);
    gl.viewport(0, 0, size, size);
    gl.disable(gl.BLEND);
    this.face.use(values);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.enable(gl.BLEND);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
  }

  dial(name, shown, colours, ratio, value, zero, ticks, limit) {
    const gl = this.gl;
    const rect = shown[name];
    const side = Math.round(2 * AROUND * radiusOf(rect) * ratio); // of the texture, which lies on whole pixels
    const size = side / 2 / AROUND / ratio;
    const whole = (at) => Math.round(at * ratio - side / 2) / ratio + side / 2 / ratio;
    const centre = { left: whole(rect.left + rect.width / 2), top: whole(rect.top + rect.height / 2), width: 0, height: 0 };
    const place = this.clip(centre, size);
    const pixel = 0.75 / size / ratio;
    gl.bindVertexArray(this.empty);
    this.faceOf(name, `${size} ${ratio} ${shown.night} ${ticks}`, Math.max(1, side),
      { ...colours, ticks, zero, pixel });
    this.blit.use({ ...place, picture: 0, reach: shown.map ? AROUND : 1.01 });
    gl.drawArrays(gl.TRIANGLE_FAN, 0, ROUND);
    const gains = value < zero;
    this.arc.use({ ...place, pixel, from: zero, to: value, hue: gains ? colours.good : colours.accent,
      tip: gains ? colours.good : colours.tip });
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 2 * SEGMENTS + 2);
    const hand = (at, from, to, thick, wide, glow, taper, hue) => {
      this.hand.use({ ...place, value: at, from, to, wide, thick: thick / wide, glow, taper, hue, pixel: pixel / wide });
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    };
    if (limit >= 0) hand(limit, 0.85, 0.97, 0.014, 0.03, 0, 0, colours.limit);
    hand(value, 0.75, 0.98, 0.026, 0.1, 0.4, 0.6, colours.hand);
  }

  drawMap(shown, colours, ratio) {
    const gl = this.gl;
    const { view, around } = shown.map;
    const scale = 0.0011 * 1.5 ** shown.zoom;
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(around.left * ratio, this.canvas.height - (around.top + around.height) * ratio, around.width * ratio, around.height * ratio);
    gl.clearColor(...colours.land, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const { centre, radius } = this.clip(view, view.width / 2, view.height / 2);
    const stage = { box: [...centre, ...radius], aspect: view.width / view.height, tilt: 0.45, far: 3.2 };
    const ground = { ...stage, car: [shown.x, shown.y], heading: shown.heading, scale };
    const area = (name, tint, where = ground) => {
      this.area.use({ ...where, tint });
      gl.bindVertexArray(this.layers[name].array);
      gl.drawArrays(gl.TRIANGLES, 0, this.layers[name].count);
    };
    const line = (name, tint, width, where = ground) => {
      this.line.use({ ...where, tint, width });
      gl.bindVertexArray(this.layers[name].array);
      gl.drawArrays(gl.TRIANGLES, 0, this.layers[name].count);
    };
  
    const wide = (metres) => metres * Math.max(1, 0.0035 / scale); // visible from far, too
    area("parks", colours.park);
    if (shown.zoom > 1.5) area("buildings", colours.building);
    line("river", colours.water, 60);
    line("streets", colours.casing, wide(8));
    line("avenues", colours.casing, wide(12.5));
    line("streets", colours.street, wide(6));
    line("avenues", colours.avenue, wide(10));
    line("route", colours.edge, wide(13));
    line("route", colours.route, wide(10));
    line("end", colours.edge, wide(30));
    line("end", colours.hand, wide(22));
    const mark = { ...stage, car: [0, 0], heading: Math.PI / 2, scale: 0.085 };
    line("here", colours.route.map((v, i) => v * 0.35 + colours.land[i] * 0.65), 1.7, mark);
    line("here", colours.land, 1.45, mark);
    area("car", colours.car, mark);
    gl.disable(gl.SCISSOR_TEST);
  }
}

export const N_LEVELS = LEVELS;
export const radiusOf = (rect) => Math.min(rect.width, rect.height) * 0.485;
