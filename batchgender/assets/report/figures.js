"use strict";
// The figures at a threshold, counted from the report's data as `classify --threshold` counts them.

const report = JSON.parse(document.getElementById("report").textContent);
const details = report.details;
const classes = Object.keys(report.classes);
const UNSURE = "Unsure";
const Z_95 = 1.959963984540054;

const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);
const share = (part, whole) => (whole ? part / whole : null);

// The 95 % score interval of a share (Wilson 1927), as the report's.
function wilson(correct, count) {
  if (!count) return null;
  const part = correct / count, z = Z_95;
  const middle = (part + (z * z) / (2 * count)) / (1 + (z * z) / count);
  const half = (z / (1 + (z * z) / count)) * Math.sqrt((part * (1 - part)) / count + (z * z) / (4 * count * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

// One decimal; a tie goes to the even digit, as Python prints it.
function oneDecimal(value) {
  const tie = (value * 4) % 1 === 0 && (value * 20) % 2 === 1;
  if (!tie) return value.toFixed(1);
  const below = Math.floor(value * 10);
  return ((below + (below % 2)) / 10).toFixed(1);
}

const percent = (part) => (part === null ? "-" : `${oneDecimal(100 * part)} %`);
const bounds = (interval) => (interval ? `${oneDecimal(100 * interval[0])} to ${oneDecimal(100 * interval[1])}` : "");
const counted = (count) => count.toLocaleString("en-US");
const thresholdText = (step) => (step / details.steps).toFixed(3).replace(/0$/, "");

// Photos by label and answer, the last answer being Unsure: Map of Maps. `step` is the threshold.
function confusionAt(cells, step) {
  const confusion = new Map(classes.map((label) => [label, new Map([...classes, UNSURE].map((name) => [name, 0]))]));
  for (const { label, answer, steps, counts } of cells) {
    const row = confusion.get(label);
    if (!row) continue;
    steps.forEach((at, index) => {
      const given = at >= step ? answer : UNSURE;
      row.set(given, row.get(given) + counts[index]);
    });
  }
  return confusion;
}

// How many answers there are of each class, and Unsure, photos without a label too.
function predictionsAt(cells, step) {
  const predictions = new Map([...classes, UNSURE].map((name) => [name, 0]));
  for (const { answer, steps, counts } of cells)
    steps.forEach((at, index) => {
      const given = at >= step ? answer : UNSURE;
      predictions.set(given, predictions.get(given) + counts[index]);
    });
  return predictions;
}

function figuresOf(confusion) {
  const perClass = classes.map((name) => {
    const row = confusion.get(name);
    const hits = row.get(name);
    const answered = sum(classes.map((answer) => row.get(answer)));
    const predicted = sum(classes.map((label) => confusion.get(label).get(name)));
    return {
      name,
      recall: share(hits, answered),
      interval: wilson(hits, answered),
      precision: share(hits, predicted),
      f1: share(2 * hits, answered + predicted),
      support: answered + row.get(UNSURE),
      hits,
      answered,
    };
  });
  const answered = sum(perClass.map((each) => each.answered));
  const correct = sum(perClass.map((each) => each.hits));
  const evaluated = sum(perClass.map((each) => each.support));
  const recalls = perClass.map((each) => each.recall).filter((recall) => recall !== null);
  return {
    classes: perClass,
    confusion,
    evaluated,
    answered,
    unsure: evaluated - answered,
    coverage: share(answered, evaluated),
    accuracy: share(correct, answered),
    interval: wilson(correct, answered),
    balanced: recalls.length ? sum(recalls) / recalls.length : null,
    gap: gapOf(recalls),
  };
}

function gapOf(shares) {
  const known = shares.filter((each) => each !== null);
  return known.length > 1 ? Math.max(...known) - Math.min(...known) : null;
}

// The groups of a column: with `step` null as in the run, else counted anew.
function groupsAt(column, step) {
  return Object.entries(report.groups.columns[column].groups).map(([name, asRun]) => {
    const given = { name, count: asRun.count, small: asRun.small };
    if (step === null)
      return {
        ...given,
        accuracy: asRun.accuracy,
        interval: asRun.accuracy_interval_95,
        unsure: asRun.unsure,
        classes: classes.map((each) => ({ ...asRun.classes[each], interval: asRun.classes[each].recall_interval_95 })),
      };
    const figures = figuresOf(confusionAt(details.groups[column][name], step));
    const recalls = figures.classes.map(({ recall, interval, support }) => ({ recall, interval, count: support }));
    return { ...given, accuracy: figures.accuracy, interval: figures.interval, unsure: figures.unsure, classes: recalls };
  });
}

// How far the groups lie apart: over those that are not small, as the report's.
function groupGaps(groups) {
  const large = groups.filter((group) => !group.small);
  const smallest = report.groups.smallest_group;
  const recallGaps = classes.map((_, at) =>
    gapOf(large.filter((group) => group.classes[at].count >= smallest).map((group) => group.classes[at].recall)),
  );
  const known = recallGaps.filter((gap) => gap !== null);
  return { accuracy: gapOf(large.map((group) => group.accuracy)), odds: known.length ? Math.max(...known) : null };
}

const asRun = {
  confusion: new Map(classes.map((label) => [label, new Map(Object.entries(report.confusion[label]))])),
  predictions: new Map(Object.entries(report.predictions)),
};

// All figures that a threshold decides; with `step` null those of the run.
function figuresAt(step) {
  const cells = details.confidences;
  const figures = figuresOf(step === null ? asRun.confusion : confusionAt(cells, step));
  return { ...figures, predictions: step === null ? asRun.predictions : predictionsAt(cells, step) };
}

const lowestStep = Math.min(
  Math.floor(details.steps / classes.length),
  ...details.confidences.map((cell) => cell.steps[0]),
);

// The step that the run's own threshold is; null where it is none, or each class has its own.
function stepOfRun() {
  const thresholds = [...new Set(classes.map((name) => report.thresholds?.[name] ?? 0))];
  const step = thresholds[0] * details.steps;
  return thresholds.length === 1 && Math.abs(step - Math.round(step)) < 1e-9 ? Math.round(step) : null;
}
