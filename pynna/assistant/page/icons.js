/* SPDX-License-Identifier: Apache-2.0 */
// Line drawings, each in a square of 24.

const PATHS = {
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z", navigation: "M12 3l7 18-7-4-7 4z",
  media: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Zm10-2a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Z",
  climate: "M10 14V5a2 2 0 1 1 4 0v9a4 4 0 1 1-4 0ZM12 9v8", battery: "M3 8h15v9H3zM21 11v3M6 11v3M9.5 11v3M13 11v3",
  phone: "M6 3l3 5-2 2c1 3 4 6 7 7l2-2 5 3c0 2-2 3-4 3C10 20 4 14 3 7c0-2 1-4 3-4Z",
  body: "M3 14l2-1 2-5h9l3 5 2 1v4H3zM7 18v2M17 18v2M6 13h12", trip: "M6 16a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5ZM18 3a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5ZM8.5 18.500H16a3 3 0 0 0 0-6H8a3 3 0 0 1 0-7h7.5",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4", help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM9.5 9.500a2.6 2.6 0 1 1 3.6 2.400c-.8.4-1.1.9-1.1 1.800M12 16.800v.1",
  message: "M4 5h16v11h-9l-5 4v-4H4ZM8 9h8M8 12h5", forward: "M5 12h14M13 6l6 6-6 6", back: "M19 12H5M11 6l-6 6 6 6", up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  camera: "M4 8h4l2-3h4l2 3h4v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7Z",
  microphone: "M12 15a3.5 3.5 0 0 0 3.5-3.5v-5a3.5 3.5 0 1 0-7 0v5A3.5 3.5 0 0 0 12 15Zm6-3.5a6 6 0 0 1-12 0M12 17.5V21",
  play: "M8 5l11 7-11 7z", pause: "M8 5v14M16 5v14", next: "M5 6l9 6-9 6zM18 6v12", previous: "M19 6l-9 6 9 6zM6 6v12",
  shuffle: "M4 17h3l9-10h4M17 4l3 3-3 3M4 7h3l2 2.500M13 14.500l3 2.500h4M17 14l3 3-3 3",
  repeat: "M5 11V9a3 3 0 0 1 3-3h11M16 3l3 3-3 3M19 13v2a3 3 0 0 1-3 3H5M8 21l-3-3 3-3",
  loud: "M4 10v4h4l5 4V6L8 10ZM16 9c1.5 1.5 1.5 4.5 0 6M18.5 6.500c3 3 3 8 0 11", muted: "M4 10v4h4l5 4V6L8 10ZM17 10l4 4M21 10l-4 4",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.500M17.5 17.500L19 19M19 5l-1.5 1.500M6.5 17.500L5 19",
  left: "M17 20v-8a3 3 0 0 0-3-3H5M9 5L5 9l4 4", right: "M7 20v-8a3 3 0 0 1 3-3h9M15 5l4 4-4 4", arrive: "M6 21V4h12l-3 4 3 4H6",
  plus: "M12 5v14M5 12h14", minus: "M5 12h14", charger: "M5 21V4h8v17M3 21h12M13 12h3v5a2 2 0 0 0 4 0V9l-3-3M9.5 8L7.5 12h3l-2 4",
  parking: "M5 4h14v16H5zM10 17V8h3a2.5 2.5 0 0 1 0 5h-3", work: "M4 8h16v11H4zM9 8V5h6v3M4 13h16", end: "M6 6l12 12M18 6L6 18",
  fan: "M12 12c0-4-3-5-3-7a3 3 0 0 1 6 0c0 2-3 3-3 7Zm0 0c3.5 2 5.5.5 7 1.500a3 3 0 0 1-3 5c-1.5-1-1-4-4-6.500Zm0 0c-3.5 2-3 5.5-4.5 6.500a3 3 0 0 1-3-5c1.5-1 4 .5 7.5-1.500Z",
  seat: "M8 4c-1 3 1 6 1 10h8l1 4H8c-2 0-3-9-2-13M12 5c1 1-1 2 0 3M15 5c1 1-1 2 0 3M12 18v3", wheel:
    "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM10 12l-7-1M14 12l7-1M12 14v7",
  "front defrost": "M4 7c5-3 11-3 16 0l-3 8H7ZM9 21c-1-1 1-2 0-3M12 21c-1-1 1-2 0-3M15 21c-1-1 1-2 0-3",
  "rear defrost": "M4 5h16v10H4zM9 21c-1-1 1-2 0-3M12 21c-1-1 1-2 0-3M15 21c-1-1 1-2 0-3",
  headlights: "M13 5c5 0 8 3 8 7s-3 7-8 7c-1.5 0-2-3-2-7s.5-7 2-7ZM8 7l-5 2M8 12l-5 2M8 17l-5 2",
  "high beam": "M13 5c5 0 8 3 8 7s-3 7-8 7c-1.5 0-2-3-2-7s.5-7 2-7ZM8 6H3M8 10H3M8 14H3M8 18H3",
  "fog lights": "M13 5c5 0 8 3 8 7s-3 7-8 7c-1.5 0-2-3-2-7s.5-7 2-7ZM9 7L3 8M8 12l-6 1M9 17l-6 1M5 4c2 3-2 5 0 8s-2 5 0 8",
  "hazard lights": "M12 3l10 17H2ZM12 10l4.5 7.500h-9Z",
  "parking lights": "M9 12a3 3 0 1 1 6 0 3 3 0 0 1-6 0M6 8L3 6M6 12H2M6 16l-3 2M18 8l3-2M18 12h4M18 16l3 2",
  "interior lights": "M9 17c0-3-3-4-3-8a6 6 0 0 1 12 0c0 4-3 5-3 8ZM10 21h4",
  cruise: "M5 18a9 9 0 1 1 14 0M12 13l5-4M12 13v.1M2 9l2 1M3 5l2 2", wipers: "M2 10c6-6 14-6 20 0M12 19L7 9M9 21h6",
  unlocked: "M6 11h12v9H6ZM9 11V7a4 4 0 0 1 7-2", locked: "M6 11h12v9H6ZM8 11V8a4 4 0 0 1 8 0v3",
  window: "M4 19V11l6-6h10v14ZM4 12h16M12 14v4M10 16.500l2 2 2-2", sunroof: "M2 15c3-7 6-8 10-8s7 1 10 8M9 7.500h7l2 3H7ZM2 15h20",
  trunk: "M3 17v-4l3-1 3-4h5v4h6v5ZM14 8l6-5M7 17v2M17 17v2", charging: "M13 3L5 14h6l-1 7 8-11h-6Z",
  timer: "M12 21a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM12 10v4l2 2M10 3h4", lane: "M4 20L8 4M20 20L16 4M12 5v3M12 11v3M12 17v3",
  reminder: "M5 4h14v16H5zM9 9h6M9 13h6", undo: "M9 6L4 11l5 5M4 11h10a5 5 0 0 1 0 10h-3", moon: "M19 14A8 8 0 1 1 10 5a6.5 6.5 0 0 0 9 9Z",
  mirror: "M4 7c5-2 10-2 14 0 1 4-1 9-3 10-3 1-7 0-9-2-2-3-2-5-2-8ZM18 11h4",
};

export function icon(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  made.append(path);
  return made;
}
