"use strict";
// The charts, by Observable Plot: SVG whose colours are those of the page's style.

const HUNDRED = [0, 100];
const GRID = { grid: true, nice: false };
const inPercent = (value) => (value === null ? null : 100 * value);
const shortened = (name, most = 18) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
const colours = [1, 2, 3, 4, 5, 6].map((number) => `var(--c${number})`);

// Draw what `make` gives for the width of the element, and say in words what it shows.
function draw(element, words, make) {
  const width = Math.max(Math.round(element.clientWidth), 240);
  const svg = make(width);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words);
  element.replaceChildren(svg);
}

function plot(width, height, options) {
  return Plot.plot({ width, height, marginTop: 26, marginBottom: 38, marginLeft: 48, style: { fontSize: "12px" }, ...options });
}

function classBars(width, perClass) {
  const data = perClass
    .filter((each) => each.recall !== null)
    .map((each) => ({
      name: each.name,
      recall: inPercent(each.recall),
      low: 100 * each.interval[0],
      high: 100 * each.interval[1],
    }));
  const longest = Math.max(...perClass.map((each) => shortened(each.name).length));
  const inset = perClass.length > 12 ? 1 : 6;
  return plot(width, 46 + (28 + 2 * inset) * perClass.length, {
    marginTop: 6,
    marginLeft: 20 + 7 * longest,
    marginRight: 62,
    x: { domain: HUNDRED, label: "recall (%)", ...GRID },
    y: { domain: perClass.map((each) => each.name), label: null, tickFormat: (name) => shortened(name), tickSize: 0 },
    marks: [
      Plot.barX(data, { x: "recall", y: "name", fill: "var(--right)", fillOpacity: 0.7, insetTop: inset, insetBottom: inset }),
      Plot.ruleY(data, { x1: "low", x2: "high", y: "name", stroke: "currentColor", strokeWidth: 3 }),
      Plot.text(data, { x: 100, y: "name", dx: 6, textAnchor: "start", text: (each) => `${oneDecimal(each.recall)} %` }),
    ],
  });
}

// Accuracy and coverage at each threshold of the slider.
const coveragePoints = d3.range(lowestStep, details.steps + 1).map((step) => {
  const { coverage, accuracy, interval } = figuresOf(confusionAt(details.confidences, step));
  return { step, coverage: inPercent(coverage), accuracy: inPercent(accuracy), interval: interval?.map(inPercent) };
}).filter((point) => point.accuracy !== null);

function coverageCurve(width, now) {
  const lowest = d3.min(coveragePoints, (point) => Math.min(point.accuracy, point.coverage > 5 ? point.interval[0] : 100));
  const floor = Math.min(Math.floor(lowest / 5) * 5, 95);
  const band = coveragePoints.map((p) => ({ coverage: p.coverage, low: Math.max(p.interval[0], floor), high: p.interval[1] }));
  const dot = now.accuracy === null ? [] : [{ coverage: inPercent(now.coverage), accuracy: inPercent(now.accuracy) }];
  return plot(width, 300, {
    x: { domain: HUNDRED, label: "coverage: photos answered (%)", ...GRID },
    y: { domain: [Math.min(floor, ...dot.map((d) => Math.floor(d.accuracy))), 100], label: "accuracy (%)", ...GRID },
    marks: [
      Plot.areaY(band, { x: "coverage", y1: "low", y2: "high", fill: "var(--right)", fillOpacity: 0.18 }),
      Plot.line(coveragePoints, { x: "coverage", y: "accuracy", stroke: "var(--right)", strokeWidth: 2 }),
      Plot.dot(dot, { x: "coverage", y: "accuracy", r: 6, fill: "var(--wrong)", stroke: "var(--paper)", strokeWidth: 2 }),
    ],
  });
}

const reliabilityRange = () => [Math.min(...details.reliability.map((bin) => bin.lower), 0.8), 1].map((each) => 100 * each);

