// What pages do by themselves. Without it they are read, changed and refreshed by pressing; trying a source,
// hearing a voice and the list of devices need it.
"use strict";

// A choice of how to keep up takes effect at once.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// A voice of the list speaks the text above it.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-voice]");
  if (!button) return;
  document.getElementById("voice").value = button.dataset.voice;
  document.querySelector(".preview").requestSubmit();
  document.getElementById("preview").scrollIntoView({ block: "nearest" });
});

// Whether a live page is live.
const conn = document.getElementById("conn");
// Some pages have nothing that lives.
if (conn && !document.querySelector("[hx-sse\\:connect]")) conn.remove();
let lost;
const say = (text, good) => {
  if (!conn) return;
  clearTimeout(lost);
  if (conn.textContent !== text) conn.textContent = text;
  conn.classList.toggle("good", good);
};
document.addEventListener("htmx:sse:after:connection", () => say("Live", true));
document.addEventListener("htmx:sse:after:message", () => say("Live", true));
for (const name of ["htmx:sse:error", "htmx:sse:close"]) {
  document.addEventListener(name, (event) => {
    // Logged out meanwhile: the page loads itself anew, and so comes to the log-in.
    if (String(event.detail?.error?.message ?? "").includes("401")) location.reload();
    say("Connection lost, trying again…", false);
  });
}

// The chart of loads: the last five minutes of this page, one line an engine.
const chart = document.getElementById("chart");
if (chart) {
  const points = 300;
  const lines = new Map();
  const draw = () => {
    for (const row of document.querySelectorAll("[data-load]")) {
      const line = lines.get(row.id) ?? [];
      line.push(Number(row.dataset.load));
      if (line.length > points) line.shift();
      lines.set(row.id, line);
    }
    const name = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(name, "svg");
    svg.setAttribute("viewBox", `0 0 ${points} 104`);
    svg.setAttribute("preserveAspectRatio", "none");
    let number = 0;
    for (const line of lines.values()) {
      const path = document.createElementNS(name, "polyline");
      const from = points - line.length;
      path.setAttribute("points", line.map((load, at) => `${from + at},${102 - load}`).join(" "));
      path.setAttribute("class", `line line-${number++ % 6}`);
      svg.append(path);
    }
    chart.replaceChildren(svg);
  };
  draw();
  setInterval(draw, 1000);
}

// What cannot be taken back is asked for once more.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-confirm]");
  if (button && !confirm(button.dataset.confirm)) event.preventDefault();
});

