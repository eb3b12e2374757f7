/* SPDX-License-Identifier: Apache-2.0 */
// The views in the middle: what the car is like, and a button for all that can be said.

import { icon } from "/page/icons.js";

let car, drive, told, send; // told: what the server tells besides: playing, tires, examples, lists
let live = []; // what changes while a view is shown

// ---- words and units ----

export const imperial = () => car.units === "imperial";
export const speed = (v) => Math.round(imperial() ? v / 1.609344 : v);
export const far = (km) => {
  const d = imperial() ? km / 1.609344 : km;
  return `${d < 10 ? d.toFixed(1) : Math.round(d)} ${imperial() ? "mi" : "km"}`;
};
const near = (m) => m > 950 ? far(m / 1000) : imperial() ? `${Math.round((m * 1.0936) / 10) * 10} yd` : `${Math.round(m / 10) * 10} m`;
export const warm = (c) => {
  const fahrenheit = car.degrees === "fahrenheit";
  return `${(fahrenheit ? Math.round(c * 18 + 320) / 10 : Math.round(c * 10) / 10).toFixed(1).replace(".0", "")}°`;
};
export const clock = (minutes = 0) =>
  new Date(Date.now() + minutes * 60000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const SMALL = ["home", "work", "school", "mom", "mum", "dad"];
export const named = (name) => name === "usb" ? "USB" : SMALL.includes(name) || /^(the|my) /.test(name)
  ? name.charAt(0).toUpperCase() + name.slice(1) : name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
const consumption = () => imperial() ? `${(drive.consumption * 1.609344).toFixed(1)} kWh/100 mi` : `${drive.consumption.toFixed(1)} kWh/100 km`;

// ---- building blocks ----

export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return made;
}
const div = (className, ...children) => h("div", { className }, ...children);
const act = (intent, slots = {}) => () => send({ type: "act", intent, slots });

// A text that follows the car without the view being built anew.
function follow(text, tag = "span", className = "") {
  const made = h(tag, { className });
  const update = () => { const now = text(); if (made.textContent !== now) made.textContent = now; };
  live.push(update);
  update();
  return made;
}

// A button: what it says or its icon, what it does, and whether that is on.
function button(content, intent, slots = {}, { on, title, className = "" } = {}) {
  const named_ = Array.isArray(content) ? content : [content];
  const made = h("button", { className, onclick: act(intent, slots) }, named_.map((part) => part.svg ? icon(part.svg) : h("span", {}, part)));
  if (on !== undefined) made.setAttribute("aria-pressed", on);
  if (title) made.title = made.ariaLabel = title;
  return made;
}
const svg = (name) => ({ svg: name });
const buttons = (...all) => div("buttons", all);
const segments = (...all) => div("buttons segments", all);
const toggle = (content, intent, slots, on, title) => button(content, intent, { ...slots, state: on ? "off" : "on" }, { on, title });
const fact = (name, value) => div("fact", h("small", {}, name), h("span", {}, follow(() => value().split(" ")[0], "b"), follow(() => ` ${value().split(" ").slice(1).join(" ")}`, "small")));
const stepper = (less, value, more) => div("stepper buttons", less, value, more);
const minus = (intent, slots, title) => button(svg("minus"), intent, slots, { title, className: "round" });
const plus = (intent, slots, title) => button(svg("plus"), intent, slots, { title, className: "round" });

function choice(title, values, chosen, intent, slot) {
  const options = [h("option", { value: "", textContent: title }), ...values.map((value) => h("option", { value, textContent: named(value) }))];
  const made = h("select", { ariaLabel: title, onchange: () => made.value && act(intent, { [slot]: made.value })() }, options);
  made.value = values.includes(chosen) ? chosen : "";
  return made;
}

function slider(title, value, most, intent, slot, least = 0) {
  const made = h("input", { type: "range", min: least, max: most, value, title, ariaLabel: title });
  made.style.setProperty("--share", `${((value - least) / (most - least)) * 100}%`);
  made.oninput = () => made.style.setProperty("--share", `${((made.value - least) / (most - least)) * 100}%`);
  made.onchange = () => act(intent, { [slot]: Number(made.value) })();
  return made;
}

// ---- the views ----

