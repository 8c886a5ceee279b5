// Outputs: bars where they are probabilities of classes, numbers otherwise.

function showResults(node, answer, labels) {
  node.replaceChildren();
  for (const output of answer.outputs) {
    node.append(element("h3", { textContent: `${output.name} ${output.datatype} ${shapeText(output.shape)}` }));
    node.append(isDistribution(output) ? bars(output, labels[output.name] || []) : numbers(output));
  }
}

function bars(output, labels) {
  const classes = output.shape[output.shape.length - 1];
  const ranked = output.data.slice(0, classes).map((p, index) => ({ p, index })).sort((a, b) => b.p - a.p).slice(0, 10);
  const called = (index) => (labels[index] === undefined ? String(index) : labels[index]);
  const box = element("div", {}, element("p", { className: "answer", textContent: called(ranked[0].index) }));
  ranked.forEach(({ p, index }, place) => {
    const bar = element("i");
    bar.style.width = `${(100 * p).toFixed(1)}%`;
    box.append(element("div", { className: place === 0 ? "class best" : "class" }, element("span", { textContent: called(index) }), bar, element("span", { textContent: `${(100 * p).toFixed(1)} %` })));
  });
  if (output.data.length > classes) box.append(element("p", { textContent: `the first of ${output.data.length / classes} rows` }));
  return box;
}

function numbers(output) {
  const shown = output.data.slice(0, 1000).map((value) => (typeof value === "number" ? Number(value.toPrecision(7)) : value));
  const more = output.data.length > 1000 ? `, ... (${output.data.length} in all)` : "";
  return element("pre", { textContent: shown.join(", ") + more });
}
