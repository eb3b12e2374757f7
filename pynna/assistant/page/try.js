/* SPDX-License-Identifier: Apache-2.0 */
// A sentence file is pasted, something is said or typed, and what became of it is shown.

import "/page/histogram.js";

const $ = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token");
const query = token ? `?token=${encodeURIComponent(token)}` : "";
const tried = []; // { name, text, confidence } of each recording so far
let threshold = null;
let known = null;

const h = (tag, props, ...content) => {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...content);
  return made;
};
const say = (text) => Object.assign($("error"), { textContent: text, hidden: !text });

async function ask(question) {
  document.body.ariaBusy = true;
  try {
    const body = JSON.stringify({ sentences: $("sentences").value, threshold, ...question });
    const answer = await fetch(`/try${query}`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
    const told = await answer.json();
    say(told.error ?? "");
    if (!told.error) show(told);
    return told.error ? null : told;
  } catch (error) {
    say(`The server does not answer: ${error.message}`);
    return null;
  } finally {
    document.body.ariaBusy = false;
    document.body.dataset.asked = Number(document.body.dataset.asked ?? 0) + 1;
  }
}

const meaning = (intent, slots) => `${intent}${Object.entries(slots).map(([name, value]) => ` ${name}=${value}`).join("")}`;

function facts(rows) {
  $("facts").replaceChildren(...rows.filter(Boolean).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
}

function show({ intents, sentences, states, notes, picture, parse, why, seconds }) {
  const n = intents.length;
  $("size").textContent = [`${n} intent${n === 1 ? "" : "s"}, ${sentences} sentence${sentences === "1" ? "" : "s"}, ${states} states`, ...notes].join(" · ");
  const drawn = new DOMParser().parseFromString(picture, "image/svg+xml").documentElement;
  $("picture").replaceChildren(document.importNode(drawn, true));
  if (parse !== undefined) {
    $("reason").textContent = parse ? meaning(parse.intent, parse.slots) : "This is no sentence of the file";
    $("reason").className = parse ? "yes" : "no";
    facts([parse?.reply && ["Reply", parse.reply]]);
    $("time").replaceChildren();
  } else if (why) showWhy(why, seconds);
  $("why").hidden = parse === undefined && !why;
  $("hint").hidden = !$("why").hidden;
  $("time").hidden = !why;
}

function showWhy(why, seconds) {
  $("reason").textContent = why.reason[0].toUpperCase() + why.reason.slice(1);
  $("reason").className = why.accepted ? "yes" : "no";
  const at = (from, to) => `${from.toFixed(2)} to ${to.toFixed(2)} s`;
  facts([
    ["Heard freely", why.heard || "(nothing)"],
    ["Nearest", `${why.sentence || "(nothing)"}${why.intent ? `  [${meaning(why.intent, why.slots)}]` : ""}`],
    ["Confidence", `${why.confidence.toFixed(3)}, accepted from ${why.threshold.toFixed(2)}`],
    ...why.others.map(([text, confidence]) => ["Or", `${text}  ${confidence.toFixed(3)}`]),
    ...why.differences.map((part) => [at(part.start, part.end), `“${part.heard || "–"}”, not “${part.sentence || "–"}”`]),
    ["Speech", why.speech.map(([from, to]) => at(from, to)).join(", ") || "none"],
    ["Level", `${why.level.toFixed(0)} dB, noise ${why.noise.toFixed(0)} dB`],
    ...why.remarks.map((text) => ["Note", text]),
  ]);
  const mark = (tag, from, to, title) => h(tag, { title, style: `left: ${(100 * from) / seconds}%; width: ${(100 * (to - from)) / seconds}%` });
  $("time").replaceChildren(h("span", {}, `${seconds.toFixed(1)} s`), ...why.speech.map(([from, to]) => mark("i", from, to, "speech")),
    ...why.differences.map((part) => mark("b", part.start, part.end, `${part.heard} / ${part.sentence}`)));
}

async function hear(name, question) {
  const told = await ask(question);
  if (!told) return;
  tried.push({ name, text: told.why.sentence, confidence: told.why.confidence });
  threshold ??= told.why.threshold;
  globalThis.histogram($("bars"), tried, threshold, (at) => (threshold = at));
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}

// ---- what is clicked ----

$("recording").onchange = async ({ target }) => {
  const [file] = target.files;
  if (file) await hear(file.name, { file: base64(new Uint8Array(await file.arrayBuffer())) });
  target.value = "";
};
$("open").onchange = async ({ target }) => {
  const [file] = target.files;
  if (file) $("sentences").value = await file.text();
  target.value = "";
  await ask({});
};
$("known").onchange = ({ target }) => target.value && hear(target.value, { recording: target.value });
$("typed").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) ask({ text });
};
for (const name of ["example", "car"]) $(name).onclick = () => {
  $("sentences").value = known[name];
  ask({});
};
$("sentences").onchange = () => ask({});

let microphone = null;
$("speak").onclick = async () => {
  if (microphone) {
    const { parts, close } = microphone;
    microphone = null;
    close();
    $("speak").ariaPressed = false;
    $("speak").textContent = "Speak";
    const bytes = new Uint8Array(parts.reduce((n, part) => n + part.byteLength, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(new Uint8Array(part), at);
      at += part.byteLength;
    }
    if (bytes.length) await hear("microphone", { pcm: base64(bytes) });
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true } });
    const context = new AudioContext({ sampleRate: known.rate });
    await context.audioWorklet.addModule("/page/microphone-worklet.js");
    const frames = new AudioWorkletNode(context, "frames", { numberOfOutputs: 0, processorOptions: { rate: known.rate } });
    const parts = [];
    frames.port.onmessage = ({ data }) => {
      parts.push(data.pcm);
      if (parts.length === 900) $("speak").click(); // 18 seconds are enough
    };
    context.createMediaStreamSource(stream).connect(frames);
    await context.resume();
    microphone = { parts, close() { for (const track of stream.getTracks()) track.stop(); context.close(); } };
    $("speak").ariaPressed = true;
    $("speak").textContent = "Done";
  } catch (error) {
    say(navigator.mediaDevices ? `The microphone: ${error.message}` : "A microphone needs https, or localhost");
  }
};

$("back").href = `/${query}`;
fetch(`/try/known${query}`).then((answer) => answer.json()).then((told) => {
  known = told;
  $("sentences").value ||= told.example;
  $("known").append(...told.recordings.map((value) => h("option", { value }, value.replaceAll("_", " "))));
  ask({});
});