// The messages of a mailbox: a player above the list, and keys.
const messages = document.getElementById("messages");
if (messages) {
  const api = messages.dataset.api;
  const player = document.getElementById("player");
  const sound = document.getElementById("player-audio");
  const wave = document.getElementById("player-wave");
  const rows = () => [...messages.querySelectorAll("[data-message]")];
  let at = -1;
  let open;
  let peaks = [];

  const draw = () => {
    const [width, height] = [wave.width, wave.height];
    const pen = wave.getContext("2d");
    const style = getComputedStyle(wave);
    pen.clearRect(0, 0, width, height);
    const played = sound.duration ? sound.currentTime / sound.duration : 0;
    const bars = Math.min(peaks.length, width / 3);
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor((bar * peaks.length) / bars);
      const part = peaks.slice(from, Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / bars)));
      const loud = Math.max(2, (Math.max(...part) / 255) * height);
      pen.fillStyle = bar / bars < played ? style.getPropertyValue("--accent") : style.getPropertyValue("--soft");
      pen.fillRect((bar * width) / bars, (height - loud) / 2, Math.max(1, width / bars - 1), loud);
    }
    wave.setAttribute("aria-valuemax", Math.round(sound.duration || 0));
    wave.setAttribute("aria-valuenow", Math.round(sound.currentTime));
  };
  const change = (id, what) =>
    fetch(`${api}/messages/${id}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(what),
    });
  const heard = async (row) => {
    const done = await change(row.dataset.message, { read: true });
    if (!done.ok) return;
    row.classList.remove("unread");
    row.querySelector(".pill.connecting")?.remove();
  };
  const select = (place) => {
    const all = rows();
    if (!all.length) return;
    at = Math.max(0, Math.min(all.length - 1, place));
    for (const row of all) row.removeAttribute("aria-current");
    all[at].setAttribute("aria-current", "true");
    all[at].scrollIntoView({ block: "nearest" });
  };
  const play = async (id) => {
    const row = rows().find((row) => row.dataset.message === id);
    select(rows().indexOf(row));
    const answer = await fetch(`${api}/messages/${id}`);
    const told = await answer.json();
    player.hidden = false;
    open = row;
    const title = document.getElementById("player-title");
    const text = document.getElementById("player-text");
    if (!answer.ok) {
      title.textContent = "This message cannot be played";
      text.textContent = told.error;
      return;
    }
    const from = [told.from.name, told.from.number].filter(Boolean).join(", ") || "unknown";
    title.textContent = `${from}: ${told.message.subject || told.message.kind}`;
    const number = told.attachments.findIndex((one) => one.media_type.startsWith("audio/"));
    text.textContent = [told.text, told.stopped && `The recording ended by: ${told.stopped}`].filter(Boolean).join("\n");
    told.attachments.forEach((one, place) => {
      const link = document.createElement("a");
      link.href = `${api}/messages/${id}/attachments/${place}`;
      link.textContent = `Save ${one.title || one.media_type}`;
      text.append(" ", link);
    });
    const has = number >= 0;
    sound.hidden = wave.hidden = !has;
    if (!has) {
      sound.pause();
      sound.removeAttribute("src");
      return heard(row);
    }
    peaks = told.attachments[number].peaks;
    sound.src = `${api}/messages/${id}/audio`;
    sound.playbackRate = Number(document.getElementById("player-rate").value);
    draw();
    sound.play().catch(() => {});
  };

  sound.addEventListener("timeupdate", draw);
  sound.addEventListener("loadedmetadata", draw);
  sound.addEventListener("ended", () => open && heard(open));
  sound.addEventListener("error", () => {
    if (sound.getAttribute("src")) document.getElementById("player-title").textContent = "This message cannot be played";
  });
  document.getElementById("player-rate").addEventListener("change", (event) => {
    sound.playbackRate = Number(event.target.value);
  });
  wave.addEventListener("click", (event) => {
    if (sound.duration) sound.currentTime = (event.offsetX / wave.clientWidth) * sound.duration;
  });
  document.getElementById("all").addEventListener("click", () => {
    const boxes = [...messages.querySelectorAll("input[name=id]")];
    const on = boxes.some((box) => !box.checked);
    for (const box of boxes) box.checked = on;
  });
  messages.addEventListener("click", (event) => {
    const button = event.target.closest("[data-play]");
    if (button) play(button.dataset.play);
  });
  const seek = (seconds) => {
    if (sound.duration) sound.currentTime = Math.max(0, Math.min(sound.duration, sound.currentTime + seconds));
  };
  const move = async (folder) => {
    const row = rows()[at];
    if (!row) return;
    const done = await change(row.dataset.message, folder);
    if (!done.ok) return;
    if (folder.folder) {
      row.remove();
      select(at);
    } else {
      row.classList.add("unread");
    }
  };
  const keys = {
    j: () => select(at + 1),
    k: () => select(at - 1),
    Enter: () => rows()[at] && play(rows()[at].dataset.message),
    " ": () => (sound.paused ? sound.play().catch(() => {}) : sound.pause()),
    ArrowLeft: () => seek(-5),
    ArrowRight: () => seek(5),
    x: () => {
      const box = rows()[at]?.querySelector("input");
      if (box) box.checked = !box.checked;
    },
    s: () => move({ folder: "saved" }),
    d: () => move({ folder: "deleted" }),
    u: () => move({ read: false }),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    // Who types, or stands on a button or a link, means that.
    if (event.target.closest("input, textarea, select, button, a, audio")) return;
    const deed = keys[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  });

  const news = new EventSource(`${api}/events`);
  news.addEventListener("added", () => (document.getElementById("news").hidden = false));
}
