// Two minutes of what the server counts, about once a second.

const SPAN = 120;
// Nothing is known of a time in which this page did not ask: it leaves a gap. A busy server answers late.
const LONGEST_STEP = 15;
let history = [];
let before = null;

function noteLive(now) {
  const step = before ? difference(before, now) : null;
  before = now;
  history = history.filter((h) => now.time - h.time <= SPAN && h.time <= now.time);
  if (step) {
    history.push(step);
    drawCharts(step);
  }
  showCounts(now.models);
}

// What happened between two looks; null when they do not follow each other: the server began anew, or much time went by.
function difference(old, now) {
  const seconds = now.time - old.time;
  if (!(seconds > 0) || seconds > LONGEST_STEP) return null;
  const past = new Map(old.models.map((model) => [`${model.name}/${model.version}`, model]));
  const counts = new Array(now.bounds_us.length).fill(0);
  let requests = 0;
  for (const model of now.models) {
    const earlier = past.get(`${model.name}/${model.version}`);
    requests += model.count + model.failures - (earlier ? earlier.count + earlier.failures : 0);
    model.buckets.forEach((n, i) => { counts[i] += n - (earlier ? earlier.buckets[i] : 0); });
  }
  if (requests < 0 || counts.some((n) => n < 0)) return null;
  return { time: now.time, rate: requests / seconds, p50: quantile(counts, now.bounds_us, 0.5), p99: quantile(counts, now.bounds_us, 0.99) };
}

// The value below which a share of the counted requests lies; `bounds` are the upper ends of the buckets.
function quantile(counts, bounds, share) {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  let left = share * total;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] >= left && counts[i] > 0) {
      const lower = i === 0 ? 0 : bounds[i - 1];
      return lower + (bounds[i] - lower) * (left / counts[i]);
    }
    left -= counts[i];
  }
  return bounds[bounds.length - 1];
}

function drawCharts(last) {
  const rate = (value) => value.toFixed(value < 10 ? 1 : 0);
  const latency = last.p50 === null ? "-" : `${timeText(last.p50)} / ${timeText(last.p99)}`;
  document.getElementById("now-rate").textContent = rate(last.rate);
  document.getElementById("now-latency").textContent = latency;
  plot("rate", ["rate"], last.time, "requests per second", rate(last.rate), rate);
  plot("latency", ["p50", "p99"], last.time, "latency, p50 and p99", latency, timeText);
}

function timeText(us) {
  return us < 1000 ? `${us.toFixed(0)} µs` : us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

function plot(id, names, end, title, now, text) {
  const svg = document.getElementById(`chart-${id}`);
  const most = Math.max(0, ...names.flatMap((name) => history.map((h) => h[name])).filter((value) => value !== null));
  svg.replaceChildren(...names.map((name) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    path.setAttribute("d", line(name, end, most));
    return path;
  }));
  const top = most > 0 ? `top ${text(most)}` : "";
  document.getElementById(`top-${id}`).textContent = top;
  svg.setAttribute("aria-label", `${title} over the last two minutes: now ${now}${top ? `, ${top}` : ""}`);
}

function line(name, end, most) {
  let last = null;
  return history.map((h) => {
    if (h[name] === null) { last = null; return ""; }
    const at = `${(298 - (298 * (end - h.time)) / SPAN).toFixed(1)} ${(86 - (80 * h[name]) / (most || 1)).toFixed(1)}`;
    const joined = last !== null && h.time - last <= LONGEST_STEP;
    last = h.time;
    // A point alone is a short line, so that it is seen.
    return joined ? `L${at}` : `M${at}h2`;
  }).join("");
}

let counted = "";

function showCounts(models) {
  const asked = (model) => model.count + model.failures;
  const rows = [...models].sort((a, b) => asked(b) - asked(a)).map((model) => [
    model.name, model.version, model.count, model.failures, model.runs ? (model.rows / model.runs).toFixed(1) : "-", model.waiting,
  ]);
  // What stays the same stays there: somebody may be marking or reading it.
  if (counted === JSON.stringify(rows)) return;
  counted = JSON.stringify(rows);
  document.querySelector("#counts tbody").replaceChildren(...rows.map((row) => element("tr", {}, ...row.map((text) => element("td", { textContent: text })))));
}
