// Outputs: bars where they are probabilities of classes, a ranking where classes have names, numbers otherwise.

const MOST_BARS = 10;
const MOST_ROWS = 50;
const MOST_VALUES = 1000;
const LONGEST_TEXT = 500;

function showResults(node, answer, labels) {
  node.replaceChildren();
  for (const output of answer.outputs) {
    const names = labels[output.name] || [];
    node.append(element("h3", { textContent: `${output.name} ${output.datatype} ${shapeText(output.shape)}` }));
    const likely = isDistribution(output);
    if (likely || (names.length && output.data.length && output.data.every((value) => typeof value === "number"))) node.append(ranking(output, names, likely));
    else node.append(values(output));
  }
}

function ranking(output, names, likely) {
  const classes = output.shape[output.shape.length - 1];
  const called = (index) => names[index] || String(index);
  const said = (value) => (likely ? percent(value) : valueText(value, output.datatype));
  const box = element("div", {});
  const rows = output.data.length / classes;
  for (let row = 0; row < Math.min(rows, MOST_ROWS); row++) {
    const ranked = output.data.slice(row * classes, (row + 1) * classes).map((value, index) => ({ value, index })).sort((a, b) => b.value - a.value).slice(0, MOST_BARS);
    if (row > 0) box.append(element("div", { textContent: `row ${row + 1}: ${called(ranked[0].index)} (${said(ranked[0].value)})` }));
    else box.append(...bars(ranked, called, said, likely, classes, rows));
  }
  if (rows > MOST_ROWS) box.append(element("p", { textContent: `the first ${MOST_ROWS} of ${rows} rows` }));
  return box;
}

function bars(ranked, called, said, likely, classes, rows) {
  const made = [element("p", { className: "answer", textContent: called(ranked[0].index) })];
  ranked.forEach(({ value, index }, place) => {
    const line = element("div", { className: `class${place === 0 ? " best" : ""}${likely ? "" : " plain"}` }, element("span", { textContent: called(index) }));
    if (likely) {
      const bar = element("i");
      bar.style.width = `${Math.min(100, 100 * value).toFixed(1)}%`;
      line.append(bar);
    }
    line.append(element("span", { textContent: said(value) }));
    made.push(line);
  });
  const notes = [classes > ranked.length ? `the first ${ranked.length} of ${classes} classes` : "", rows > 1 ? `row 1 of ${rows}` : ""].filter((note) => note);
  if (notes.length) made.push(element("p", { className: "hint", textContent: notes.join(", ") }));
  return made;
}

function percent(p) {
  return p > 0 && p < 0.0005 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`;
}

// A row of the last axis is a line.
function values(output) {
  const wide = output.shape.length > 1 ? output.shape[output.shape.length - 1] : output.data.length;
  const shown = output.data.slice(0, MOST_VALUES).map((value) => valueText(value, output.datatype));
  const lines = [];
  for (let i = 0; i < shown.length; i += wide) lines.push(shown.slice(i, i + wide).join(", "));
  if (output.data.length > shown.length) lines.push(`... (${output.data.length} in all)`);
  const text = output.data.length ? lines.join("\n") : "nothing: an axis of this output has size 0";
  return element("pre", { textContent: text, tabIndex: 0, ariaLabel: `values of ${output.name}` });
}

// Floats with the digits that their datatype has, everything else as it is; texts in quotes, so that one is told from two.
function valueText(value, datatype) {
  if (typeof value === "number") {
    const digits = { FP16: 4, FP32: 7 }[datatype];
    return String(digits ? Number(value.toPrecision(digits)) : value);
  }
  if (datatype !== "BYTES") return String(value);
  return JSON.stringify(value.length > LONGEST_TEXT ? `${value.slice(0, LONGEST_TEXT)}... (${value.length} characters)` : value);
}
