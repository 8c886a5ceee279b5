// Numbers as people paste them: JSON, CSV, columns, what NumPy prints. Whatever could be read in two ways is refused with
// what to write instead. Nothing here touches the page.

// {shape, data} for a tensor. Throws an Error that says what to do.
function readNumbers(text, tensor) {
  const trimmed = text.replaceAll("\u2212", "-").trim();
  if (/^[[{]/.test(trimmed)) {
    let parsed;
    try { parsed = JSON.parse(trimmed); } catch { parsed = undefined; }
    if (parsed !== undefined && tensor.datatype !== "BYTES") return fromJson(parsed, tensor);
    // A text may look like JSON.
    if (Array.isArray(parsed) && parsed.flat(Infinity).every((item) => typeof item === "string")) return fromJson(parsed, tensor);
  }
  if (tensor.datatype === "BYTES") {
    const data = text.replace(/\r?\n$/, "").split(/\r?\n/);
    return { data, shape: shapeFor(tensor, data.length) };
  }
  if (trimmed === "") throw new Error(`${tensor.name} is empty: write ${needed(tensor)}, or fill it with zeros`);
  const lines = trimmed.replace(/[[\]{}()]/g, " ").split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "");
  checkSeparators(trimmed, lines, tensor);
  const rows = lines.map((line) => line.split(/[\s,;]+/).filter((word) => word !== ""));
  if (rows.length > 1 && rows[0].every(isWord) && !rows[1].some(isWord)) {
    throw new Error(`${tensor.name}: leave out the first line, which has names: ${cut(lines[0])}`);
  }
  checkRows(rows, lines, tensor);
  const data = rows.flat().map((word) => fromWord(word, tensor));
  const even = rows.every((row) => row.length === rows[0].length);
  const given = even && rows.length > 1 && tensor.shape.length === 2 ? [rows.length, rows[0].length] : null;
  const hint = /\d,\d/.test(trimmed) && !trimmed.includes(".") ? "; commas are between numbers, decimals need a point: 1.5" : "";
  return { data, shape: given && fits(given, tensor.shape) ? given : shapeFor(tensor, data.length, hint) };
}

function isWord(word) {
  return /[a-z_]/i.test(word) && !Number.isFinite(Number(word)) && !/^([-+]?(nan|inf(inity)?)|true|false)$/i.test(word);
}

function cut(text) {
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

// Commas between numbers, or in them? And has a cell nothing in it?
function checkSeparators(text, lines, tensor) {
  const cells = text.split(/[;\s]+/).filter((cell) => cell !== "");
  const several = lines.some((line) => /[;\s]/.test(line));
  if (several && cells.every((cell) => /^[-+]?\d+(,\d+)?(e[-+]?\d+)?$/i.test(cell)) && cells.some((cell) => cell.includes(","))) {
    throw new Error(`${tensor.name}: is ${cut(cells.find((cell) => cell.includes(",")))} one number or two? Write decimals with a point, 1.5, and one kind of sign between numbers`);
  }
  const hole = lines.find((line) => /[,;]\s*[,;]|^[,;]/.test(line));
  if (hole !== undefined) throw new Error(`${tensor.name}: a number is missing in ${cut(hole)}`);
}

// Rows of a table have as many numbers as the model takes; lines of plain text may end anywhere.
function checkRows(rows, lines, tensor) {
  if (rows.length < 2) return;
  const width = rows[0].length;
  const other = rows.findIndex((row) => row.length !== width);
  if (other >= 0) {
    const table = lines.some((line) => /[,;\t]/.test(line)) && !lines.some((line) => /[,;]$/.test(line));
    if (table) throw new Error(`${tensor.name}: line ${other + 1} has ${many(rows[other].length)}, the first ${width}`);
    return;
  }
  const row = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
  if (tensor.shape.length > 1 && row > 0 && row % width !== 0 && width % row !== 0) {
    throw new Error(`${tensor.name} needs ${many(row)} a row; the lines have ${width}`);
  }
}

function fromWord(word, tensor) {
  if (tensor.datatype === "BOOL") {
    if (/^(true|1)$/i.test(word)) return true;
    if (/^(false|0)$/i.test(word)) return false;
    throw new Error(`${tensor.name} needs true or false; got ${cut(word)}`);
  }
  if (/^[-+]?(nan|inf(inity)?)$/i.test(word)) throw new Error(`${tensor.name} needs finite numbers: this page sends JSON, which has no ${cut(word)}`);
  const number = Number(word);
  if (!Number.isFinite(number)) throw new Error(`${tensor.name} needs numbers; got ${cut(word)}`);
  return checkNumber(number, tensor, word);
}

function checkNumber(number, tensor, word) {
  if (!FLOATS.has(tensor.datatype) && !Number.isSafeInteger(number)) {
    throw new Error(`${tensor.name} needs whole numbers${Number.isInteger(number) ? " below 2^53 on this page" : ""}; got ${cut(String(word))}`);
  }
  return number;
}

// Lists, in lists as the shape says or flat; a request's body and {"NAME": ...} hold the list of each input.
function fromJson(parsed, tensor) {
  const value = Array.isArray(parsed) ? parsed : inObject(parsed, tensor);
  const given = [];
  let level = [value];
  while (Array.isArray(level[0])) {
    const size = level[0].length;
    if (level.some((item) => !Array.isArray(item) || item.length !== size)) {
      throw new Error(`${tensor.name}: the lists at depth ${given.length + 1} of the JSON differ in length`);
    }
    given.push(size);
    level = level.flat(1);
  }
  const data = level.map((item) => fromJsonValue(item, tensor));
  if (fits(given, tensor.shape) || (given.length > 1 && tensor.shape.length === 0)) return { data, shape: given };
  if ([-1, 1].includes(tensor.shape[0]) && fits(given, tensor.shape.slice(1))) return { data, shape: [1, ...given] };
  if (given.length > 1 && given.length === tensor.shape.length) {
    throw new Error(`${tensor.name} needs ${shapeText(tensor.shape)}; the lists are ${shapeText(given)}`);
  }
  return { data, shape: shapeFor(tensor, data.length) };
}

function inObject(parsed, tensor) {
  const listed = Array.isArray(parsed.inputs) ? parsed.inputs.find((one) => one && one.name === tensor.name) : null;
  const found = listed ? listed.data : Object.hasOwn(parsed, tensor.name) ? parsed[tensor.name] : parsed.instances;
  if (!Array.isArray(found)) throw new Error(`${tensor.name}: the JSON has no list "${cut(tensor.name)}"; give a list of ${needed(tensor)}`);
  return found;
}

function fromJsonValue(item, tensor) {
  const type = { BYTES: "string", BOOL: "boolean" }[tensor.datatype] || "number";
  if (typeof item === type) return type === "number" ? checkNumber(item, tensor, item) : item;
  throw new Error(`${tensor.name} needs ${{ string: "texts", boolean: "true or false", number: "numbers" }[type]}; got ${cut(JSON.stringify(item))}`);
}

function fits(given, declared) {
  return given.length === declared.length && given.every((size, axis) => declared[axis] === -1 || declared[axis] === size);
}

// The shape of so many numbers: if all but one of the open axes are 1. A model that says nothing has a scalar, or a list.
function shapeFor(tensor, count, hint = "") {
  if (tensor.shape.length === 0) return count === 1 ? [] : [count];
  const free = [];
  let known = 1;
  tensor.shape.forEach((size, axis) => (size === -1 ? free.push(axis) : (known *= size)));
  const rest = known === 0 ? 1 : count / known;
  const good = known === 0 ? count === 0 : free.length === 0 ? rest === 1 : Number.isInteger(rest);
  if (!good) throw new Error(`${tensor.name} needs ${needed(tensor)} for ${shapeText(tensor.shape)}; got ${count}${hint}`);
  const shape = tensor.shape.map((size) => (size === -1 ? 1 : size));
  // The batch, when nothing else is open.
  if (free.length) shape[free[free.length - 1]] = rest;
  return shape;
}

function needed(tensor) {
  const known = tensor.shape.filter((size) => size !== -1).reduce((product, size) => product * size, 1);
  const noun = tensor.datatype === "BYTES" ? "text" : "number";
  if (!tensor.shape.includes(-1)) return many(known, noun);
  return known === 1 ? `one or more ${noun}s` : `${many(known, noun)} or a multiple of that`;
}

function many(count, noun = "number") {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
