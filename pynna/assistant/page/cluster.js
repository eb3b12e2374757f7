/* SPDX-License-Identifier: Apache-2.0 */
// The cluster: what the server tells is shown; what is said, typed or clicked is sent.

import { icon } from "/page/icons.js";
import { N_LEVELS, radiusOf, Scene } from "/page/scene.js";
import * as views from "/page/views.js";

const $ = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token");
const query = token ? `?token=${encodeURIComponent(token)}` : "";
const shown = { speed: 0, power: 0, x: 0, y: 0, heading: 0, zoom: 3 }; // what is drawn, which follows what is
const state = { car: null, drive: null, playing: "", tires: [], examples: {}, lists: {} };
let city = null;

// ---- what is shown ----

function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

const LAMPS = { // each: whether it is on, its icon, its colour
  hazard: (car) => [car.lights["hazard lights"], "hazard lights", "warn"],
  unlocked: (car) => [!car.locked, "unlocked", "warn"],
  "trunk open": (car) => [car.trunk, "trunk", "warn"],
  "window open": (car) => [Object.values(car.windows).some(Boolean), "window", "warn"],
  "sunroof open": (car) => [car.sunroof, "sunroof", "warn"],
  muted: (car) => [car.muted, "muted", "warn"],
  headlights: (car) => [car.lights.headlights, "headlights", "good"],
  "high beam": (car) => [car.lights["high beam"], "high beam", "cold"],
  "fog lights": (car) => [car.lights["fog lights"], "fog lights", "good"],
  "parking lights": (car) => [car.lights["parking lights"], "parking lights", "good"],
  "interior lights": (car) => [car.lights["interior lights"], "interior lights", "good"],
  wipers: (car) => [car.wipers, "wipers", "good"],
  "front defroster": (car) => [car.defrost.includes("front"), "front defrost", "warn"],
  "rear defroster": (car) => [car.defrost.includes("rear"), "rear defrost", "warn"],
  "seat heating": (car) => [Object.values(car.seat_heating).some(Boolean), "seat", "warn"],
  "steering wheel heating": (car) => [car.wheel_heating, "wheel", "warn"],
  "lane assist": (car) => [car.lane_assist, "lane", "good"],
  charging: (car) => [car.charging, "charging", "good"],
  call: (car) => [car.call || car.ringing, "phone", "good"],
  reminder: (car) => [car.reminder, "reminder", "cold"],
};

function showCar() {
  const { car } = state;
  document.body.className = car.night ? "night" : "day";
  $("dim").style.opacity = 0.6 * (1 - car.brightness / 100) * (car.brightness < 80);
  put("speed-unit", views.imperial() ? "mph" : "km/h");
  const lamps = Object.entries(LAMPS).map(([name, lamp]) => [name, ...lamp(car)]).filter(([, on]) => on);
  const lamp = (name, className, ...content) => views.h("span", { className, title: name, role: "img", ariaLabel: name }, ...content);
  $("telltales").replaceChildren(...lamps.map(([name, , drawn, className]) => lamp(name, className, icon(drawn))),
    ...[car.cruise && lamp("cruise control", "good", icon("cruise"), String(views.speed(car.cruise))),
      car.timer && lamp("timer", "cold", icon("timer"), car.timer.slice(11, 16)),
      car.mode !== "comfort" && lamp("driving mode", "cold", car.mode)].filter(Boolean));
  labels();
  views.show($("view"));
  for (const tab of $("views").children) tab.ariaPressed = tab.dataset.view === car.view;
  showDrive();
}

function showDrive() {
  const { car, drive } = state;
  put("clock", views.clock());
  put("outside", views.warm(drive.outside));
  for (const gear of $("gear").children) gear.className = gear.textContent === drive.gear ? "on" : "";
  put("limit", String(views.speed(drive.limit)));
  put("battery", String(Math.round(drive.battery)));
  put("range", views.far(drive.range));
  put("power", `${Math.round(drive.power)} kW`);
  $("cell").firstElementChild.style.width = `${drive.battery}%`;
  $("cell").className = car.charging ? "charging" : drive.battery < 15 ? "warn" : "";
  views.refresh();
}

// The scales' numbers, where the shader draws the ticks.
function label(dial, texts) {
  for (const old of dial.querySelectorAll("em")) old.remove();
  const rect = dial.getBoundingClientRect();
  const radius = radiusOf(rect);
  dial.style.setProperty("--radius", `${radius}px`);
  texts.forEach((text, i) => {
    if (text === "") return;
    const angle = (i / (texts.length - 1)) * 4.712 - 2.36;
    const made = views.h("em", {}, String(text));
    made.style.left = `${rect.width / 2 + radius * 0.64 * Math.sin(angle)}px`;
    made.style.top = `${rect.height / 2 - radius * 0.64 * Math.cos(angle)}px`;
    dial.append(made);
  });
}
const fullScale = () => (views.imperial() ? 120 : 180);
let labelled = "";
function labels() {
  if (!state.car) return;
  const key = `${innerWidth} ${innerHeight} ${views.imperial()} ${measure()}`;
  if (key === labelled) return;
  labelled = key;
  drawn = "";
  label($("left"), Array.from({ length: fullScale() / 20 + 1 }, (_, i) => 20 * i));
  label($("right"), Array.from({ length: 11 }, (_, i) => 20 * i - 60).map((kw) => (kw % 40 ? "" : kw)));
}