function reliability(width, threshold) {
  const data = details.reliability.map((bin) => ({
    low: 100 * bin.lower + 0.3,
    high: 100 * bin.upper - 0.3,
    accuracy: 100 * bin.accuracy,
    confidence: 100 * bin.confidence,
  }));
  const [from] = reliabilityRange();
  return plot(width, 250, {
    x: { domain: reliabilityRange(), label: "confidence (%)", ...GRID },
    y: { domain: HUNDRED, label: "accuracy (%)", ...GRID },
    marks: [
      Plot.rect(data, { x1: "low", x2: "high", y1: 0, y2: "accuracy", fill: "var(--right)", fillOpacity: 0.55 }),
      Plot.line([[from, from], [100, 100]], { stroke: "currentColor", strokeDasharray: "5,4", strokeWidth: 1.5 }),
      Plot.dot(data, { x: "confidence", y: "accuracy", r: 3.5, fill: "currentColor" }),
      ...thresholdRule(threshold, from),
    ],
  });
}

function reliabilityCounts(width) {
  const data = details.reliability.map((bin) => ({ low: 100 * bin.lower + 0.3, high: 100 * bin.upper - 0.3, count: bin.count }));
  const narrow = width / data.length < 42;
  return plot(width, 120, {
    marginTop: 22,
    marginBottom: 24,
    x: { domain: reliabilityRange(), label: null },
    y: { label: "photos", ticks: 3, tickFormat: "~s", ...GRID },
    marks: [
      Plot.rect(data, { x1: "low", x2: "high", y1: 0, y2: "count", fill: "var(--muted)", fillOpacity: 0.5 }),
      Plot.text(data, {
        x: (each) => (each.low + each.high) / 2,
        y: "count",
        dy: -7,
        text: (each) => (narrow ? d3.format(".2~s")(each.count) : counted(each.count)),
      }),
    ],
  });
}

function thresholdRule(threshold, from = 0) {
  if (threshold === null || 100 * threshold <= from) return [];
  return [Plot.ruleX([100 * threshold], { stroke: "var(--wrong)", strokeWidth: 2 })];
}

function curvePoints() {
  const { positives, negatives, thresholds, true_positives: right, false_positives: wrong } = details.curve;
  return thresholds.map((threshold, at) => ({
    threshold,
    recall: (100 * right[at]) / positives,
    falls: (100 * wrong[at]) / negatives,
    precision: (100 * right[at]) / (right[at] + wrong[at]),
  }));
}

function rocCurve(width) {
  const { positive } = details.curve;
  return plot(width, Math.min(width, 360), {
    x: { domain: HUNDRED, label: `other photos taken for ${shortened(positive)} (%)`, ...GRID },
    y: { domain: HUNDRED, label: `${shortened(positive)} photos found (%)`, ...GRID },
    marks: [
      Plot.line([[0, 0], [100, 100]], { stroke: "currentColor", strokeDasharray: "5,4", strokeOpacity: 0.7 }),
      Plot.line([{ recall: 0, falls: 0 }, ...curvePoints()], { x: "falls", y: "recall", stroke: "var(--right)", strokeWidth: 2 }),
    ],
  });
}

function precisionCurve(width) {
  const { positive } = details.curve;
  return plot(width, Math.min(width, 360), {
    x: { domain: HUNDRED, label: `recall: ${shortened(positive)} photos found (%)`, ...GRID },
    y: { domain: HUNDRED, label: "precision (%)", ...GRID },
    marks: [Plot.line(curvePoints(), { x: "recall", y: "precision", stroke: "var(--right)", strokeWidth: 2 })],
  });
}

