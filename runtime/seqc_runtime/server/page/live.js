// Two minutes of what the server counts, once a second.

const KEPT = 120;
const history = [];
let before = null;

function noteLive(now) {
  if (before && now.time > before.time) {
    const past = new Map(before.models.map((model) => [`${model.name}/${model.version}`, model]));
    const counts = new Array(now.bounds_us.length + 1).fill(0);
    let requests = 0;
    for (const model of now.models) {
      const old = past.get(`${model.name}/${model.version}`);
      requests += model.count + model.failures - (old ? old.count + old.failures : 0);
      model.buckets.forEach((n, i) => { counts[i] += n - (old ? old.buckets[i] : 0); });
    }
    history.push({
      rate: Math.max(0, requests) / (now.time - before.time),
      p50: quantile(counts, now.bounds_us, 0.5),
      p99: quantile(counts, now.bounds_us, 0.99),
    });
    if (history.length > KEPT) history.shift();
    draw();
  }
  before = now;
  showCounts(now.models);
}

function draw() {
  const last = history[history.length - 1];
  document.getElementById("now-rate").textContent = last.rate.toFixed(last.rate < 10 ? 1 : 0);
  document.getElementById("now-latency").textContent = last.p50 === null ? "-" : `${timeText(last.p50)} / ${timeText(last.p99)}`;
  plot("chart-rate", { rate: history.map((h) => h.rate) });
  plot("chart-latency", { p50: history.map((h) => h.p50), p99: history.map((h) => h.p99) });
}

function timeText(us) {
  return us < 1000 ? `${us.toFixed(0)} µs` : us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

function plot(id, lines) {
  const svg = document.getElementById(id);
  const top = Math.max(1e-9, ...Object.values(lines).flat().filter((value) => value !== null));
  const paths = Object.entries(lines).map(([name, values]) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    let pen = "M";
    const start = KEPT - values.length;
    path.setAttribute("d", values.map((value, i) => {
      if (value === null) { pen = "M"; return ""; }
      const step = `${pen}${(((start + i) * 300) / (KEPT - 1)).toFixed(1)} ${(86 - (80 * value) / top).toFixed(1)}`;
      pen = "L";
      return step;
    }).join(""));
    return path;
  });
  svg.replaceChildren(...paths);
}

function showCounts(models) {
  document.querySelector("#counts tbody").replaceChildren(...models.map((model) => element("tr", {}, ...[
    model.name, model.version, model.count, model.failures, model.runs ? (model.rows / model.runs).toFixed(1) : "-", model.waiting,
  ].map((text) => element("td", { textContent: text })))));
}
