// What can be told from a tensor's declared shape. Nothing here touches the page.

const FLOATS = new Set(["FP16", "FP32", "FP64"]);
// A side that the model leaves open, where nothing else says how long it is.
const USUAL_SIDE = 28;

// How an image lies in a tensor: {height, width, channels, order, free} or null. The first axis is the batch; `free` are
// its axes that the model leaves open.
function imageLayout(tensor) {
  if (tensor.datatype === "BYTES" || tensor.datatype === "BOOL") return null;
  const [batch, ...sizes] = tensor.shape;
  // One image is given: a model that wants just so many gets numbers.
  if (batch !== -1 && batch !== 1) return null;
  const free = (size) => size === -1 || size >= 4;
  const colours = (size) => size === 1 || size === 3 || size === 4;
  const made = (height, width, channels, order) => ({
    height: height === -1 ? USUAL_SIDE : height, width: width === -1 ? USUAL_SIDE : width, channels, order, free: { height: height === -1, width: width === -1 },
  });
  if (sizes.length === 3) {
    const [a, b, c] = sizes;
    if (colours(c) && free(a) && free(b)) return made(a, b, c, "hwc");
    if (colours(a) && free(b) && free(c)) return made(b, c, a, "chw");
  }
  if (sizes.length === 2 && sizes[0] === sizes[1] && sizes[0] >= 4) return made(sizes[0], sizes[1], 1, "hw");
  if (sizes.length === 1 && sizes[0] >= 64) {
    const side = Math.round(Math.sqrt(sizes[0]));
    if (side * side === sizes[0]) return made(side, side, 1, "flat");
  }
  return null;
}

// The shape of one image of that layout.
function imageShape(layout) {
  const { height, width, channels, order } = layout;
  return [1, ...{ hwc: [height, width, channels], chw: [channels, height, width], hw: [height, width], flat: [height * width] }[order]];
}

function shapeText(shape) {
  return "[" + shape.map((size) => (size === -1 ? "any" : size)).join(", ") + "]";
}

// How pixels may be scaled for a datatype, the likeliest first.
function pixelRanges(datatype) {
  if (FLOATS.has(datatype)) return ["0..1", "-1..1", "0..255", "ImageNet"];
  return datatype === "INT8" ? ["-128..127"] : ["0..255"];
}

// The means and deviations, of pixels from 0 to 1, that most models trained on ImageNet take away and divide by.
const IMAGENET = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

function scaled(value, range, channel) {
  switch (range) {
    case "0..1": return value / 255;
    case "-1..1": return value / 127.5 - 1;
    case "-128..127": return value - 128;
    case "ImageNet": return channel < 3 ? (value / 255 - IMAGENET[0][channel]) / IMAGENET[1][channel] : value / 255;
    default: return value;
  }
}

// Pixels 0..255, RGBA, into the model's order, range and datatype.
function pixelsToTensor(rgba, layout, range, inverted, datatype) {
  const { height, width, channels, order } = layout;
  const data = new Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < channels; c++) {
      const at = 4 * i;
      const value = channels === 1 ? 0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2] : rgba[at + c];
      const number = scaled(inverted && c < 3 ? 255 - value : value, range, c);
      data[order === "chw" ? c * height * width + i : i * channels + c] = FLOATS.has(datatype) ? Number(number.toFixed(5)) : Math.round(number);
    }
  }
  return data;
}

// Whether an output reads as probabilities of classes: its last axis adds up to 1.
function isDistribution(output) {
  const classes = output.shape[output.shape.length - 1];
  if (!FLOATS.has(output.datatype) || !(classes >= 2) || output.data.length < classes) return false;
  const first = output.data.slice(0, classes);
  if (first.some((p) => typeof p !== "number" || p < 0 || p > 1.0001)) return false;
  return Math.abs(first.reduce((sum, p) => sum + p, 0) - 1) < 1e-2;
}

// JSON in which integers beyond 2^53 stay what they are, as BigInt.
function parseExactly(text) {
  if (!/[[,:\s-]\d{16,}[\s,\]}]/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (key, value, context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value) || !context || !/^-?\d{16,}$/.test(context.source)) return value;
    return BigInt(context.source);
  });
}
