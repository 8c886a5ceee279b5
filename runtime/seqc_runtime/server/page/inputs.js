// A field for each input, with the ways to fill it. read() gives {name, datatype, shape, data}, or throws what is missing.

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function inputField(tensor, changed) {
  const layout = imageLayout(tensor);
  const panels = layout ? { draw: drawPanel(tensor, layout, changed), image: imagePanel(tensor, layout, changed), numbers: numbersPanel(tensor) } : { numbers: numbersPanel(tensor) };
  const ways = Object.keys(panels);
  const box = element("fieldset", {}, element("legend", { textContent: `${tensor.name} ${tensor.datatype} ${shapeText(tensor.shape)}` }));
  // Who has a model of colours has pictures; digits and letters are drawn.
  let chosen = layout ? (layout.channels === 1 ? "draw" : "image") : "numbers";
  const radios = {};
  const choose = (way) => {
    chosen = way;
    for (const other of ways) {
      panels[other].node.hidden = other !== way;
      if (radios[other]) radios[other].checked = other === way;
    }
  };
  if (ways.length > 1) {
    const row = element("div", { className: "ways" });
    for (const way of ways) {
      radios[way] = element("input", { type: "radio", name: `way-${tensor.name}`, value: way });
      radios[way].addEventListener("change", () => choose(way));
      row.append(element("label", {}, radios[way], ` ${way}`));
    }
    box.append(row);
  }
  box.append(...ways.map((way) => panels[way].node));
  takeDrops(box, (file) => {
    const way = panels.image && (chosen !== "numbers" || file.type.startsWith("image/")) ? "image" : "numbers";
    choose(way);
    panels[way].take(file);
  });
  choose(chosen);
  return { node: box, read: () => panels[chosen].read() };
}

const bringsFiles = (event) => event.dataTransfer !== null && event.dataTransfer.types.includes("Files");

// A file may be dropped anywhere on the field, whichever way is chosen.
function takeDrops(box, take) {
  box.addEventListener("dragover", (event) => box.classList.toggle("over", bringsFiles(event)));
  box.addEventListener("dragleave", () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => {
    box.classList.remove("over");
    if (bringsFiles(event)) take(event.dataTransfer.files[0]);
  });
}

// A file that is dropped beside a field must not take the place of this page; texts may be dragged as everywhere.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => { if (bringsFiles(event)) event.preventDefault(); });

// More would make the browser stand still.
const MOST_ZEROS = 4e6;

function numbersPanel(tensor) {
  const texts = tensor.datatype === "BYTES";
  const area = element("textarea", { spellcheck: false, placeholder: texts ? "one text a line" : "1.5, 2, 3" });
  area.setAttribute("aria-label", `${texts ? "texts" : "numbers"} for ${tensor.name}`);
  const count = tensor.shape.reduce((product, size) => product * (size === -1 ? 1 : size), 1);
  const zeros = element("button", { type: "button", textContent: texts ? "Fill with texts" : "Fill with zeros", disabled: count > MOST_ZEROS });
  zeros.addEventListener("click", () => { area.value = new Array(count).fill(texts ? "text" : 0).join(texts ? "\n" : ", "); });
  return {
    node: element("div", {}, area, zeros),
    take: async (file) => { area.value = await file.text(); },
    read: () => ({ name: tensor.name, datatype: tensor.datatype, ...readNumbers(area.value, tensor) }),
  };
}
