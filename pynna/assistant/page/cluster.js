// The cluster: what the server tells is shown, what is said, typed or clicked is sent.

import { Scene } from "/page/scene.js";

const $ = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token");
const query = token ? `?token=${encodeURIComponent(token)}` : "";
const scene = new Scene($("scene"));
const shown = { speed: 0, power: 0, x: 0, y: 0, heading: 0, zoom: 3 }; // what is drawn, which follows what is
let car = null;
let drive = null;
let city = null;
let socket = null;
let me = "";
let rate = 16000;
let examples = {};
let microphone = null;
let listening = false; // whether the microphone is wanted
let heard = false; // whether the server takes its audio
let wait = 250;

// ---- words and units ----

const imperial = () => car.units === "imperial";
const speed = (v) => Math.round(imperial() ? v / 1.609344 : v);
const far = (km) => { const d = imperial() ? km / 1.609344 : km; return `${d < 10 ? d.toFixed(1) : Math.round(d)} ${imperial() ? "mi" : "km"}`; };
const warm = (c) => `${(car.degrees === "fahrenheit" ? (c * 9) / 5 + 32 : c).toFixed(1).replace(".0", "")}°`;
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const clock = (minutes = 0) => new Date(Date.now() + minutes * 60000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  Object.assign(made, attributes);
  if (Array.isArray(content)) made.append(...content.filter(Boolean));
  else made.textContent = content;
  return made;
}
const rows = (pairs) => element("div", pairs.flatMap(([a, b]) => [element("span", a), element("span", b)]), { className: "panel rows" });
const button = (text, intent, slots = {}, on = false) => element("button", text, { className: on ? "on" : "", onclick: () => send({ type: "act", intent, slots }) });
const buttons = (...all) => element("div", all, { className: "buttons" });
const bar = (share) => { const made = element("div", [element("div")], { className: "bar" }); made.firstChild.style.width = `${share}%`; return made; };
const onOff = (on) => (on ? "on" : "off");
const toggle = (text, intent, slots, on) => button(text, intent, { ...slots, state: on ? "off" : "on" }, on);

// ---- the views ----

