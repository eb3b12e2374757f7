// What WebGL 2 draws: the dials and the map.

const DIAL_VERTEX = `#version 300 es
uniform vec2 centre, size; // of the quad, in clip space
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
  gl_Position = vec4(centre + at * size, 0, 1);
}`;

const DIAL_FRAGMENT = `#version 300 es
precision highp float;
in vec2 at;
out vec4 colour;
uniform float value, mark, zero, ticks, pixel; // shares of the scale; mark below 0: none
uniform vec3 accent, ink, low, warn;
const float START = 2.36, SPAN = 4.712; // the scale: from lower left clockwise to lower right
vec4 over(vec4 under, vec3 c, float a) { return vec4(mix(under.rgb, c, a), max(under.a, a)); }
float smoothed(float d) { return 1.0 - smoothstep(-pixel, pixel, d); }
void main() {
  float r = length(at), angle = atan(at.x, at.y); // clockwise from the top
  float share = (angle + START) / SPAN;
  vec4 c = vec4(mix(low, accent, 0.05 + 0.16 * smoothstep(0.2, 0.95, r)), 0.5 * smoothed(r - 0.97));
  bool on = share >= 0.0 && share <= 1.0;
  float ring = smoothed(abs(r - 0.9) - 0.035);
  if (on) c = over(c, mix(low, ink, 0.18), ring);
  float from = min(zero, value), to = max(zero, value);
  if (on && share >= from && share <= to) {
    vec3 hue = value < zero ? mix(accent, vec3(0.34, 0.84, 0.63), 0.8) : accent;
    c = over(c, hue * (0.75 + 0.35 * share), ring);
    c = over(c, hue, 0.25 * exp(-26.0 * abs(r - 0.9)));
  }
  float big = abs(fract(share * ticks + 0.5) - 0.5) / ticks * SPAN * r;
  float small = abs(fract(share * ticks * 5.0 + 0.5) - 0.5) / ticks / 5.0 * SPAN * r;
  if (share > -0.01 && share < 1.01) {
    c = over(c, ink, 0.9 * smoothed(max(big - 0.008, abs(r - 0.79) - 0.045)));
    c = over(c, ink, 0.35 * smoothed(max(small - 0.004, abs(r - 0.81) - 0.022)));
  }
  if (mark >= 0.0) {
    float m = mark * SPAN - START;
    vec2 d = at - 0.985 * vec2(sin(m), cos(m));
    c = over(c, warn, smoothed(length(d) - 0.03));
  }
  float n = clamp(value, -0.01, 1.01) * SPAN - START;
  vec2 along = vec2(sin(n), cos(n));
  float t = dot(at, along), across = abs(dot(at, vec2(along.y, -along.x)));
  float needle = max(across - mix(0.022, 0.006, clamp((t - 0.5) / 0.4, 0.0, 1.0)), max(0.52 - t, t - 0.93));
  c = over(c, warn, 0.22 * exp(-30.0 * max(needle, 0.0)));
  c = over(c, mix(warn, vec3(1.0, 0.35, 0.25), 0.6), smoothed(needle));
  colour = vec4(c.rgb * c.a, c.a);
}`;

const MAP_VERTEX = `#version 300 es
layout(location = 0) in vec2 point;
layout(location = 1) in vec2 side; // across the line, of length 1; 0 for areas
uniform vec2 car;
uniform float heading, scale, width, aspect, tilt;
uniform vec4 box; // centre and half size in clip space
out float depth;
void main() {
  vec2 p = point + side * width - car;
  float s = sin(heading), c = cos(heading);
  vec2 q = vec2(p.x * s - p.y * c, p.x * c + p.y * s) * scale; // the way ahead is up
  float w = 1.0 + max(-0.85, q.y * tilt);
  depth = q.y;
  gl_Position = vec4(box.xy * w + vec2(q.x / aspect, q.y - 0.38 * w) * box.zw, 0, w);
}`;

const MAP_FRAGMENT = `#version 300 es
precision highp float;
in float depth;
out vec4 colour;
uniform vec3 tint;
uniform float alpha, far;
void main() {
  float a = alpha * (1.0 - smoothstep(far * 0.55, far, depth));
  colour = vec4(tint * a, a);
}`;

const NIGHT = { back: [0.027, 0.043, 0.075], land: [0.06, 0.09, 0.14], street: [0.2, 0.27, 0.37], avenue: [0.36, 0.44, 0.56], park: [0.08, 0.2, 0.15],
  water: [0.07, 0.17, 0.31], accent: [0.3, 0.79, 0.94], ink: [0.91, 0.93, 0.97], low: [0.05, 0.08, 0.13], warn: [1, 0.72, 0.01] };
const DAY = { back: [0.875, 0.906, 0.941], land: [0.93, 0.94, 0.95], street: [1, 1, 1], avenue: [1, 0.9, 0.6], park: [0.74, 0.87, 0.72],
  water: [0.6, 0.79, 0.93], accent: [0, 0.447, 0.698], ink: [0.063, 0.094, 0.157], low: [0.97, 0.98, 1], warn: [0.8, 0.4, 0] };

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const at = {};
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(made, i);
    at[name] = gl.getUniformLocation(made, name);
  }
  return { made, at };
}