const TURNS = { left: "Turn left", right: "Turn right", arrive: "Destination" };
function guidance() {
  if (!car.destination) return div("card guide", icon("navigation"), div("grow", h("b", {}, "No destination"), h("small", {}, "Say “take me to the airport”")));
  const sign = h("span", { className: "sign" });
  live.push(() => { if (sign.dataset.turn !== drive.turn) { sign.dataset.turn = drive.turn; sign.replaceChildren(icon(drive.turn || "navigation")); } });
  live.at(-1)();
  return div("card guide", sign, div("grow", follow(() => near(drive.turn_in), "b"), follow(() => TURNS[drive.turn] ?? "", "small")),
    div("right", h("b", {}, named(car.destination)), follow(() => `${far(drive.remaining)} · ${clock(drive.minutes)}`, "small")),
    button(svg("end"), "NavigationStop", {}, { title: "End the guidance", className: "round" }));
}

// What is on: its name, and where it comes from.
function onAir() {
  const [title, more] = told.playing.split(", ");
  const source = car.playing ? named(car.source) : "Paused";
  return [h("b", {}, title), h("small", {}, more ? `${source} · ${more}${car.source === "radio" ? " FM" : ""}` : source)];
}

function nowPlaying() {
  const title = told.playing;
  const hue = [...title].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 360;
  const cover = div("cover", icon("media"));
  cover.style.background = `linear-gradient(135deg, hsl(${hue} 62% 48%), hsl(${(hue + 70) % 360} 62% 26%))`;
  return cover;
}
const playPause = () => car.playing ? button(svg("pause"), "MediaPause", {}, { title: "Pause", className: "round big" })
  : button(svg("play"), "MediaPlay", {}, { title: "Play", className: "round big" });

function seatsAndGlass() {
  const seats = Object.entries(car.seat_heating).map(([seat, on]) => toggle([svg("seat"), named(seat)], "SeatHeating", { seat }, on, `${named(seat)} seat heating`));
  return div("pairs", h("small", {}, "Heat"), buttons(seats, toggle([svg("wheel"), "Wheel"], "SteeringWheelHeating", {}, car.wheel_heating, "Steering wheel heating")),
    h("small", {}, "Defrost"), div("row", buttons(["front", "rear"].map((place) => toggle([svg(`${place} defrost`), named(place)], "Defrost", { window_place: place }, car.defrost.includes(place), `${named(place)} defroster`))),
      div("fill"), follow(() => `${warm(drive.outside)} outside`, "small")));
}

function call() {
  const who = car.ringing ? car.last_call : car.call;
  return div("card call", div("avatar big", initials(who)), div("grow", h("b", {}, named(who)), h("small", {}, car.ringing ? "is calling" : "in a call")),
    buttons(car.ringing && button([svg("phone"), "Answer"], "CallAnswer", {}, { className: "good" }),
      button([svg("end"), car.ringing ? "Decline" : "Hang up"], "CallEnd", {}, { className: "bad" })));
}
const initials = (name) => named(name).replace(/^(The|My) /, "").split(" ").map((word) => word[0].toUpperCase()).slice(0, 2).join("");