const VIEWS = {
  home: () => [car.destination ? guidance() : null],
  navigation: () => [guidance(), buttons(button("+", "ZoomIn"), button("−", "ZoomOut"), button("Home", "RouteTo", { place: "home" }), button("Work", "RouteTo", { place: "work" }),
    button("Charger", "ChargingStationFind"), car.destination && button("End", "NavigationStop"))],
  media: () => [element("h1", car.source === "radio" ? capital(car.station) : TRACKS[car.track % TRACKS.length]),
    rows([["Source", capital(car.source)], car.source === "radio" ? ["Frequency", `${car.frequency.toFixed(1)} MHz`] : ["Genre", capital(car.genre || "all")],
      ["Playing", onOff(car.playing)], ["Shuffle", onOff(car.shuffle)]]),
    buttons(button("⏮", "MediaPrevious"), car.playing ? button("⏸", "MediaPause") : button("▶", "MediaPlay"), button("⏭", "MediaNext"), toggle("Shuffle", "MediaShuffle", {}, car.shuffle),
      button("Radio", "RadioOn", {}, car.source === "radio"), button("Bluetooth", "SourceSet", { source: "bluetooth" }, car.source === "bluetooth"))],
  climate: () => [rows(Object.entries(car.temperature).map(([zone, t]) => [capital(zone), warm(t)]).concat([["Fan", car.climate ? car.fan : "off"], ["Outside", warm(drive.outside)]])),
    buttons(button("Cooler", "TemperatureDown"), button("Warmer", "TemperatureUp"), toggle("Climate", "AirConditioning", {}, car.climate), button("Fan −", "FanSpeed", { level: Math.max(0, car.fan - 1) }), button("Fan +", "FanSpeed", { level: Math.min(9, car.fan + 1) })),
    buttons(...Object.entries(car.seat_heating).map(([seat, on]) => toggle(`${capital(seat)} seat`, "SeatHeating", { seat }, on)), toggle("Wheel", "SteeringWheelHeating", {}, car.wheel_heating),
      ...["front", "rear"].map((p) => toggle(`Defrost ${p}`, "Defrost", { window_place: p }, car.defrost.includes(p))))],
  battery: () => [element("h1", `${Math.round(drive.battery)} % · ${far(drive.range)}`), bar(drive.battery),
    rows([["Charging", onOff(car.charging)], ["Limit", `${car.charge_limit} %`], ["Power", `${Math.round(drive.power)} kW`], ["Consumption", consumption()]]),
    buttons(car.charging ? button("Stop charging", "ChargingStop") : button("Charge", "ChargingStart"), button("Limit −", "ChargingLimit", { level: car.charge_limit - 5 }), button("Limit +", "ChargingLimit", { level: car.charge_limit + 5 }), button("Find a charger", "ChargingStationFind"))],
  phone: () => [element("h1", car.call ? `Talking with ${car.call}` : "Phone"), car.call ? buttons(button("Hang up", "CallEnd", {}, true)) : null,
    buttons(...["home", "mom", "work", "anna", "david", "sarah", "the doctor", "roadside assistance"].map((contact) => button(capital(contact), "Call", { contact })))],
  body: () => [rows([["Doors", car.locked ? "locked" : "unlocked"], ["Trunk", car.trunk ? "open" : "closed"], ["Sunroof", car.sunroof ? "open" : "closed"],
      ["Windows", Object.entries(car.windows).filter(([, v]) => v).map(([k, v]) => `${k} ${v} %`).join(", ") || "closed"], ["Tires", "2.4 · 2.4 · 2.5 · 2.3 bar"], ["Mirrors", car.mirrors]]),
    buttons(car.locked ? button("Unlock", "DoorsUnlock") : button("Lock", "DoorsLock"), car.sunroof ? button("Close roof", "SunroofClose") : button("Open roof", "SunroofOpen"),
      button("Open windows", "WindowOpen", { window_place: "front" }), button("Close windows", "WindowClose", { window_place: "front" })),
    buttons(...Object.entries(car.lights).map(([light, on]) => toggle(capital(light), "LightsSet", { light }, on)), toggle("Wipers", "WipersSet", {}, car.wipers))],
  camera: () => [element("h1", `${capital(car.camera)} camera`), element("div", "No camera is connected to this computer", { className: "panel" })],
  settings: () => [rows([["Brightness", `${car.brightness} %`], ["Units", car.units], ["Driving mode", car.mode], ["Cruise control", car.cruise ? `${speed(car.cruise)}` : "off"], ["Lane assist", onOff(car.lane_assist)]]),
    buttons(...["eco", "comfort", "sport", "snow"].map((mode) => button(capital(mode), "ModeSet", { mode }, car.mode === mode))),
    buttons(button("Day", "NightMode", { theme: "day" }, !car.night), button("Night", "NightMode", { theme: "night" }, car.night), button("km", "UnitsSet", { units: "metric" }, !imperial()), button("miles", "UnitsSet", { units: "imperial" }, imperial()),
      button("Darker", "BrightnessSet", { direction: "down" }), button("Brighter", "BrightnessSet", { direction: "up" }), toggle("Lane assist", "LaneAssist", {}, car.lane_assist)),
    buttons(car.cruise ? button("Cruise off", "CruiseOff") : button("Cruise on", "CruiseSet"), car.engine ? button("Motor off", "EngineStop") : button("Motor on", "EngineStart"), button("Undo", "Undo"))],
  trip: () => [rows([["Trip", far(drive.trip)], ["Odometer", far(drive.odometer)], ["Consumption", consumption()], ["Speed limit", speed(drive.limit)]]), buttons(button("Reset", "TripReset"))],
  help: () => [element("h1", "You can say"), element("div", Object.values(examples).map((text) => element("button", text, { onclick: () => send({ type: "command", text }) })), { className: "panel buttons" })],
};
const TRACKS = ["Harbour Lights", "Long Way North", "Paper Kites", "The Quiet Mile", "Amber Road", "Second Sunrise", "Glass Rivers", "Slow Train Home"];
const ICONS = { // each in a square of 24
  home: "M4 11l8-7 8 7v9h-5v-6h-6v6H4z", navigation: "M12 3l7 18-7-4-7 4z", media: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Zm10-2a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Z",
  climate: "M10 14V5a2 2 0 1 1 4 0v9a4 4 0 1 1-4 0Z", battery: "M3 8h15v9H3zM21 11v3M6 11v3M10 11v3", phone: "M6 3l3 5-2 2c1 3 4 6 7 7l2-2 5 3c0 2-2 3-4 3C10 20 4 14 3 7c0-2 1-4 3-4Z",
  body: "M3 14l2-1 2-5h9l3 5 2 1v4H3zM7 18v2M17 18v2", settings: "M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4M7 15v4", trip: "M5 20c6 0 2-8 8-8s3-8 6-8", help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 18v.1",
};
const NEEDS_MAP = ["home", "navigation"];
const consumption = () => imperial() ? `${(drive.consumption * 1.609344).toFixed(1)} kWh/100 mi` : `${drive.consumption.toFixed(1)} kWh/100 km`;
const guidance = () => element("div", car.destination ? `${capital(car.destination)} · ${far(drive.remaining)} · ${clock(drive.minutes)}` : "No destination", { className: "panel", id: "guidance" });