// Triangles of a line through points: x, y and the direction across, for each corner.
function ribbon(points, out = []) {
  for (let i = 0; i + 1 < points.length; i++) {
    const [a, b] = [points[i], points[i + 1]];
    const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const [x, y] = [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
    const corner = (p, s, e) => out.push(p[0], p[1], -y * s + x * e, x * s + y * e); // ends reach on by half a width
    corner(a, 1, -0.7), corner(a, -1, -0.7), corner(b, 1, 0.7), corner(b, 1, 0.7), corner(a, -1, -0.7), corner(b, -1, 0.7);
  }
  return out;
}

export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    const gl = (this.gl = canvas.getContext("webgl2", { antialias: true, alpha: false, powerPreference: "low-power" }));
    if (!gl) throw new Error("this browser has no WebGL 2");
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => this.prepare());
    this.prepare();
  }

  prepare() {
    const gl = this.gl;
    this.dials = program(gl, DIAL_VERTEX, DIAL_FRAGMENT);
    this.maps = program(gl, MAP_VERTEX, MAP_FRAGMENT);
    this.empty = gl.createVertexArray();
    this.layers = {};
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (this.city) this.setCity(this.city);
  }

  layer(name, numbers) {
    const gl = this.gl;
    const layer = (this.layers[name] ??= { array: gl.createVertexArray(), buffer: gl.createBuffer() });
    layer.count = numbers.length / 4;
    gl.bindVertexArray(layer.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, layer.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(numbers), gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 16, 0);
    gl.vertexAttribPointer(1, 2, gl.FLOAT, false, 16, 8);
  }

  setCity(city) {
    this.city = city;
    const lines = (wide) => city.streets.filter((s) => s[2] === wide).reduce((out, [a, b]) => ribbon([city.nodes[a], city.nodes[b]], out), []);
    this.layer("streets", lines(false));
    this.layer("avenues", lines(true));
    this.layer("river", ribbon(city.river));
    const parks = [];
    for (const block of city.parks) {
      const [x, y] = [block % (city.size - 1), Math.floor(block / (city.size - 1))];
      const corner = (dx, dy) => [...city.nodes[(y + dy) * city.size + x + dx], 0, 0];
      parks.push(...corner(0, 0), ...corner(1, 0), ...corner(1, 1), ...corner(0, 0), ...corner(1, 1), ...corner(0, 1));
    }
    this.layer("parks", parks);
    this.layer("route", []);
    this.layer("car", [-1, -0.8, 0, 0, 0, -0.4, 0, 0, 0, 1.2, 0, 0, 1, -0.8, 0, 0, 0, -0.4, 0, 0, 0, 1.2, 0, 0]);
  }

  setRoute(points) {
    if (this.layers.route) this.layer("route", ribbon(points));
  }

  resize() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [Math.round(innerWidth * ratio), Math.round(innerHeight * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    return ratio;
  }

  // shown: speed, limit, power, battery; x, y, heading, zoom; map (a DOMRect or null); left, right (DOMRects); night
  draw(shown) {
    const gl = this.gl;
    const ratio = this.resize();
    const look = shown.night ? NIGHT : DAY;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(...look.back, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (shown.map && this.city) this.drawMap(shown, look, ratio);
    this.dial(shown.left, look, { value: shown.speed / shown.top, mark: shown.limit / shown.top, zero: 0, ticks: shown.top / 20 });
    this.dial(shown.right, look, { value: (shown.power + 60) / 200, mark: -1, zero: 0.3, ticks: 10 });
  }

  clip(rect) {
    return [((rect.left + rect.width / 2) / innerWidth) * 2 - 1, 1 - ((rect.top + rect.height / 2) / innerHeight) * 2];
  }

  dial(rect, look, { value, mark, zero, ticks }) {
    const gl = this.gl;
    const { made, at } = this.dials;
    const radius = Math.min(rect.width, rect.height) * 0.485;
    gl.useProgram(made);
    gl.bindVertexArray(this.empty);
    gl.uniform2f(at.centre, ...this.clip(rect));
    gl.uniform2f(at.size, (radius * 2) / innerWidth, (radius * 2) / innerHeight);
    gl.uniform1f(at.pixel, 1 / radius);
    for (const [name, number] of Object.entries({ value, mark, zero, ticks })) gl.uniform1f(at[name], number);
    for (const name of ["accent", "ink", "low", "warn"]) gl.uniform3f(at[name], ...look[name]);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  drawMap(shown, look, ratio) {
    const gl = this.gl;
    const { made, at } = this.maps;
    const rect = shown.map;
    const far = 2.6;
    const scale = 0.0011 * 1.5 ** shown.zoom;
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(rect.left * ratio, this.canvas.height - (rect.top + rect.height) * ratio, rect.width * ratio, rect.height * ratio);
    gl.clearColor(...look.land, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(made);
    gl.uniform4f(at.box, ...this.clip(rect), rect.width / innerWidth, rect.height / innerHeight);
    gl.uniform1f(at.aspect, rect.width / rect.height);
    gl.uniform1f(at.tilt, 0.45);
    gl.uniform1f(at.far, far);
    const view = (x, y, heading, size) => {
      gl.uniform2f(at.car, x, y);
      gl.uniform1f(at.heading, heading);
      gl.uniform1f(at.scale, size);
    };
    const layer = (name, tint, width, alpha = 1) => {
      gl.uniform3f(at.tint, ...tint);
      gl.uniform1f(at.width, width);
      gl.uniform1f(at.alpha, alpha);
      gl.bindVertexArray(this.layers[name].array);
      gl.drawArrays(gl.TRIANGLES, 0, this.layers[name].count);
    };
    view(shown.x, shown.y, shown.heading, scale);
    layer("parks", look.park, 0);
    layer("river", look.water, 60);
    layer("streets", look.street, 7);
    layer("avenues", look.avenue, 11);
    layer("route", look.accent, 13, 0.9);
    view(0, 0, Math.PI / 2, 0.075);
    layer("car", shown.night ? [1, 1, 1] : look.ink, 0);
    gl.disable(gl.SCISSOR_TEST);
  }
}
