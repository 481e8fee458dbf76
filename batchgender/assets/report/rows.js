"use strict";
// The photos worth a look: a gallery, and a table that can be sorted and searched.

const LISTS = [
  ["mistakes", "The most confident mistakes", "confident mistake"],
  ["least_sure", "The least sure", "least sure"],
  ["unreadable", "Unreadable", "unreadable"],
  ["no_face", "No face found", "no face"],
];
const AT_FIRST = 12;
const shown = [];

// An element with attributes and children; strings become text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const millionths = (value) => Math.round(value * 1e6);
const isUnsure = (row, step) => row.confidence !== null && millionths(row.confidence) < step * (1e6 / details.steps);

function answerAt(row, step) {
  if (row.confidence === null) return "";
  if (step === null) return row.prediction;
  return isUnsure(row, step) ? UNSURE : row.answer;
}

// The number of a face tells something where photos have several.
const severalFaces = LISTS.some(([key]) => details[key].some((row) => row.face && row.face.number > 1));

function placeOf(row) {
  const time = row.time === null ? "" : ` at ${row.time} s`;
  return `${row.path}${time}${row.face && severalFaces ? `, face ${row.face.number}` : ""}`;
}

function inWords(row, step) {
  const label = row.label ? `labelled ${row.label}, ` : "";
  return row.error ? `${label}${row.error}` : `${label}answered ${answerAt(row, step)}, confidence ${row.confidence.toFixed(3)}`;
}

function card(row) {
  const words = make("div");
  const picture = row.picture
    ? make("img", { src: `data:image/jpeg;base64,${row.picture}`, alt: "" })
    : make("div", { class: "blank" }, row.error || "no picture");
  const path = make("div", { class: "path", title: placeOf(row) }, placeOf(row));
  const maps = (row.heat_maps ?? []).map((map, at) =>
    make("img", { src: `data:image/jpeg;base64,${map}`, alt: `Heat map by ${report.heat_maps.titles[at]}` }),
  );
  const pictures = maps.length ? make("div", { class: "explained" }, picture, ...maps) : picture;
  const item = make("li", {}, pictures, make("div", { class: "about" }, words, path));
  shown.push((step) => {
    words.textContent = inWords(row, step);
    if (row.picture) picture.alt = `${placeOf(row)}: ${words.textContent}`;
    item.classList.toggle("unsure", answerAt(row, step) === UNSURE);
  });
  return item;
}

function heatMapsLegend({ titles, low, high }) {
  const mark = (kind, meaning) => [make("span", { class: kind, "aria-hidden": "true" }, "■"), meaning];
  return make("p", { class: "caption" }, `Beside each photo, what spoke for the answer: ${listed(titles)}. `,
    ...mark("low", ` Blue ${low}, `), ...mark("high", ` red ${high}; what has no colour says nothing.`));
}

function gallery() {
  const section = document.getElementById("gallery");
  for (const [key, title] of LISTS) {
    const rows = details[key];
    if (!rows.length) continue;
    const list = make("ul", { class: "gallery", id: `gallery-${key}` }, ...rows.slice(0, AT_FIRST).map(card));
    section.append(make("h3", {}, title));
    if (key === "mistakes" && report.heat_maps) {
      list.style.setProperty("--pictures", 1 + report.heat_maps.titles.length);
      section.append(heatMapsLegend(report.heat_maps));
    }
    section.append(list);
    if (rows.length <= AT_FIRST) continue;
    const more = make("button", { type: "button", "aria-controls": list.id }, `Show all ${rows.length}`);
    more.addEventListener("click", () => {
      const rest = rows.slice(AT_FIRST).map(card);
      list.append(...rest);
      more.remove();
      showRows(currentStep);
      rest[0].tabIndex = -1;
      rest[0].focus({ preventScroll: true });
    });
    section.append(more);
  }
  if (!LISTS.some(([key]) => details[key].length)) section.append(make("p", {}, "There are none."));
}

const COLUMNS = [
  ["photo", (row) => placeOf(row)],
  ["why", (row) => row.why.join(", ")],
  ["label", (row) => row.label],
  ["answer", (row, step) => answerAt(row, step)],
  ["confidence", (row) => row.confidence],
  ["error", (row) => row.error],
];
let sorting = { column: 1, down: false };

function mergedRows() {
  const merged = new Map();
  for (const [key, , why] of LISTS)
    for (const row of details[key]) {
      const place = placeOf(row);
      if (merged.has(place)) merged.get(place).why.push(why);
      else merged.set(place, { ...row, why: [why] });
    }
  return [...merged.values()];
}

function rowsTable() {
  const table = document.getElementById("table-rows"), search = document.getElementById("search");
  const rows = mergedRows();
  const body = make("tbody");
  const heads = COLUMNS.map(([name], at) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => {
      sorting = { column: at, down: sorting.column === at && !sorting.down };
      showRows(currentStep);
    });
    return make("th", { scope: "col", class: name === "confidence" ? "number" : "" }, button);
  });
  table.append(make("thead", {}, make("tr", {}, ...heads)), body);
  const fill = (step) => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const cells = rows.map((row) => COLUMNS.map(([, value]) => value(row, step)));
    const found = cells.filter((row) => {
      const text = row.map((cell) => (typeof cell === "number" ? cell.toFixed(6) : cell)).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const at = sorting.column, sign = sorting.down ? -1 : 1;
    // What has no value comes last, whichever way.
    const empty = (value) => value === null || value === "";
    found.sort((one, other) =>
      empty(one[at]) || empty(other[at])
        ? empty(one[at]) - empty(other[at])
        : sign * (typeof one[at] === "number" ? one[at] - other[at] : one[at].localeCompare(other[at])),
    );
    body.replaceChildren(
      ...found.map((row) =>
        make("tr", {}, ...row.map((cell) => (typeof cell === "number" ? make("td", { class: "number" }, cell.toFixed(6)) : make("td", {}, cell ?? "")))),
      ),
    );
    heads.forEach((head, index) => {
      if (index === at) head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    document.getElementById("found").textContent = `${counted(found.length)} of ${counted(rows.length)} rows`;
  };
  search.addEventListener("input", () => fill(currentStep));
  shown.push(fill);
}

function showRows(step) {
  for (const show of shown) show(step);
}
