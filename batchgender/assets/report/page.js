"use strict";
// The page: figures and charts for the run, and again for each threshold that is chosen.

let currentStep = null;
const byId = (id) => document.getElementById(id);

function table(element, heads, rows) {
  const head = heads.map(([text, kind]) => make("th", { scope: "col", class: kind ?? "" }, text));
  element.replaceChildren(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

const cell = (text, kind = "number") => make("td", { class: kind }, text);
const head = (text) => make("th", { scope: "row" }, text);

function plural(count, one, several = `${one}s`) {
  return `${counted(count)} ${count === 1 ? one : several}`;
}

// "a", "a and b", "a, b and c".
const listed = (words) => [words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" and ");

// What a manager needs to know, in sentences.
function summary(figures) {
  const lines = [];
  if (figures.evaluated && figures.accuracy !== null) {
    lines.push(
      `${percent(figures.accuracy)} of the model's answers agree with the labels of ${plural(figures.answered, "photo")}. ` +
        `Of other photos from the same sources, expect between ${bounds(figures.interval).replace("to", "and")} %.`,
    );
    const recalls = figures.classes.filter((each) => each.recall !== null);
    const told = recalls.length > 4 ? d3.sort(recalls, (each) => each.recall).filter((_, at, all) => at === 0 || at === all.length - 1) : recalls;
    const words = told.map((each, at) => `${percent(each.recall)} of ${at ? "those" : "the photos"} labelled ${each.name}`);
    const gap = figures.gap === null ? "" : `: a gap of ${oneDecimal(100 * figures.gap)} points`;
    lines.push(`The answers are right for ${listed(words)}${gap}.`);
  } else if (figures.evaluated) lines.push("No photo is answered at this threshold.");
  else if (report.labelled) lines.push("None of the labelled photos could be answered.");
  else {
    const all = sum([...figures.predictions.values()]);
    const parts = [...figures.predictions].filter(([name, count]) => count || name !== UNSURE);
    lines.push(
      all
        ? `Of ${plural(all, report.faces ? "face" : "photo")}, ${listed(parts.map(([name, count]) => `${counted(count)} (${percent(count / all)}) are answered ${name}`))}.`
        : "No photo could be answered.",
    );
    lines.push("No photo carries a label, so nothing is known of right and wrong answers.");
  }
  if (figures.unsure) lines.push(`${percent(figures.unsure / figures.evaluated)} of the photos get no answer: their confidence is below the threshold (Unsure).`);
  const left = [];
  if (report.no_face) left.push(`${plural(report.no_face, "photo shows", "photos show")} no face`);
  if (report.unreadable) left.push(`${plural(report.unreadable, "photo", "photos")} could not be read`);
  if (left.length) lines.push(`${listed(left)}.`);
  if (report.labelled && report.unlabelled) lines.push(`${plural(report.unlabelled, "photo")} without a label ${report.unlabelled === 1 ? "is" : "are"} in no figure on right and wrong answers.`);
  byId("summary").replaceChildren(...lines.map((line) => make("p", {}, line)));
}

function cards(figures) {
  const list = [];
  const add = (name, value, below = "") => list.push(make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, below))));
  if (figures.evaluated) {
    add("Accuracy", percent(figures.accuracy), figures.interval ? `95 % interval ${bounds(figures.interval)}` : "");
    if (classes.length <= 4) for (const each of figures.classes) add(`Recall ${each.name}`, percent(each.recall), each.interval ? `95 % interval ${bounds(each.interval)}` : "no answer");
    add("Recall gap", figures.gap === null ? "-" : `${oneDecimal(100 * figures.gap)} points`, "best 0");
    add("Balanced accuracy", percent(figures.balanced), "each class counts the same");
    add("Answered", percent(figures.coverage), `coverage: ${counted(figures.answered)} of ${counted(figures.evaluated)}`);
  }
  add("Photos", counted(report.photos), report.faces ? plural(report.faces, "face") : "");
  const all = sum([...figures.predictions.values()]);
  if (classes.length <= 4 || !figures.evaluated)
    for (const [name, count] of figures.predictions) if (count || name !== UNSURE) add(`Answers ${name}`, counted(count), percent(share(count, all)));
  if (report.no_face || report.faces) add("No face found", counted(report.no_face), "photos");
  add("Unreadable", counted(report.unreadable), "photos");
  byId("cards").replaceChildren(...list);
}

function classesTable(figures) {
  const rows = figures.classes.map((each) =>
    make("tr", {}, head(each.name), cell(percent(each.recall)), cell(bounds(each.interval)), cell(percent(each.precision)), cell(percent(each.f1)), cell(counted(each.support))),
  );
  table(byId("table-classes"), [["class"], ["recall", "number"], ["95 % interval", "number"], ["precision", "number"], ["F1", "number"], ["photos", "number"]], rows);
}

