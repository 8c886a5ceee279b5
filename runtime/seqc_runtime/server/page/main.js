// The page: models on the left, one of them in the middle, what the server counts below.

const base = new URL(location.href.replace(/[?#].*$/, "").replace(/\/?$/, "/"));
const byId = (id) => document.getElementById(id);
let shown = null;

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  const token = byId("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(new URL(path, base), { ...options, headers });
  const text = await answer.text();
  let content = {};
  try { content = JSON.parse(text); } catch { content = { error: text.slice(0, 300) }; }
  if (answer.status === 401) byId("access").open = true;
  if (!answer.ok) throw new Error(content.error || `${path}: ${answer.status}`);
  return content;
}

function complain(error) {
  byId("problem").textContent = error ? error.message : "";
  byId("problem").hidden = !error;
}

async function listModels() {
  const server = await ask("v2");
  byId("version").textContent = server.version;
  const { models } = await ask("v2/models");
  byId("state").textContent = models.length === 1 ? "1 model" : `${models.length} models`;
  byId("models").replaceChildren(...models.map((model) => {
    const button = element("button", { type: "button" }, model.name, element("small", { textContent: model.state === "READY" ? `version ${model.versions.join(", ")}` : `${model.state} ${model.reason || ""}` }));
    button.dataset.name = model.name;
    button.addEventListener("click", () => openModel(model.name).catch(complain));
    return button;
  }));
  return models;
}

async function openModel(name) {
  const model = await ask(`v2/models/${encodeURIComponent(name)}`);
  complain(null);
  for (const button of byId("models").children) button.setAttribute("aria-current", String(button.dataset.name === name));
  byId("model").hidden = false;
  byId("model-name").textContent = name;
  byId("results").replaceChildren();
  byId("took").textContent = "";
  const rows = [...model.inputs.map((t) => ["input", t]), ...model.outputs.map((t) => ["output", t])];
  document.querySelector("#tensors tbody").replaceChildren(...rows.map(([role, t]) => element("tr", {}, ...[role, t.name, t.datatype, shapeText(t.shape)].map((text) => element("td", { textContent: text })))));
  const fields = model.inputs.map((tensor) => inputField(tensor, () => { if (model.inputs.length === 1) run(); }));
  byId("fields").replaceChildren(...fields.map((field) => field.node));
  shown = { name, fields, labels: model.labels || {}, number: 0 };
}

async function run() {
  const model = shown;
  const number = ++model.number;
  try {
    const request = { inputs: model.fields.map((field) => field.read()) };
    const path = `v2/models/${encodeURIComponent(model.name)}/infer`;
    showCurl(path, request);
    const start = performance.now();
    const answer = await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request) });
    // A slower answer to an earlier drawing, or of another model, must not replace a newer one.
    if (model !== shown || number !== model.number) return;
    byId("took").textContent = `${(performance.now() - start).toFixed(1)} ms, with the way there and back`;
    showResults(byId("results"), answer, model.labels);
    complain(null);
  } catch (error) {
    if (model === shown && number === model.number) complain(error);
  }
}

function showCurl(path, request) {
  const text = JSON.stringify(request);
  const body = text.length > 4000 ? text.slice(0, 4000) + "..." : text;
  byId("curl").textContent = `curl ${new URL(path, base)} -d '${body.replaceAll("'", "'\\''")}'`;
}

async function follow() {
  for (;;) {
    if (!document.hidden) {
      try { noteLive(await ask("v2/live")); } catch (error) { byId("state").textContent = `not counting: ${error.message}`; }
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

async function start() {
  try {
    const models = await listModels();
    const first = models.find((model) => model.state === "READY");
    if (first && !shown) await openModel(first.name);
    complain(null);
  } catch (error) {
    complain(error);
  }
}

byId("form").addEventListener("submit", (event) => { event.preventDefault(); run(); });
byId("token").addEventListener("change", start);
start();
follow();