function showView() {
  const view = $("view");
  view.className = NEEDS_MAP.includes(car.view) ? "map" : "";
  view.dataset.view = car.view;
  view.replaceChildren(...VIEWS[car.view]().filter(Boolean));
  for (const icon of $("views").children) icon.classList.toggle("on", icon.dataset.view === car.view);
}

function showCar() {
  document.body.className = car.night ? "night" : "day";
  document.body.style.filter = `brightness(${0.6 + 0.4 * (car.brightness / 100)})`;
  $("speed-unit").textContent = imperial() ? "mph" : "km/h";
  const tell = [];
  const lamp = (on, text, warn = false) => on && tell.push(element("span", text, { className: warn ? "warn" : "" }));
  for (const [name, on] of Object.entries(car.lights)) lamp(on, name, name === "hazard lights");
  lamp(car.cruise, `cruise ${car.cruise && speed(car.cruise)}`);
  lamp(car.wipers, "wipers");
  lamp(car.muted, "muted", true);
  lamp(!car.locked, "unlocked", true);
  lamp(Object.values(car.windows).some(Boolean), "window open");
  lamp(car.sunroof, "sunroof open");
  lamp(car.trunk, "trunk open", true);
  lamp(car.charging, "charging");
  lamp(car.defrost.length, "defrost");
  lamp(car.timer, `timer ${(car.timer || "").slice(11, 16)}`);
  lamp(car.mode !== "comfort", car.mode);
  $("telltales").replaceChildren(...tell);
  labels();
  showView();
  showDrive();
}

function showDrive() {
  $("clock").textContent = clock();
  $("outside").textContent = warm(drive.outside);
  $("gear").textContent = drive.gear;
  $("battery").textContent = Math.round(drive.battery);
  $("range").textContent = far(drive.range);
  if ($("guidance")) $("guidance").replaceWith(guidance());
}

// The scales' numbers, where the shader draws the ticks.
function label(dial, texts) {
  for (const old of dial.querySelectorAll("em")) old.remove();
  const { width, height } = dial.getBoundingClientRect();
  const radius = Math.min(width, height) * 0.485 * 0.65;
  texts.forEach((text, i) => {
    const angle = (i / (texts.length - 1)) * 4.712 - 2.36;
    const made = element("em", text);
    made.style.left = `${width / 2 + radius * Math.sin(angle)}px`;
    made.style.top = `${height / 2 - radius * Math.cos(angle)}px`;
    dial.append(made);
  });
}
const fullScale = () => (imperial() ? 120 : 180);
function labels() {
  if (!car) return;
  label($("left"), Array.from({ length: fullScale() / 20 + 1 }, (_, i) => 20 * i));
  label($("right"), Array.from({ length: 11 }, (_, i) => 20 * i - 60).map((kw) => (kw % 40 ? "" : kw)));
}
addEventListener("resize", labels);

let hide = 0;
function showVolume() {
  $("volume").hidden = false;
  $("volume-name").textContent = car.muted ? "Muted" : "Volume";
  $("volume").querySelector(".bar div").style.width = `${car.muted ? 0 : car.volume}%`;
  $("volume").querySelector("b").textContent = car.muted ? "0" : car.volume;
  clearTimeout(hide);
  hide = setTimeout(() => ($("volume").hidden = true), 2500);
}

// ---- the server ----