// The car from above, its front to the right; what is open or on is drawn in colour.
function above() {
  const SVG = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 320 150");
  made.setAttribute("class", "above");
  made.innerHTML = '<linearGradient id="beam"><stop stop-color="#ffd76a" stop-opacity=".75"/><stop offset="1" stop-color="#ffd76a" stop-opacity="0"/></linearGradient>';
  const draw = (d, className, title, onclick) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    path.setAttribute("class", className);
    if (title) path.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: title }));
    if (onclick) {
      path.onclick = onclick;
      path.onkeydown = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); onclick(); } };
      for (const [name, value] of Object.entries({ role: "button", tabindex: 0, "aria-label": title })) path.setAttribute(name, value);
    }
    made.append(path);
  };
  const beam = car.lights.headlights || car.lights["high beam"];
  if (beam) draw("M272 48L320 22V66ZM272 102L320 128V84Z", "beam");
  if (car.lights["fog lights"]) draw("M274 56L306 50V62ZM274 94L306 100V88Z", "beam");
  draw("M46 36q-14 2-14 39t14 39q60 8 130 6q60-2 88-12q16-6 16-33t-16-33q-28-10-88-12q-70-2-130 6Z", "shell");
  draw("M92 46l-16-6q-8 35 0 70l16-6q-6-29 0-58ZM196 44l34-6q12 37 0 74l-34-6q6-31 0-62Z", `glass ${car.defrost.length ? "on" : ""}`);
  draw("M98 46h92q6 29 0 58h-92q-6-29 0-58Z", `roof ${car.lights["interior lights"] ? "lit" : ""}`);
  draw("M118 56h46q4 19 0 38h-46Z", car.sunroof ? "open" : "glass", "Sunroof", act(car.sunroof ? "SunroofClose" : "SunroofOpen"));
  const windows = { "front left": "M152 38h38", "rear left": "M100 38h42", "front right": "M152 112h38", "rear right": "M100 112h42" };
  for (const [name, d] of Object.entries(windows)) {
    const open = car.windows[name];
    draw(d, `window ${open ? "open" : ""}`, `${named(name)} window ${open ? `open, ${open} %` : "closed"}`, act(open ? "WindowClose" : "WindowOpen", { window_place: name }));
  }
  draw("M40 46q-6 29 0 58", `window ${car.trunk ? "open" : ""}`, "Trunk", act(car.trunk ? "TrunkClose" : "TrunkOpen"));
  draw(car.mirrors === "folded" ? "M214 30l8 4M214 120l8-4" : "M212 34l4-14 8 0M212 116l4 14 8 0", "line");
  if (car.lights["hazard lights"]) draw("M268 40l8 6M268 110l8-6M38 40l-6 5M38 110l-6-5", "window open blink");
  const bar = (x, y, value) => {
    const text = document.createElementNS(SVG, "text");
    text.setAttribute("x", x);
    text.setAttribute("y", y);
    text.textContent = imperial() ? `${Math.round(value * 14.504)} psi` : `${value.toFixed(1)} bar`;
    made.append(text);
  };
  const [fl, fr, rl, rr] = told.tires;
  bar(258, 20, fl), bar(258, 144, fr), bar(66, 20, rl), bar(66, 144, rr);
  return made;
}

function rearCamera() {
  const made = div("lens");
  made.innerHTML = `<svg viewBox="0 0 400 220" preserveAspectRatio="xMidYMax slice"><path class="sky" d="M0 0h400v70H0Z"/><path class="road" d="M0 70h400v150H0Z"/>
    <path class="wall" d="M60 40h70v45H60ZM150 52h50v30h-50ZM250 36h90v50h-90Z"/><path class="kerb" d="M0 120L120 74M400 120L280 74"/>
    <path class="safe" d="M120 96L142 78H258L280 96"/><path class="care" d="M84 132L120 96M316 132L280 96M84 132H316"/><path class="stop" d="M40 190L84 132M360 190L316 132M40 190H360"/></svg>`;
  return made;
}