// Photos by confidence in bars of four steps, those of the cells that `belongs` takes.
function histogram(width, belongs, colour, threshold) {
  const bars = d3.rollup(
    details.confidences.filter(belongs).flatMap((cell) => cell.steps.map((step, at) => ({ step, count: cell.counts[at] }))),
    (some) => d3.sum(some, (each) => each.count),
    // A confidence of exactly 1 belongs to the last bar.
    (each) => Math.floor(Math.min(each.step, details.steps - 1) / 4),
  );
  const scale = 400 / details.steps;
  const data = [...bars].map(([bar, count]) => ({ low: bar * scale, high: (bar + 1) * scale, count }));
  const from = Math.floor((100 * lowestStep) / details.steps / 10) * 10;
  const most = d3.max(data, (each) => each.count) ?? 1;
  return plot(width, 190, {
    x: { domain: [from, 100], label: "confidence (%)" },
    y: { label: "photos", domain: [0, most], ticks: Math.min(4, most), tickFormat: "~s", ...GRID },
    marks: [
      Plot.rect(data, { x1: "low", x2: "high", y1: 0, y2: "count", fill: colour, fillOpacity: 0.75, insetLeft: 0.5, insetRight: 0.5 }),
      Plot.ruleY([0]),
      ...thresholdRule(threshold, from),
    ],
  });
}

// Accuracy of each group with its interval, and that of all photos as a line.
function groupDots(width, groups, overall) {
  const data = groups
    .filter((group) => group.accuracy !== null)
    .map(({ name, accuracy, interval, small }) => ({ name, accuracy: 100 * accuracy, low: 100 * interval[0], high: 100 * interval[1], small }));
  const longest = Math.max(...groups.map((group) => shortened(group.name).length));
  const lowest = Math.max(0, Math.floor((d3.min(data, (each) => each.low) ?? 0) / 10) * 10);
  return plot(width, 46 + 24 * groups.length, {
    marginTop: 6,
    marginLeft: 20 + 7 * longest,
    marginRight: 20,
    x: { domain: [lowest, 100], label: "accuracy (%)", ...GRID },
    y: { domain: groups.map((group) => group.name), label: null, tickFormat: (name) => shortened(name), tickSize: 0 },
    marks: [
      overall === null ? null : Plot.ruleX([100 * overall], { stroke: "currentColor", strokeDasharray: "5,4" }),
      Plot.ruleY(data, { x1: "low", x2: "high", y: "name", stroke: "var(--right)", strokeWidth: 2, strokeOpacity: (each) => (each.small ? 0.4 : 1) }),
      Plot.dot(data, { x: "accuracy", y: "name", r: 4.5, stroke: "var(--right)", strokeWidth: 2, fill: (each) => (each.small ? "var(--paper)" : "var(--right)") }),
    ],
  });
}

// Curves over the epochs of a training; `series` are [name, column, factor]. With `apart` the scale spans at least so much.
function epochCurves(width, series, { apart, ...options }) {
  const { history, chosen_epoch: chosen } = report.training;
  const data = series.flatMap(([name, column, factor = 1]) =>
    history.filter((each) => Number.isFinite(each[column])).map((each) => ({ name, epoch: each.epoch, value: factor * each[column] })),
  );
  const names = series.map(([name]) => name);
  if (apart) {
    const [low, high] = d3.extent(data, (each) => each.value);
    const half = 0.6 * Math.max(high - low, apart);
    options.domain = [Math.max(0, (low + high) / 2 - half), Math.min(100, (low + high) / 2 + half)];
  }
  return plot(width, 240, {
    marginRight: 16,
    marginLeft: 56,
    x: { label: "epoch", domain: [0.5, history.at(-1).epoch + 0.5], ticks: Math.min(history.length, 8), tickFormat: (epoch) => (Number.isInteger(epoch) ? epoch : "") },
    y: { ...options, ...GRID },
    color: { domain: names, range: names.map((_, at) => colours[at]) },
    marks: [
      Plot.ruleX([chosen], { stroke: "currentColor", strokeDasharray: "4,4" }),
      Plot.line(data, { x: "epoch", y: "value", stroke: "name", z: "name", strokeWidth: 2 }),
      history.length < 20 ? Plot.dot(data, { x: "epoch", y: "value", fill: "name", z: "name", r: 3 }) : null,
    ],
  });
}