function confusionTable(figures) {
  const answers = figures.unsure ? [...classes, UNSURE] : classes;
  const rows = classes.map((label) => {
    const row = figures.confusion.get(label), whole = sum([...row.values()]);
    return make("tr", {}, head(`labelled ${label}`), ...answers.map((answer) => {
      const count = row.get(answer), part = share(count, whole) ?? 0;
      const item = make("td", { class: part ? "" : "plain" }, make("b", {}, counted(count)), percent(share(count, whole)));
      if (part) item.style.background = `color-mix(in srgb, var(--tint) ${Math.round(100 * Math.sqrt(part))}%, var(--paper))`;
      return item;
    }));
  });
  table(byId("table-confusion"), [["", ""], ...answers.map((answer) => [`as ${answer}`])], rows);
}

function charts(figures) {
  const threshold = currentStep === null ? runThreshold : currentStep / details.steps;
  if (figures.evaluated) {
    const recalls = figures.classes.map((each) => `${each.name} ${percent(each.recall)}`).join(", ");
    draw(byId("chart-classes"), `Bars of the recall of each class: ${recalls}`, (width) => classBars(width, figures.classes));
    draw(byId("chart-coverage"), `Curve of accuracy against coverage; at this threshold ${percent(figures.accuracy)} of ${percent(figures.coverage)} answered`, (width) => coverageCurve(width, figures));
    draw(byId("chart-reliability"), `Bars of the accuracy at each confidence; expected calibration error ${report.ece.toFixed(4)}`, (width) => reliability(width, threshold));
    draw(byId("chart-reliability-counts"), "Bars of how many photos have each confidence", (width) => reliabilityCounts(width));
  }
  if (figures.evaluated && details.curve) {
    draw(byId("chart-roc"), `ROC curve; area under it ${report.auroc.toFixed(4)}`, rocCurve);
    draw(byId("chart-precision"), "Curve of precision against recall", precisionCurve);
  }
  const histograms = report.labelled
    ? [["Right answers", (cell) => cell.label && cell.label === cell.answer, "var(--right)"], ["Wrong answers", (cell) => cell.label && cell.label !== cell.answer, "var(--wrong)"]]
    : [];
  if (report.unlabelled || !report.labelled)
    for (const [at, name] of classes.entries()) histograms.push([`Answered ${name}${report.labelled ? ", without a label" : ""}`, (cell) => !cell.label && cell.answer === name, colours[at % colours.length]]);
  const place = byId("chart-confidence");
  if (place) {
    if (!place.children.length) place.append(...histograms.map(([title]) => make("div", {}, make("h3", {}, title), make("div", { class: "chart" }))));
    histograms.forEach(([title, belongs, colour], at) =>
      draw(place.children[at].lastChild, `Histogram of the confidence: ${title}`, (width) => histogram(width, belongs, colour, threshold)),
    );
  }
}

function groupTables(figures) {
  for (const [column, asRun] of Object.entries(report.groups.columns)) {
    const place = groupPlaces.get(column), groups = groupsAt(column, currentStep), gaps = groupGaps(groups);
    const judged = groups.filter((group) => !group.small && group.accuracy !== null);
    const extremes = judged.length > 1 ? [d3.least(judged, (group) => group.accuracy), d3.greatest(judged, (group) => group.accuracy)] : [];
    const rows = groups.map((group) =>
      make("tr", { class: extremes.includes(group) ? "extreme" : "" }, head(group.small ? `${group.name} *` : group.name), cell(counted(group.count)), cell(percent(group.accuracy)), cell(bounds(group.interval)),
        ...group.classes.map((each) => cell(percent(each.recall))), cell(percent(share(group.count - group.unsure, group.count)))),
    );
    table(place.table, [[column], ["photos", "number"], ["accuracy", "number"], ["95 % interval", "number"], ...classes.map((name) => [`recall ${name}`, "number"]), ["answered", "number"]], rows);
    const lines = [
      gaps.accuracy === null
        ? "Fewer than two groups to compare."
        : `Largest gap in accuracy: ${oneDecimal(100 * gaps.accuracy)} points, between ${extremes[1].name} and ${extremes[0].name}; equalised-odds difference ${gaps.odds === null ? "-" : gaps.odds.toFixed(3)}.`,
    ];
    if (groups.some((group) => group.small)) lines.push(`* fewer than ${report.groups.smallest_group} labelled photos: left out of the comparison.`);
    if (asRun.in_no_group) lines.push(`${plural(asRun.in_no_group, "labelled photo")} in no group.`);
    if (asRun.all_groups > groups.length) lines.push(`The first ${groups.length} of ${counted(asRun.all_groups)} groups; the JSON report has all. The gap is of those shown.`);
    place.words.textContent = lines.join(" ");
    if (groups.length && groups.length <= 40) draw(place.chart, `Accuracy of each group of ${column} with its 95 % interval`, (width) => groupDots(width, groups, figures.accuracy));
  }
}