const MODES = ["eco", "comfort", "sport", "snow"];
const VIEWS = {
  home: () => [car.call || car.ringing ? call() : car.destination ? guidance() : null, div("fill"),
    div("cards", div("card glance", h("button", { className: "plain", title: "Media", onclick: open("media") }, nowPlaying(), div("grow", onAir())), playPause()),
      div("card glance", h("button", { className: "plain", title: "Climate", onclick: open("climate") }, icon("climate"), div("grow", h("b", {}, warm(car.temperature.driver)), h("small", {}, car.climate ? `Fan ${car.fan}` : "Off")))))],
  navigation: () => [guidance(), div("fill zoom", buttons(plus("ZoomIn", {}, "Zoom in"), minus("ZoomOut", {}, "Zoom out"))),
    div("buttons quick", button([svg("home"), "Home"], "RouteTo", { place: "home" }, { title: "Home" }), button([svg("work"), "Work"], "RouteTo", { place: "work" }, { title: "Work" }),
      button([svg("charger"), "Charger"], "ChargingStationFind", {}, { title: "Find a charger" }), button([svg("parking"), "Parking"], "ParkingFind", {}, { title: "Find parking" }),
      choice("Go to …", told.lists.place ?? [], car.destination, "RouteTo", "place"))],
  media: () => [div("card track", nowPlaying(), div("grow", onAir(),
      buttons(button(svg("previous"), "MediaPrevious", {}, { title: "Previous", className: "round" }), playPause(),
        button(svg("next"), "MediaNext", {}, { title: "Next", className: "round" }),
        toggle(svg("shuffle"), "MediaShuffle", {}, car.shuffle, "Shuffle"), button(svg("repeat"), "MediaRepeat", {}, { on: car.repeat, title: "Repeat" })))),
    div("row", car.muted ? button(svg("muted"), "Unmute", {}, { on: true, title: "Unmute" }) : button(svg("loud"), "Mute", {}, { title: "Mute" }), slider("Volume", car.volume, 100, "VolumeSet", "level"), h("b", { className: "number" }, car.muted ? "0" : String(car.volume))),
    buttons(segments(["radio", "bluetooth", "usb", "phone"].map((source) => button(named(source), source === "radio" ? "RadioOn" : "SourceSet", source === "radio" ? {} : { source }, { on: car.source === source }))),
      car.source === "radio" ? choice("Station …", told.lists.station ?? [], car.station, "RadioTune", "station") : choice("Genre …", told.lists.genre ?? [], car.genre, "MediaPlay", "genre"))],
  climate: () => [div("cards", Object.entries(car.temperature).map(([zone, t]) => div("card zone", h("small", {}, named(zone)), h("b", {}, warm(t)),
      buttons(minus("TemperatureDown", { zone }, `${named(zone)} cooler`), plus("TemperatureUp", { zone }, `${named(zone)} warmer`))))),
    div("row", toggle(svg("fan"), "AirConditioning", {}, car.climate, "Climate"), slider("Fan", car.climate ? car.fan : 0, 9, "FanSpeed", "level"), h("b", { className: "number" }, car.climate ? String(car.fan) : "off")),
    seatsAndGlass()],
  battery: () => {
    const fill = div("charge");
    live.push(() => (fill.style.width = `${drive.battery}%`));
    live.at(-1)();
    const limit = div("mark");
    limit.style.left = `${car.charge_limit}%`;
    limit.title = `Charging up to ${car.charge_limit} %`;
    const power = () => `${Math.round(drive.power)} kW`;
    return [div("accumulator", fill, limit, follow(() => `${Math.round(drive.battery)} %`, "b")),
      div("cards", fact("Range", () => far(drive.range)), fact(car.charging ? "Charging" : "Power", power), fact("Consumption", consumption)),
      buttons(car.charging ? button([svg("charging"), "Stop charging"], "ChargingStop", {}, { on: true }) : button([svg("charging"), "Charge"], "ChargingStart"),
        stepper(minus("ChargingLimit", { level: car.charge_limit - 5 }, "Charge less"), h("span", {}, `up to ${car.charge_limit} %`), plus("ChargingLimit", { level: car.charge_limit + 5 }, "Charge more")),
        button([svg("charger"), "Find a charger"], "ChargingStationFind"))];
  },
  phone: () => [car.call || car.ringing ? call() : null, div("contacts", (told.lists.contact ?? []).map((contact) => div("contact buttons",
      button([initials(contact), named(contact)], "Call", { contact }, { title: `Call ${named(contact)}` }), button(svg("message"), "MessageSend", { contact }, { title: `Text ${named(contact)}`, className: "round" })))),
    buttons(button([svg("phone"), car.last_call ? `Redial ${named(car.last_call)}` : "Redial"], "CallRedial"), button([svg("message"), "Messages"], "MessageRead"))],
  body: () => [div("row split", above(), div("side",
      buttons(car.locked ? button([svg("locked"), "Unlock"], "DoorsUnlock") : button([svg("unlocked"), "Lock"], "DoorsLock", {}, { className: "warn" }),
        car.trunk ? button([svg("trunk"), "Close trunk"], "TrunkClose", {}, { className: "warn" }) : button([svg("trunk"), "Open trunk"], "TrunkOpen"),
        button([svg("mirror"), car.mirrors === "folded" ? "Unfold mirrors" : "Fold mirrors"], "MirrorsFold", { change: car.mirrors === "folded" ? "unfold" : "fold" }, { title: "Mirrors" }),
        Object.values(car.windows).some(Boolean) ? button([svg("window"), "Close windows"], "WindowClose", { window_place: "all" }, { title: "Close all windows", className: "warn" })
          : button([svg("window"), "Open windows"], "WindowOpen", { window_place: "all" }, { title: "Open all windows" })))),
    buttons(Object.entries(car.lights).map(([light, on]) => toggle(svg(light), "LightsSet", { light }, on, named(light))),
      toggle(svg("wipers"), "WipersSet", {}, car.wipers, "Wipers")),
    buttons(h("small", {}, "Seat"), segments(["forward", "back", "up", "down"].map((direction) => button(svg(direction), "SeatMove", { direction }, { title: `Seat ${direction}` }))),
      car.wipers && stepper(minus("WipersSet", { change: "slower" }, "Wipers slower"), h("span", {}, `${car.wiper_speed}`), plus("WipersSet", { change: "faster" }, "Wipers faster")))],
  camera: () => [h("h1", {}, `${named(car.camera)} camera`, h("small", {}, " simulated")), rearCamera(),
    segments(["rear", "front"].map((camera) => button(named(camera), "CameraShow", { camera }, { on: car.camera === camera })))],
  settings: () => [
    div("pairs", h("small", {}, "Mode"), segments(MODES.map((mode) => button(named(mode), "ModeSet", { mode }, { on: car.mode === mode }))),
      h("small", {}, "Cruise"), buttons(car.cruise ? button([svg("cruise"), "Off"], "CruiseOff", {}, { on: true, title: "Cruise control off" }) : button([svg("cruise"), "On"], "CruiseSet", {}, { title: "Cruise control on" }),
        car.cruise && stepper(minus("CruiseSet", { change: -5 }, "Slower"), h("span", {}, `${speed(car.cruise)}`), plus("CruiseSet", { change: 5 }, "Faster"))),
      h("small", {}, "Drive"), buttons(toggle([svg("lane"), "Lane assist"], "LaneAssist", {}, car.lane_assist), car.engine ? button("Motor off", "EngineStop") : button("Motor on", "EngineStart", {}, { className: "warn" }),
        button([svg("camera"), "Camera"], "CameraShow", { camera: "rear" }, { title: "Rear camera" })),
      h("small", {}, "Display"), div("buttons", segments(button([svg("sun"), "Day"], "NightMode", { theme: "day" }, { on: !car.night }), button([svg("moon"), "Night"], "NightMode", { theme: "night" }, { on: car.night })),
        slider("Brightness", car.brightness, 100, "BrightnessSet", "level", 10)),
      h("small", {}, "Units"), div("buttons", segments(button("km", "UnitsSet", { units: "metric" }, { on: !imperial() }), button("miles", "UnitsSet", { units: "imperial" }, { on: imperial() })),
        segments(["celsius", "fahrenheit"].map((units) => button(`°${units[0].toUpperCase()}`, "UnitsSet", { units }, { on: car.degrees === units, title: named(units) })))),
      h("small", {}, "Timer"), buttons([5, 10, 30].map((minutes) => button(`${minutes} min`, "TimerSet", { minutes })), car.timer && button([svg("end"), car.timer.slice(11, 16)], "TimerCancel", {}, { title: "Cancel the timer" })))],
  trip: () => [div("cards halves", fact("Trip", () => far(drive.trip)), fact("Consumption", consumption), fact("Odometer", () => far(drive.odometer)), fact("Limit here", () => `${speed(drive.limit)} ${imperial() ? "mph" : "km/h"}`)),
    buttons(button([svg("repeat"), "Reset the trip"], "TripReset"), button([svg("navigation"), "Where am I"], "PositionTell"))],
  help: () => [div("scroll", h("a", { href: `/try${location.search}` }, "Try a sentence file of your own"), div("said", Object.entries(told.examples).map(([family, texts]) => div("family", h("h2", {}, family), buttons(texts.map((text) => h("button", { onclick: () => send({ type: "command", text }) }, text)))))))],
};
export const TABS = { home: "Home", navigation: "Map", media: "Media", climate: "Climate", battery: "Battery", phone: "Phone", body: "Car", settings: "Settings",
  trip: "Trip", help: "Help" };
export const open = (view) => act(...({ help: ["Help"], navigation: ["NavigationShow"] }[view] ?? ["ViewShow", { view }]));
export const ON_THE_MAP = ["home", "navigation"];

// Hands the views what they show; `sender` sends a message to the server.
export function know(state, sender) {
  ({ car, drive, ...told } = state);
  send = sender;
}

const REACHED = "button, select, input, [tabindex]";
export function show(into) {
  live = [];
  const at = [...into.querySelectorAll(REACHED)].indexOf(document.activeElement); // of the keyboard
  const scrolled = into.dataset.view === car.view ? [...into.children].map((child) => child.scrollTop) : [];
  into.className = ON_THE_MAP.includes(car.view) ? "map" : "";
  into.dataset.view = car.view;
  into.replaceChildren(...VIEWS[car.view]().filter(Boolean));
  [...into.children].forEach((child, i) => (child.scrollTop = scrolled[i] ?? 0));
  if (at >= 0) [...into.querySelectorAll(REACHED)][at]?.focus();
}

export function refresh() {
  for (const update of live) update();
}