// What changed is shown large for a moment.
const OVERLAYS = {
  volume: (car) => [car.muted ? "muted" : "loud", car.muted ? "Muted" : "Volume", car.muted ? 0 : car.volume],
  brightness: (car) => ["sun", "Brightness", car.brightness],
};
let hide = 0;
function overlay(name) {
  const [drawn, title, value] = OVERLAYS[name](state.car);
  const bar = views.h("div", { className: "bar" }, views.h("div"));
  bar.firstChild.style.width = `${value}%`;
  $("volume").replaceChildren(icon(drawn), views.h("span", {}, title), bar, views.h("b", {}, String(value)));
  $("volume").hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => ($("volume").hidden = true), 2500);
}
function overlayOf(message) {
  if (/^(Volume|Mute$|Unmute$)/.test(message.intent ?? "") || message.changed.some((name) => name === "volume" || name === "muted")) return "volume";
  return message.changed.includes("brightness") ? "brightness" : "";
}

// ---- the server ----

let socket = null;
let rate = 16000;
let wait = 250;
let due = ""; // the overlay that the next state shows
let listening = false; // whether the microphone is wanted
let heard = false; // whether the server takes its audio

function take(message) {
  for (const name in state) if (name in message) state[name] = message[name];
  views.know(state, send);
}