const TOLD = {
  hello(message) {
    ({ car, drive } = message);
    me = message.name;
    rate = message.rate;
    wait = 250;
    $("lost").hidden = true;
    Object.assign(shown, { x: drive.x, y: drive.y, heading: drive.heading });
    showCar();
    if (listening) send({ type: "microphone", on: true });
  },
  state(message) {
    ({ car, drive } = message);
    showCar();
  },
  drive(message) {
    if (!car) return;
    drive = message.drive;
    if (city) scene.setRoute(message.way.length ? [[drive.x, drive.y], ...message.way.slice(1).map((n) => city.nodes[n])] : []);
    showDrive();
    if (["battery", "trip"].includes(car.view) && !$("view").matches(":active")) showView();
  },
  words(message) {
    $("words").className = "live";
    $("words").textContent = message.text || "…";
    $("reply").textContent = "";
  },
  done(message) {
    $("words").className = "";
    $("words").textContent = message.text;
    $("reply").className = message.understood ? "" : "missed";
    $("reply").textContent = message.reply;
    document.body.dataset.intent = message.intent || "";
    if (message.changed.some((name) => name === "volume" || name === "muted") || /^Volume|^Mute|^Unmute/.test(message.intent || "")) queueMicrotask(() => (volumeDue = true));
  },
  level(message) {
    showLevel(message.level);
  },
  microphone(message) {
    heard = message.on;
    $("microphone").setAttribute("aria-pressed", heard);
  },
  error(message) {
    $("reply").className = "missed";
    $("reply").textContent = message.text;
  },
};
let volumeDue = false;

function showLevel(level) {
  $("level").firstElementChild.style.height = `${Math.min(100, 130 * Math.sqrt(level))}%`;
}

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws${query}`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    TOLD[message.type]?.(message);
    if (message.type === "state" && volumeDue) {
      volumeDue = false;
      showVolume();
    }
  };
  socket.onclose = () => {
    heard = false;
    $("lost").hidden = false;
    setTimeout(connect, wait);
    wait = Math.min(4000, wait * 1.6);
  };
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// ---- the microphone ----

async function openMicrophone() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true } });
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
  let loudest = 0;
  frames.port.onmessage = ({ data }) => {
    loudest = Math.max(loudest * 0.85, data.level * 5);
    showLevel(Math.min(1, loudest));
    if (heard && socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 64000) socket.send(data.pcm);
  };
  source.connect(frames);
  await context.resume();
  return { close() { for (const track of stream.getTracks()) track.stop(); context.close(); showLevel(0); } };
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

$("typed").onsubmit = (event) => {
  event.preventDefault();
  const text = $("command").value.trim();
  if (text) send({ type: "command", text });
  $("command").value = "";
};

// ---- drawing ----

let last = performance.now();
function frame(now) {
  const seconds = Math.min(0.1, (now - last) / 1000);
  last = now;
  if (car && drive) {
    const follow = (name, to, quick) => (shown[name] += (to - shown[name]) * (1 - Math.exp(-seconds * quick)));
    follow("speed", drive.speed, 6);
    follow("power", drive.power, 6);
    follow("x", drive.x, 7);
    follow("y", drive.y, 7);
    follow("zoom", car.zoom, 5);
    const turn = ((drive.heading - shown.heading + Math.PI * 3) % (Math.PI * 2)) - Math.PI;
    shown.heading += turn * (1 - Math.exp(-seconds * 3));
    const told = String(speed(shown.speed));
    if ($("speed").textContent !== told) $("speed").textContent = told;
    const scale = imperial() ? 1.609344 : 1;
    scene.draw({ ...shown, speed: shown.speed / scale, limit: drive.limit / scale, top: fullScale(), night: car.night,
      map: NEEDS_MAP.includes(car.view) ? $("view").getBoundingClientRect() : null,
      left: $("left").getBoundingClientRect(), right: $("right").getBoundingClientRect() });
  }
  requestAnimationFrame(frame);
}

for (const [name, path] of Object.entries(ICONS)) {
  const icon = element("button", "", { title: capital(name), onclick: () => send({ type: "act", intent: name === "help" ? "Help" : name === "navigation" ? "NavigationShow" : "ViewShow", slots: { view: name } }) });
  icon.dataset.view = name;
  icon.innerHTML = `<svg viewBox="0 0 24 24"><path d="${path}"/></svg>`;
  $("views").append(icon);
}
fetch(`/map${query}`).then((answer) => answer.json()).then((map) => scene.setCity((city = map)));
fetch(`/sentences${query}`).then((answer) => answer.json()).then((all) => {
  examples = all;
  $("sentences").append(...Object.values(all).map((text) => element("option", "", { value: text })));
});
connect();
requestAnimationFrame(frame);
