// The page: models on the left, one of them in the middle, what the server counts below.

// A list of so many models can be looked through without a search.
const FEW = 8;
const LOOK_EVERY = 1000;
// Looks at the counts for each look at the models.
const LOOKS = 3;
let listed = [];
let opening = 0;
// The model somebody asked to see, and the one that is there to be seen.
let chosen = null;
let shown = null;

async function listModels() {
  const { models } = await look("v2/models");
  const ready = models.filter((model) => model.state === "READY").length;
  say("state", `${models.length} model${models.length === 1 ? "" : "s"}${ready < models.length ? `, ${ready} ready` : ""}`);
  if (JSON.stringify(listed) !== JSON.stringify(models)) {
    listed = models;
    const focused = document.activeElement && document.activeElement.dataset.name;
    byId("models").replaceChildren(...models.map(modelButton));
    // A list of one says nothing that the model itself does not.
    byId("list").hidden = models.length === 1 && models[0].state === "READY";
    byId("filter").hidden = models.length <= FEW;
    filterModels();
    markModel();
    if (focused) for (const button of byId("models").children) if (button.dataset.name === focused) button.focus();
  }
  return models;
}

function modelButton(model) {
  const versions = `version${model.versions.length > 1 ? "s" : ""} ${model.versions.join(", ")}`;
  const small = model.state === "READY" ? `${versions}${model.reason ? "; a newer one cannot be loaded" : ""}` : `${model.state} ${model.reason}`;
  const button = element("button", { type: "button" }, model.name, element("small", { textContent: small }));
  button.dataset.name = model.name;
  button.addEventListener("click", () => { chosen = model.name; openModel(model); });
  return button;
}

function filterModels() {
  const wanted = byId("filter").hidden ? "" : byId("filter").value.trim().toLowerCase();
  for (const button of byId("models").children) button.hidden = !button.dataset.name.toLowerCase().includes(wanted);
}

function markModel() {
  for (const button of byId("models").children) button.setAttribute("aria-current", String(shown !== null && button.dataset.name === shown.name));
}

// Show a model: the latest version unless told. What cannot be shown leaves nothing of another model behind.
async function openModel(model, version = "", note = "") {
  const number = ++opening;
  let about;
  try {
    about = await look(modelPath(model, version));
  } catch (error) {
    if (number === opening) showNothing(`${model.name}: ${error.message}`);
    return;
  }
  if (number !== opening) return;
  const opened = { name: model.name, version, path: modelPath(model, version), about, number: 0 };
  // An image may be there only when another model is shown already.
  opened.fields = about.inputs.map((tensor) => inputField(tensor, () => { if (shown === opened && about.inputs.length === 1) run(); }));
  shown = opened;
  say("problem", "");
  say("mistake", "");
  say("took", "");
  say("note", note || (model.reason ? `The newest version cannot be loaded: ${model.reason}` : ""));
  byId("model").hidden = false;
  byId("model-name").textContent = model.name;
  byId("results").replaceChildren();
  byId("curl").textContent = "run the model first";
  byId("save").hidden = true;
  byId("fields").replaceChildren(...opened.fields.map((field) => field.node));
  showVersions(about.versions, version);
  const rows = [...about.inputs.map((t) => ["input", t]), ...about.outputs.map((t) => ["output", t])];
  document.querySelector("#tensors tbody").replaceChildren(...rows.map(([role, t]) => element("tr", {}, ...[role, t.name, t.datatype, shapeText(t.shape)].map((text) => element("td", { textContent: text })))));
  document.title = `${model.name} - seqc-runtime`;
  markModel();
}

function showVersions(versions, chosen) {
  byId("versions").hidden = versions.length < 2;
  byId("served").replaceChildren(element("option", { value: "", textContent: "latest" }), ...versions.map((version) => element("option", { value: version, textContent: version })));
  byId("served").value = chosen;
}

function showNothing(why) {
  shown = null;
  byId("model").hidden = true;
  document.title = "seqc-runtime";
  markModel();
  say("problem", why);
}

async function run() {
  const model = shown;
  const number = ++model.number;
  const current = () => model === shown && number === model.number;
  try {
    const request = { inputs: model.fields.map((field) => field.read()) };
    showCurl(`${model.path}/infer`, request);
    say("took", "running");
    const start = performance.now();
    const answer = await ask(`${model.path}/infer`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request) });
    // A slower answer to an earlier drawing, or of another model, must not replace a newer one.
    if (!current()) return;
    say("took", `${(performance.now() - start).toFixed(1)} ms there and back`);
    say("mistake", "");
    showResults(byId("results"), answer, model.about.labels || {});
  } catch (error) {
    if (!current()) return;
    // An answer to something else than what stands in the fields now would mislead.
    byId("results").replaceChildren();
    say("took", "");
    say("mistake", error.message);
  }
}

// Follow models that come, go and change while the page is open.
async function refresh() {
  const models = await listModels();
  if (!byId("version").textContent) byId("version").textContent = (await look("v2")).version;
  const ready = models.filter((model) => model.state === "READY");
  if (shown === null) {
    const next = chosen === null ? ready[0] : ready.find((model) => model.name === chosen);
    if (next) await openModel(next);
    return;
  }
  const model = ready.find((one) => one.name === shown.name);
  if (!model) {
    chosen = shown.name;
    showNothing(`${shown.name} is not served any more`);
  } else if (shown.version && !model.versions.includes(shown.version)) {
    await openModel(model, "", `Version ${shown.version} is not served any more; this is the latest.`);
  } else {
    await refreshShown(model);
  }
}

async function refreshShown(model) {
  const before = shown;
  const path = modelPath(model, before.version);
  const about = await look(path);
  if (shown !== before) return;
  if (tensorsOf(about) !== tensorsOf(before.about)) {
    await openModel(model, before.version, "The model has changed since it was shown here.");
    return;
  }
  if (about.versions.join() !== before.about.versions.join()) showVersions(about.versions, before.version);
  Object.assign(before, { path, about });
}

function tensorsOf(about) {
  return JSON.stringify([about.inputs, about.outputs]);
}

// Looks at the server for as long as somebody looks at the page; a refused token is not tried again and again.
let refused = false;
let turns = 0;
let wake = () => {};

async function turn() {
  const token = byId("token").value;
  try {
    if (turns % LOOKS === 0) await refresh();
    turns += 1;
    noteLive(await look("v2/live"));
  } catch (error) {
    turns = 0;
    if (error.status !== 401 && error.status !== 403) {
      say("state", `${error.status ? "" : "not connected, "}trying again: ${error.message}`);
    } else if (token === byId("token").value) {
      refused = true;
      say("state", "not allowed");
      say("problem", error.message);
    }
  }
}

async function follow() {
  for (;;) {
    if (!document.hidden && !refused) await turn();
    await new Promise((done) => { wake = done; setTimeout(done, LOOK_EVERY); });
  }
}

function useToken() {
  refused = false;
  turns = 0;
  say("problem", "");
  wake();
}

byId("form").addEventListener("submit", (event) => { event.preventDefault(); run(); });
byId("filter").addEventListener("input", filterModels);
byId("served").addEventListener("change", () => {
  const model = listed.find((one) => one.name === shown.name);
  if (model) openModel(model, byId("served").value);
});
byId("token").addEventListener("change", useToken);
byId("use-token").addEventListener("click", useToken);
document.addEventListener("visibilitychange", () => wake());
follow();
