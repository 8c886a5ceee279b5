// What can be told from a tensor's declared shape, and numbers to and from text. Nothing here touches the page.

const FLOATS = new Set(["FP16", "FP32", "FP64"]);

// How an image lies in a tensor: {height, width, channels, order} or null. The first axis is the batch.
function imageLayout(tensor) {
  if (tensor.datatype === "BYTES" || tensor.datatype === "BOOL") return null;
  const [, ...sizes] = tensor.shape;
  const free = (size) => size === -1 || size >= 4;
  if (sizes.length === 3) {
    const [a, b, c] = sizes;
    if ((c === 1 || c === 3) && free(a) && free(b)) return { height: pick(a), width: pick(b), channels: c, order: "hwc" };
    if ((a === 1 || a === 3) && free(b) && free(c)) return { height: pick(b), width: pick(c), channels: a, order: "chw" };
  }
  if (sizes.length === 2 && sizes[0] === sizes[1] && sizes[0] >= 4) {
    return { height: sizes[0], width: sizes[1], channels: 1, order: "hw" };
  }
  if (sizes.length === 1 && sizes[0] >= 64) {
    const side = Math.round(Math.sqrt(sizes[0]));
    if (side * side === sizes[0]) return { height: side, width: side, channels: 1, order: "flat" };
  }
  return null;
}

function pick(size) {
  return size === -1 ? 28 : size;
}

// The shape of one sample as a tensor: the batch is 1, other free axes take what is left of `count` if that is certain.
function shapeFor(tensor, count) {
  const free = [];
  let known = 1;
  tensor.shape.forEach((size, axis) => (size === -1 ? free.push(axis) : (known *= size)));
  const shape = tensor.shape.map((size) => (size === -1 ? 1 : size));
  if (free.length === 0 ? count !== known : known === 0 || count % known !== 0) {
    throw new Error(`${tensor.name} needs ${shapeText(tensor.shape)}: ${known} numbers${free.length ? " or a multiple" : ""}; got ${count}`);
  }
  const rest = count / known;
  if (free.length === 1) shape[free[0]] = rest;
  else if (free.length > 1 && rest !== 1) shape[free[free.length - 1]] = rest;
  return shape;
}

function shapeText(shape) {
  return "[" + shape.map((size) => (size === -1 ? "any" : size)).join(", ") + "]";
}

// Numbers in text: JSON, or anything with commas, semicolons, spaces or lines between them. For BYTES: one text a line.
function parseNumbers(text, tensor) {
  const trimmed = text.trim();
  if (tensor.datatype === "BYTES") return trimmed === "" ? [] : trimmed.split(/\r?\n/);
  const words = trimmed.replace(/[[\]{}()]/g, " ").split(/[\s,;]+/).filter((word) => word !== "");
  if (tensor.datatype === "BOOL") {
    return words.map((word) => {
      if (/^(true|1)$/i.test(word)) return true;
      if (/^(false|0)$/i.test(word)) return false;
      throw new Error(`${tensor.name} needs true or false; got ${word.slice(0, 40)}`);
    });
  }
  return words.map((word) => {
    const number = Number(word);
    if (!Number.isFinite(number)) throw new Error(`${tensor.name} needs numbers; got ${word.slice(0, 40)}`);
    if (!FLOATS.has(tensor.datatype) && !Number.isSafeInteger(number)) {
      throw new Error(`${tensor.name} needs whole numbers${Number.isInteger(number) ? " below 2^53 on this page" : ""}; got ${word.slice(0, 40)}`);
    }
    return number;
  });
}

// Pixels 0..255, RGBA, into the model's order and range: {"0..1", "-1..1", "0..255"}.
function pixelsToTensor(rgba, layout, range, inverted) {
  const { height, width, channels, order } = layout;
  const scaled = (value) => {
    const v = inverted ? 255 - value : value;
    return range === "0..255" ? v : range === "-1..1" ? v / 127.5 - 1 : v / 255;
  };
  const data = new Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < channels; c++) {
      const [r, g, b] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
      const value = channels === 3 ? [r, g, b][c] : 0.299 * r + 0.587 * g + 0.114 * b;
      data[order === "chw" ? c * height * width + i : i * channels + c] = Number(scaled(value).toFixed(5));
    }
  }
  return data;
}

// Whether an output reads as probabilities of classes: its last axis adds up to 1.
function isDistribution(output) {
  const classes = output.shape[output.shape.length - 1];
  if (!(classes >= 2) || output.data.length < classes) return false;
  const first = output.data.slice(0, classes);
  if (first.some((p) => typeof p !== "number" || p < 0 || p > 1.0001)) return false;
  return Math.abs(first.reduce((sum, p) => sum + p, 0) - 1) < 1e-2;
}

// The value below which a share of the counted requests lies; `bounds` are the upper ends of the buckets.
function quantile(counts, bounds, share) {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  let left = share * total;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] >= left && counts[i] > 0) {
      const lower = i === 0 ? 0 : bounds[i - 1];
      const upper = i < bounds.length ? bounds[i] : lower;
      return lower + (upper - lower) * (left / counts[i]);
    }
    left -= counts[i];
  }
  return bounds[bounds.length - 1];
}
