// The two ways to give an image: draw it, or take one from a file. Both show the pixels that the model will see.

// What the model will see, and the choices that lead there.
function seenPixels(tensor, layout, empty) {
  const canvas = element("canvas", { className: "small" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `what the model sees of ${tensor.name}`);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const range = element("select", {}, ...pixelRanges(tensor.datatype).map((text) => element("option", { textContent: text })));
  const inverted = element("input", { type: "checkbox" });
  const size = (height, width) => { Object.assign(canvas, { height, width }); Object.assign(layout, { height, width }); };
  size(layout.height, layout.width);
  return {
    canvas, context, size,
    filled: false,
    choices: element("div", { className: "choices" }, element("label", {}, "pixels ", range), element("label", {}, inverted, " inverted")),
    read() {
      if (!this.filled) throw new Error(`${tensor.name}: ${empty}`);
      const pixels = context.getImageData(0, 0, layout.width, layout.height).data;
      return { name: tensor.name, datatype: tensor.datatype, shape: imageShape(layout), data: pixelsToTensor(pixels, layout, range.value, inverted.checked, tensor.datatype) };
    },
  };
}

const PAD = 448;

function drawPanel(tensor, layout, changed) {
  const pad = element("canvas", { width: PAD, height: PAD, className: "pad" });
  pad.setAttribute("role", "img");
  pad.setAttribute("aria-label", `draw ${tensor.name} here; without a pointer, choose numbers`);
  const context = pad.getContext("2d", { willReadFrequently: true });
  const seen = seenPixels(tensor, { ...layout }, "draw something first");
  const fitted = element("input", { type: "checkbox", checked: true });
  const clear = element("button", { type: "button", textContent: "Clear" });
  const show = () => shrink(pad, seen, fitted.checked);
  const wipe = () => { context.fillStyle = "#000"; context.fillRect(0, 0, PAD, PAD); seen.filled = false; show(); };
  Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: 48, strokeStyle: "#fff" });
  // Of several fingers, one draws.
  let pointer = null;
  let last = null;
  const at = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * PAD) / box.width, ((event.clientY - box.top) * PAD) / box.height];
  };
  const stroke = (point) => {
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(point[0] + 0.01, point[1]);
    context.stroke();
    last = point;
    seen.filled = true;
    show();
  };
  pad.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    pointer = event.pointerId;
    pad.setPointerCapture(pointer);
    last = at(event);
    stroke(last);
  });
  pad.addEventListener("pointermove", (event) => { if (event.pointerId === pointer) stroke(at(event)); });
  for (const kind of ["pointerup", "pointercancel"]) {
    pad.addEventListener(kind, (event) => { if (event.pointerId === pointer) { pointer = null; changed(); } });
  }
  clear.addEventListener("click", wipe);
  fitted.addEventListener("change", show);
  wipe();
  seen.choices.append(element("label", {}, fitted, " fill the frame"));
  const hint = element("p", { className: "hint", textContent: "Draw with mouse, pen or finger; every stroke is sent." });
  const side = element("div", { className: "seen" }, seen.canvas, clear);
  return { node: element("div", {}, hint, element("div", { className: "draw" }, pad, side), seen.choices), read: () => seen.read() };
}

// Data sets of digits are cut to the strokes and fill their frame: with `fitted` a drawing does too.
function shrink(pad, seen, fitted) {
  let [left, top, size] = [0, 0, pad.width];
  if (fitted) {
    const pixels = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height).data;
    let [x0, y0, x1, y1] = [pad.width, pad.height, -1, -1];
    for (let y = 0; y < pad.height; y += 2) {
      for (let x = 0; x < pad.width; x += 2) {
        if (pixels[4 * (y * pad.width + x)] > 40) { x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
      }
    }
    if (x1 >= 0) {
      // MNIST leaves 4 of 28 pixels on each side; smaller images leave none.
      const margin = seen.canvas.height >= 20 ? 28 / 20 : 1;
      size = Math.max(x1 - x0, y1 - y0, 40) * margin;
      [left, top] = [(x0 + x1 - size) / 2, (y0 + y1 - size) / 2];
    }
  }
  average(pad, seen, left, top, size, size, "#000");
}

// Browsers sample few pixels when they shrink a lot; halving step by step averages all of them.
function average(source, seen, left, top, width, height, paper) {
  const [w, h] = [seen.canvas.width, seen.canvas.height];
  let scale = 1;
  while (w * scale * 2 <= 512 && h * scale * 2 <= 512) scale *= 2;
  let from = element("canvas", { width: w * scale, height: h * scale });
  const first = from.getContext("2d");
  first.imageSmoothingQuality = "high";
  first.fillStyle = paper;
  first.fillRect(0, 0, from.width, from.height);
  first.drawImage(source, left, top, width, height, 0, 0, from.width, from.height);
  for (; scale > 1; scale /= 2) {
    const half = element("canvas", { width: from.width / 2, height: from.height / 2 });
    half.getContext("2d").drawImage(from, 0, 0, half.width, half.height);
    from = half;
  }
  seen.context.drawImage(from, 0, 0);
}

// The longest side of an image whose size the model leaves open.
const LONGEST_SIDE = 512;

function imagePanel(tensor, layout, changed) {
  const own = { ...layout };
  const seen = seenPixels(tensor, own, "choose or drop an image first");
  const file = element("input", { type: "file", accept: "image/*" });
  const note = element("p", { className: "problem", role: "alert", hidden: true });
  const say = (text) => { note.textContent = text; note.hidden = !text; };
  const take = async (chosen) => {
    say("");
    try {
      const bitmap = await createImageBitmap(chosen);
      const ratio = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
      const side = (free, fixed, given) => (free ? Math.max(1, Math.round(given * ratio)) : fixed);
      seen.size(side(own.free.height, own.height, bitmap.height), side(own.free.width, own.width, bitmap.width));
      // Transparent places are white, as on paper: so the server reads images, too.
      average(bitmap, seen, 0, 0, bitmap.width, bitmap.height, "#fff");
      seen.filled = true;
      changed();
    } catch {
      say(`${chosen.name} cannot be read as an image: take a PNG, JPEG, GIF, WebP or BMP`);
    }
  };
  file.addEventListener("change", () => { if (file.files.length) take(file.files[0]); });
  const drop = element("div", { className: "drop" }, element("label", {}, "Drop an image here, or choose one: ", file), note);
  return { node: element("div", {}, element("div", { className: "draw" }, seen.canvas, drop), seen.choices), read: () => seen.read(), take };
}
