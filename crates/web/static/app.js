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