const TOLD = {
  hello(message) {
    take(message);
    rate = message.rate;
    wait = 250;
    $("lost").hidden = true;
    Object.assign(shown, { x: message.drive.x, y: message.drive.y, heading: message.drive.heading });
    arrive(message.drive);
    showCar();
    if (listening) send({ type: "microphone", on: true });
  },
  state(message) {
    take(message);
    showCar();
    if (due) overlay(due);
    due = "";
  },
  drive(message) {
    if (!state.car) return;
    take(message);
    arrive(message.drive);
    const points = message.way.slice(1).map((n) => city?.nodes[n]).filter(Boolean);
    scene?.setRoute(points.length ? [[message.drive.x, message.drive.y], ...points] : []);
    showDrive();
  },
  words(message) {
    $("speech").className = "live";
    put("words", message.text || "…");
    put("reply", "");
    $("undo").hidden = true;
  },
  done(message) {
    $("speech").className = message.understood ? "understood" : "missed";
    put("words", message.text);
    put("reply", message.reply);
    document.body.dataset.intent = message.intent || "";
    due = overlayOf(message);
    $("undo").hidden = message.intent === "Undo" || message.changed.every((name) => name === "view");
  },
  level(message) {
    showLevel(message.level);
  },
  microphone(message) {
    heard = message.on;
    $("microphone").ariaPressed = heard;
  },
  error(message) {
    $("speech").className = "missed";
    put("reply", message.text);
  },
};

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws${query}`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    TOLD[message.type]?.(message);
  };
  socket.onclose = () => {
    heard = false;
    $("microphone").ariaPressed = false;
    $("lost").hidden = false;
    setTimeout(connect, wait);
    wait = Math.min(4000, wait * 1.6);
  };
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// ---- the microphone ----

let microphone = null;
const levels = new Float32Array(N_LEVELS);
let level = 0;

function showLevel(now) {
  level = Math.max(level * 0.7, Math.min(1, 1.3 * Math.sqrt(now)));
}

async function openMicrophone() {
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  let context;
  let source;
  try {
    context = new AudioContext({ sampleRate: rate });
    source = context.createMediaStreamSource(stream);
  } catch { // Firefox: a microphone's context runs at the device's rate
    context = new AudioContext();
    source = context.createMediaStreamSource(stream);
  }
  await context.audioWorklet.addModule("/page/microphone-worklet.js");
  const frames = new AudioWorkletNode(context, "frames", { numberOfOutputs: 0, processorOptions: { rate } });
  frames.port.onmessage = ({ data }) => {
    showLevel(data.level * 4);
    if (heard && socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 64000) socket.send(data.pcm);
  };
  source.connect(frames);
  await context.resume();
  return { close() { for (const track of stream.getTracks()) track.stop(); context.close(); } };
}

function listen(on) {
  listening = on;
  send({ type: "microphone", on }); // a connection that is still to come is told in its hello
}

$("microphone").onclick = async () => {
  if (listening) {
    listen(false);
    microphone?.close();
    microphone = null;
    return;
  }
  listen(true);
  try {
    const opened = await openMicrophone();
    if (listening) microphone = opened;
    else opened.close(); // clicked again meanwhile
  } catch (error) {
    listen(false);
    TOLD.error({ text: navigator.mediaDevices ? `The microphone: ${error.message}` : "A microphone needs https, or localhost" });
  }
};

$("undo").onclick = () => send({ type: "act", intent: "Undo", slots: {} });

$("typed").onsubmit = (event) => {
  event.preventDefault();
  const text = $("command").value.trim();
  if (text) send({ type: "command", text });
  $("command").value = "";
};

// ---- drawing ----

let places = null; // where the dials, the view and the level are
function measure() {
  const rect = (id) => $(id).getBoundingClientRect();
  const [view, footer] = [rect("view"), document.querySelector("footer").getBoundingClientRect()];
  const whole = { left: 0, top: 0, width: innerWidth, height: footer.top };
  const map = innerHeight > innerWidth ? { view, around: view } // else the map lies under the dials, too
    : { view: { ...whole, left: view.left, width: view.width }, around: whole };
  places = { left: rect("left"), right: rect("right"), level: rect("level"), map };
  return JSON.stringify(places);
}
const moved = new ResizeObserver(labels); // lamps and words take more or less room
for (const part of [document.documentElement, ...document.querySelectorAll("header, footer, .dial")]) moved.observe(part);

// The car goes on evenly between two messages of the server.
let from = { x: 0, y: 0, at: 0 };
function arrive(drive) {
  from = { x: shown.x, y: shown.y, at: performance.now(), jump: Math.hypot(drive.x - shown.x, drive.y - shown.y) > 60 };
}

const scene = (() => {
  try {
    return new Scene($("scene"));
  } catch (error) {
    console.error(error.message);
    $("words").textContent = error.message; // all the rest works
    return null;
  }
})();

const still = matchMedia("(prefers-reduced-motion: reduce)");
let last = performance.now();
let rolled = 0;
let drawn = "";
function frame(now) {
  requestAnimationFrame(frame);
  const { car, drive } = state;
  if (!car || !scene || !places || document.hidden) return;
  const seconds = Math.min(0.1, (now - last) / 1000);
  last = now;
  const part = (quick) => (still.matches ? 1 : 1 - Math.exp(-seconds * quick));
  const approach = (name, to, quick) => (shown[name] += (to - shown[name]) * part(quick));
  approach("speed", drive.speed, 6);
  approach("power", drive.power, 6);
  approach("zoom", car.zoom, 5);
  const gone = from.jump ? 1 : Math.min(1, (now - from.at) / 130);
  shown.x = from.x + (drive.x - from.x) * gone;
  shown.y = from.y + (drive.y - from.y) * gone;
  const turn = ((drive.heading - shown.heading + Math.PI * 3) % (Math.PI * 2)) - Math.PI;
  shown.heading += turn * part(3);
  put("speed", String(views.speed(shown.speed)));
  if (now - rolled > 50) { // the levels go by
    levels.copyWithin(0, 1);
    levels[N_LEVELS - 1] = level;
    level *= 0.8;
    rolled = now;
  }
  const scale = views.imperial() ? 1.609344 : 1;
  const map = views.ON_THE_MAP.includes(car.view) ? places.map : null;
  const what = { ...shown, ...places, map, speed: shown.speed / scale, limit: drive.limit / scale, top: fullScale(),
    night: car.night, levels, listening: heard };
  const key = [what.speed.toFixed(1), what.power.toFixed(1), car.night, car.view, innerWidth, innerHeight, devicePixelRatio, heard,
    levels.reduce((sum, v) => sum + Math.round(v * 100), 0), what.limit, map && [shown.x.toFixed(1), shown.y.toFixed(1),
      shown.heading.toFixed(3), shown.zoom.toFixed(3), car.destination, !!city]].join();
  if (key === drawn) return; // nothing moves
  drawn = key;
  scene.draw(what);
}

$("microphone").append(icon("microphone"));
$("undo").append(icon("undo"));
for (const [view, name] of Object.entries(views.TABS)) {
  const tab = views.h("button", { title: name, ariaLabel: name, onclick: () => views.open(view)() }, icon(view), views.h("span", {}, name));
  tab.dataset.view = view;
  $("views").append(tab);
}
const ask = (path) => fetch(path + query).then((answer) => answer.json());
ask("/map").then((map) => scene?.setCity((city = map)));
ask("/sentences").then((sentences) => {
  take(sentences);
  $("sentences").append(...Object.values(sentences.examples).flat().map((value) => views.h("option", { value })));
  if (state.car) views.show($("view"));
});
connect();
requestAnimationFrame(frame);
