"use strict";
const answer = document.getElementById("answer");
const controls = () => [...document.querySelectorAll("[data-column]")];

function add(parent, tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  parent.append(made);
  return made;
}

function short(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : JSON.stringify(value);
}

function row() {
  const cells = Object.create(null);
  for (const control of controls()) {
    cells[control.dataset.column] = control.value;  // the server knows how its column is written
  }
  return cells;
}

function showClasses(found) {
  if (found.predictions.length === 1) {
    add(answer, "div", `${found.target}: ${found.predictions[0]}`, "value");
    const table = add(answer, "table");
    const order = found.classes.map((_, i) => i);
    order.sort((a, b) => found.probabilities[0][b] - found.probabilities[0][a]);
    for (const i of order) {
      const line = add(table, "tr");
      add(line, "th", found.classes[i]);
      add(line, "td", `${(100 * found.probabilities[0][i]).toFixed(1)} %`);
      const bar = add(add(line, "td"), "meter");
      bar.value = found.probabilities[0][i];
      bar.setAttribute("aria-label", `probability of ${found.classes[i]}`);
    }
    return;
  }
  showRows([found.target, ...found.classes.map((name) => `p(${name})`)],
    found.predictions.map((name, i) => [name, ...found.probabilities[i].map(short)]));
}

function showRows(head, rows) {
  const table = add(answer, "table");
  const first = add(table, "tr");
  for (const name of head) add(first, "th", name);
  for (const cells of rows.slice(0, 100)) {
    const line = add(table, "tr");
    for (const cell of cells) add(line, "td", cell);
  }
  if (rows.length > 100) add(answer, "p", `and ${rows.length - 100} more rows`);
}

function show(found) {
  if (found.classes) showClasses(found);
  else if (found.predictions && found.predictions.length === 1) {
    add(answer, "div", `${found.target}: ${short(found.predictions[0])}`, "value");
  } else if (found.predictions) showRows([found.target], found.predictions.map((y) => [short(y)]));
  else if (Array.isArray(found.outputs)) showRows(["output"], found.outputs.map((y) => [short(y)]));
  else for (const [name, y] of Object.entries(found.outputs)) showRows([name], y.map((one) => [short(one)]));
  for (const warning of found.warnings) add(answer, "p", warning);
}

async function ask(form, type, body) {
  const button = form.querySelector("button");
  button.disabled = true;
  for (const control of controls()) control.removeAttribute("aria-invalid");
  try {
    const headers = { "Content-Type": type, Accept: "application/json" };
    const response = await fetch("predict", { method: "POST", headers, body });
    const found = await response.json();
    answer.replaceChildren();
    answer.className = response.ok ? "" : "bad";
    if (response.ok) show(found);
    else {
      add(answer, "div", found.error.message);
      const wrong = form.id === "row" && controls().find((c) => c.dataset.column === found.error.column);
      if (wrong) {
        wrong.setAttribute("aria-invalid", "true");
        wrong.focus();
      }
    }
  } catch (error) {
    answer.replaceChildren();
    answer.className = "bad";
    add(answer, "div", `no answer: ${error.message}`);
  } finally {
    answer.hidden = false;
    answer.scrollIntoView({ block: "nearest" });
    button.disabled = false;
  }
}

document.getElementById("row").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(event.target, "application/json", JSON.stringify({ rows: [row()] }));
});
document.getElementById("rows").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = document.getElementById("body");
  ask(event.target, body.dataset.type, body.value);
});