const groupPlaces = new Map();
if (report.groups)
  for (const column of Object.keys(report.groups.columns)) {
    const place = { words: make("p"), chart: make("div", { class: "chart" }), table: make("table") };
    const scroll = make("div", { class: "scroll", role: "region", "aria-label": `Groups by ${column}`, tabindex: "0" }, place.table);
    byId("groups").append(make("h3", {}, column), place.words, place.chart, scroll);
    groupPlaces.set(column, place);
  }

function trainingCharts() {
  const place = byId("chart-training");
  if (!place) return;
  const charts = [
    ["Loss", [["training", "loss"], ["validation", "val_loss"]], { label: "cross entropy", zero: true }],
    ["Validation accuracy", [["validation", "val_accuracy", 100]], { label: "%", apart: 2 }],
    ["Learning rate", [["learning rate", "learning_rate"]], { label: null, zero: true, tickFormat: ".1e" }],
  ].filter(([, series]) => report.training.history.some((each) => Number.isFinite(each[series[0][1]])));
  if (!place.children.length)
    place.append(...charts.map(([title, series]) => {
      const legend = series.length > 1 ? series.map(([name], at) => {
        const mark = make("span", {}, at ? " ■ " : "■ ");
        mark.style.color = colours[at];
        return [mark, name];
      }).flat() : [];
      return make("div", {}, make("h3", {}, title, legend.length ? ": " : "", ...legend), make("div", { class: "chart" }));
    }));
  charts.forEach(([title, series, options], at) => draw(place.children[at].lastChild, `${title} by epoch`, (width) => epochCurves(width, series, options)));
  byId("caption-training").textContent = `${plural(report.training.history.length, "epoch")}; the dashed line is epoch ${report.training.chosen_epoch}, whose weights are kept. The figures above are of the test split.`;
}

function captions() {
  if (details.curve && report.auroc !== null) {
    const { positive } = details.curve;
    byId("caption-roc").textContent = `AUROC ${report.auroc.toFixed(4)}: how often a photo labelled ${positive} gets a higher probability of it than another; best 1. It does not depend on the threshold.`;
    byId("caption-precision").textContent = `Each point is a limit on the probability of ${positive}, from high at the left to low at the right. It does not depend on the threshold.`;
  }
  if (byId("calibration") && report.ece !== null) {
    const before = report.ece_uncalibrated === null ? "" : `, ${report.ece_uncalibrated.toFixed(4)} before calibration`;
    byId("calibration").textContent = `Expected calibration error ${report.ece.toFixed(4)}${before}, ${report.ece_by_chance.toFixed(4)} by chance alone; best 0.`;
  }
  if (byId("caption-confidence"))
    byId("caption-confidence").textContent = "How many photos have each confidence; each histogram has its own scale. What lies left of the line is Unsure at this threshold.";
}

// One threshold for all classes that the run had, 0 for none; null where each has its own.
const runStep = stepOfRun();
const runThreshold = runStep === null ? null : runStep / details.steps;

function show() {
  const figures = figuresAt(currentStep);
  summary(figures);
  cards(figures);
  if (figures.evaluated) {
    classesTable(figures);
    confusionTable(figures);
  }
  charts(figures);
  if (report.groups) groupTables(figures);
  showRows(currentStep);
  showThreshold(figures);
}

function showThreshold(figures) {
  const slider = byId("threshold");
  if (!slider) return;
  const all = sum([...figures.predictions.values()]), answered = all - figures.predictions.get(UNSURE);
  const own = Object.entries(report.thresholds ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  byId("threshold-value").textContent = currentStep === null && runThreshold === null ? "its own" : thresholdText(currentStep ?? Math.max(runStep, lowestStep));
  const effect = `${percent(share(answered, all))} of the photos answered` + (figures.evaluated ? `, ${percent(figures.accuracy)} of the answers to labelled ones right` : "");
  byId("threshold-effect").textContent = `${effect}. ${currentStep === null ? `As in this run, thresholds: ${own || "none"}.` : `As classify --threshold ${thresholdText(currentStep)}.`}`;
  slider.setAttribute("aria-valuetext", `${byId("threshold-value").textContent}: ${effect}`);
  byId("as-run").disabled = currentStep === null;
}

const slider = byId("threshold");
function asInTheRun() {
  currentStep = null;
  slider.value = Math.max(runStep ?? lowestStep, lowestStep);
}
if (slider) {
  Object.assign(slider, { min: lowestStep, max: details.steps, step: 1 });
  asInTheRun();
  let waiting = 0;
  slider.addEventListener("input", () => {
    currentStep = Number(slider.value);
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(show);
  });
  byId("as-run").addEventListener("click", () => {
    asInTheRun();
    show();
    slider.focus();
  });
}

captions();
gallery();
rowsTable();
show();
trainingCharts();
let drawnWidth = document.body.clientWidth;
new ResizeObserver(() => {
  if (document.body.clientWidth === drawnWidth) return;
  drawnWidth = document.body.clientWidth;
  show();
  trainingCharts();
}).observe(document.body);
