// The ways to give an input: draw, an image, numbers. Each field has read() -> {name, datatype, shape, data}.

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function inputField(tensor, changed) {
  const layout = imageLayout(tensor);
  const ways = layout ? ["draw", "image", "numbers"] : ["numbers"];
  const box = element("fieldset", {}, element("legend", { textContent: `${tensor.name} ${tensor.datatype} ${shapeText(tensor.shape)}` }));
  const panels = { numbers: numbersPanel(tensor) };
  if (layout) {
    panels.draw = drawPanel(tensor, layout, changed);
    panels.image = imagePanel(tensor, layout, changed);
  }
  let chosen = ways[0];
  if (ways.length > 1) {
    const group = `way-${tensor.name}`;
    const row = element("div", { className: "ways" });
    for (const way of ways) {
      const radio = element("input", { type: "radio", name: group, value: way, checked: way === chosen });
      radio.addEventListener("change", () => { chosen = way; show(); });
      row.append(element("label", {}, radio, ` ${way}`));
    }
    box.append(row);
  }
  const show = () => { for (const way of ways) panels[way].node.hidden = way !== chosen; };
  for (const way of ways) box.append(panels[way].node);
  show();
  return { node: box, read: () => panels[chosen].read() };
}

function numbersPanel(tensor) {
  const area = element("textarea", { spellcheck: false, placeholder: "1.5, 2, 3" });
  area.setAttribute("aria-label", `numbers for ${tensor.name}`);
  const zeros = element("button", { type: "button", textContent: "Fill with zeros" });
  zeros.addEventListener("click", () => {
    const count = tensor.shape.reduce((product, size) => product * (size === -1 ? 1 : size), 1);
    area.value = new Array(Math.min(count, 1e6)).fill(tensor.datatype === "BYTES" ? "text" : 0).join(tensor.datatype === "BYTES" ? "\n" : ", ");
  });
  return {
    node: element("div", {}, area, zeros),
    read() {
      const data = parseNumbers(area.value, tensor);
      return { name: tensor.name, datatype: tensor.datatype, shape: shapeFor(tensor, data.length), data };
    },
  };
}

// What the model will see, and the choices that lead there.
function seenPixels(layout) {
  const canvas = element("canvas", { width: layout.width, height: layout.height, className: "seen" });
  const range = element("select", {}, ...["0..1", "-1..1", "0..255"].map((text) => element("option", { textContent: text })));
  range.setAttribute("aria-label", "range of the pixels");
  const inverted = element("input", { type: "checkbox" });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return {
    canvas, context,
    node: element("div", {}, canvas, element("br"), element("label", {}, "pixels ", range), element("br"), element("label", {}, inverted, " inverted")),
    read: (tensor) => ({
      name: tensor.name,
      datatype: tensor.datatype,
      shape: tensor.shape.map((size, axis) => {
        if (axis === 0) return 1;
        return size !== -1 ? size : { hwc: [layout.height, layout.width], chw: [0, layout.height, layout.width] }[layout.order][axis - 1];
      }),
      data: pixelsToTensor(context.getImageData(0, 0, layout.width, layout.height).data, layout, FLOATS.has(tensor.datatype) ? range.value : "0..255", inverted.checked)
        .map((value) => (FLOATS.has(tensor.datatype) ? value : Math.round(value))),
    }),
  };
}

function drawPanel(tensor, layout, changed) {
  const pad = element("canvas", { width: 448, height: 448, className: "pad", tabIndex: 0 });
  pad.setAttribute("aria-label", `draw ${tensor.name} here`);
  const context = pad.getContext("2d", { willReadFrequently: true });
  const seen = seenPixels(layout);
  const fitted = element("input", { type: "checkbox", checked: true });
  const clear = element("button", { type: "button", textContent: "Clear" });
  const wipe = () => { context.fillStyle = "#000"; context.fillRect(0, 0, 448, 448); shrink(pad, seen, fitted.checked); };
  Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: 48, strokeStyle: "#fff" });
  let last = null;
  const at = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * 448) / box.width, ((event.clientY - box.top) * 448) / box.height];
  };
  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); last = at(event); stroke(last); });
  pad.addEventListener("pointermove", (event) => { if (last) stroke(at(event)); });
  const end = () => { if (last) { last = null; changed(); } };
  pad.addEventListener("pointerup", end);
  pad.addEventListener("pointercancel", end);
  function stroke(point) {
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(point[0] + 0.01, point[1]);
    context.stroke();
    last = point;
    shrink(pad, seen, fitted.checked);
  }
  clear.addEventListener("click", wipe);
  fitted.addEventListener("change", () => shrink(pad, seen, fitted.checked));
  wipe();
  const side = element("div", {}, seen.node, element("label", {}, fitted, " fill the frame"), element("br"), clear);
  return { node: element("div", { className: "draw" }, pad, side), read: () => seen.read(tensor) };
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
  average(pad, seen, left, top, size, size);
}

// Browsers sample few pixels when they shrink a lot; halving step by step averages all of them.
function average(source, seen, left, top, width, height) {
  const [w, h] = [seen.canvas.width, seen.canvas.height];
  let scale = 1;
  while (w * scale * 2 <= 512 && h * scale * 2 <= 512) scale *= 2;
  let from = element("canvas", { width: w * scale, height: h * scale });
  const first = from.getContext("2d");
  first.fillStyle = "#000";
  first.fillRect(0, 0, from.width, from.height);
  first.drawImage(source, left, top, width, height, 0, 0, from.width, from.height);
  for (; scale > 1; scale /= 2) {
    const half = element("canvas", { width: from.width / 2, height: from.height / 2 });
    half.getContext("2d").drawImage(from, 0, 0, half.width, half.height);
    from = half;
  }
  seen.context.drawImage(from, 0, 0);
}

function imagePanel(tensor, layout, changed) {
  const seen = seenPixels(layout);
  const file = element("input", { type: "file", accept: "image/*" });
  const note = element("p", { className: "problem" });
  const drop = element("div", { className: "drop" }, "Drop an image here, or choose ", file, note);
  const take = async (chosen) => {
    note.textContent = "";
    try {
      const bitmap = await createImageBitmap(chosen);
      average(bitmap, seen, 0, 0, bitmap.width, bitmap.height);
      changed();
    } catch {
      note.textContent = `${chosen.name} cannot be read as an image`;
    }
  };
  file.addEventListener("change", () => { if (file.files.length) take(file.files[0]); });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
  }
  return { node: element("div", { className: "draw" }, drop, seen.node), read: () => seen.read(tensor) };
}
