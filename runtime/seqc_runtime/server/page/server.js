// How this page asks its server.

const base = new URL(location.href.replace(/[?#].*$/, "").replace(/\/?$/, "/"));
const byId = (id) => document.getElementById(id);

// An answer that says no: `status` is 0 when there was none.
class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  const token = byId("token").value.trim();
  if (/[^\x21-\x7e]/.test(token)) throw new Refused(401, "the token has characters that no token has: copy it once more");
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer, text;
  try {
    answer = await fetch(new URL(path, base), { ...options, headers });
    text = await answer.text();
  } catch (error) {
    throw new Refused(0, error.name === "TimeoutError" ? "the server does not answer" : "the server cannot be reached");
  }
  let content;
  try { content = parseExactly(text); } catch { content = null; }
  if (answer.status === 401) {
    byId("access").open = true;
    if (!token) throw new Refused(401, "this server needs a token: give it under Token");
  }
  if (!answer.ok) throw new Refused(answer.status, content && typeof content.error === "string" ? content.error : `${path}: ${answer.status} ${answer.statusText}`);
  if (content === null || typeof content !== "object") throw new Refused(answer.status, `${path}: something between this page and the server answered instead of it`);
  return content;
}

// A look at the server does not wait for long; only answers of models may take their time.
function look(path) {
  return ask(path, { signal: AbortSignal.timeout(10_000) });
}

// Of the latest version unless told. One model is always asked for with a version, since its path means another thing.
function modelPath(model, version) {
  const path = `v2/models/${encodeURIComponent(model.name)}`;
  const told = version || (model.name === "stats" ? model.versions[model.versions.length - 1] : "");
  return told ? `${path}/versions/${told}` : path;
}

// Screen readers read a text again whenever it is set: only a new one is.
function say(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
  node.hidden = text === "";
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
// A shell takes no longer argument.
const LONGEST_ARGUMENT = 100_000;
let saved = null;

function showCurl(path, request) {
  const text = JSON.stringify(request);
  const long = text.length > LONGEST_ARGUMENT;
  const token = byId("token").value.trim() ? ` -H ${quoted("Authorization: Bearer TOKEN")}` : "";
  byId("curl").textContent = `curl ${quoted(String(new URL(path, base)))}${token} -d ${long ? "@request.json" : quoted(text)}`;
  byId("save").hidden = !long;
  if (saved) URL.revokeObjectURL(saved);
  saved = long ? URL.createObjectURL(new Blob([text], { type: "application/json" })) : null;
  if (long) byId("save").replaceChildren(element("a", { href: saved, download: "request.json", textContent: "Save request.json" }), ", the request of this command");
}
