// The page: which photos, what is shown, the CSV. The model and the pictures are the worker's.

const SHOWN = 200;
// While one photo is in the model the next are decoded; more would only hold more pictures in memory.
const AT_ONCE = 3;
// The worker's words for such a photo, which is no error.
const NO_FACE = "no face found";
// As batchgender's own list; a folder's other files are no photos.
const PHOTO = /\.(jpe?g|jpe|jfif|png|webp|bmp|dib|tiff?|gif|avif|jp2|p[bgp]m|hei[cf])$/i;

const at = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let asked = 0;
let about = null;
let working = false;
let stopped = false;
// Whether faces were looked for in the photos of the results.
let findFaces = false;
let photos = [];
// Of each photo; where faces are found, one a face.
let rows = [];

function ask(what, given) {
  return new Promise((resolve) => {
    waiting.set(++asked, resolve);
    worker.postMessage({ id: asked, what, given });
  });
}

worker.onmessage = ({ data }) => {
  waiting.get(data.id)(data);
  waiting.delete(data.id);
};
worker.onerror = (event) => say("model-status", `The page can't start its worker: ${event.message ?? "unknown"}`, true);

function say(id, text, bad = false) {
  at(id).textContent = text;
  at(id).hidden = !text;
  at(id).classList.toggle("bad", bad);
}

async function useModel(file) {
  say("model-status", file ? `Loading ${file.name}…` : "Loading the runtime and the model…");
  say("notice", "");
  at("results").hidden = true;
  at("model").disabled = at("photos").disabled = true;
  const { answer, error } = await ask("model", file);
  about = answer;
  at("model").disabled = false;
  at("photos").disabled = !about;
  if (error) return say("model-status", error, true);
  const facts = [about.classes.join(" or "), about.precision, about.engine, about.license && `licence: ${about.license}`];
  say("model-status", `Ready: ${facts.filter(Boolean).join("; ")}`);
  say("notice", about.notice);
  say("detector-problem", about.detectorProblem);
  at("no-detector").hidden = !about.detectorProblem;
  at("faces-hint").hidden = Boolean(about.detectorProblem);
  // Chosen once, it stays as it is when another model is opened.
  if (at("find-faces").disabled) at("find-faces").checked = !about.detectorProblem;
  at("find-faces").disabled = Boolean(about.detectorProblem);
}

async function classify(found) {
  at("results").hidden = false;
  if (working) return say("status", "Still at work: wait, or press Stop first.");
  if (!about) return say("status", "No model is ready, see above.", true);
  if (!found.length) return say("status", "No photos in there.");
  photos = found.sort((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  rows = [];
  findFaces = at("find-faces").checked;
  working = true;
  stopped = false;
  at("rows").replaceChildren();
  at("stop").hidden = false;
  at("photos").disabled = at("model").disabled = at("download").disabled = true;
  say("more", "");
  say("status", `${photos.length} ${photos.length === 1 ? "photo" : "photos"}…`);
  at("stop").focus();

  const start = performance.now();
  let next = 0;
  let classified = 0;
  const lane = async () => {
    while (next < photos.length && !stopped) {
      const index = next++;
      const { path, file } = photos[index];
      const { answer, error } = await ask("photo", { file, findFaces, shown: index < SHOWN });
      rows[index] = (answer?.rows ?? [{ error }]).map((row) => ({ path, error: "", ...row }));
      if (index < SHOWN) at("rows").append(lineOf(rows[index], answer?.pictures ?? []));
      classified += 1;
      count(classified, start);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));

  // Photos that were not reached have rows too.
  photos.forEach(({ path }, index) => (rows[index] ??= [{ path, error: "not classified: stopped" }]));
  const all = rows.flat();
  const faceless = all.filter((row) => row.error === NO_FACE).length;
  const failed = all.filter((row) => row.error).length - faceless;
  const ends = [`${all.length} rows`, `${failed} with an error`, ...(findFaces ? [`${faceless} without a face`] : [])];
  say("status", `${stopped ? "Stopped" : "Done"}: ${ends.join(", ")}.`);
  if (rows.length > SHOWN) {
    const shown = findFaces ? `${SHOWN} photos` : SHOWN;
    say("more", `The first ${shown} are shown; the CSV has all ${rows.length}.`);
  }
  // The files are let go of; only paths and numbers stay.
  photos = [];
  working = false;
  at("photos").disabled = at("model").disabled = at("download").disabled = false;
  if (document.activeElement === at("stop")) at("download").focus();
  at("stop").hidden = true;
}

function count(classified, start) {
  const rate = (classified / (performance.now() - start)) * 1000;
  at("progress").max = photos.length;
  at("progress").value = classified;
  at("count").textContent = `${classified} of ${photos.length}, ${rate.toFixed(1)} images/s`;
}

const prediction = ({ probabilities }) =>
  probabilities ? about.classes[probabilities.indexOf(Math.max(...probabilities))] : "";

function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function canvasOf(picture) {
  const canvas = element("canvas");
  canvas.ariaHidden = "true";
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("bitmaprenderer").transferFromImageBitmap(picture);
  return canvas;
}

const confidence = ({ probabilities }) => Math.max(...probabilities).toFixed(3);

// A line of the table: a photo, and its answer or the tiles of its faces.
function lineOf(found, [photo, ...tiles]) {
  const line = element("tr");
  const cell = (...content) => {
    const td = line.insertCell();
    td.append(...content);
    return td;
  };
  const [row] = found;
  cell(...(photo ? [canvasOf(photo)] : []));
  cell(row.path);
  if (row.face) {
    line.className = "cut";
    const list = found.map((face, index) => tileOf(face, index + 1, tiles[index]));
    cell(element("ol", "", ...list)).colSpan = 3;
    return line;
  }
  if (row.error) {
    const error = cell(row.error === NO_FACE ? `${NO_FACE}: no answer` : row.error);
    error.colSpan = 3;
    error.className = "bad";
    return line;
  }
  cell(prediction(row));
  cell(confidence(row));
  cell(...about.classes.map((name, index) => element("span", "", `${name} ${row.probabilities[index].toFixed(3)}`)));
  if (findFaces) line.cells[1].append(element("small", "", "not cut: framed as in training"));
  return line;
}

const tileOf = (row, number, picture) =>
  element("li", "", canvasOf(picture), element("b", "", number), ` ${prediction(row)} `, element("span", "", confidence(row)));

function csv() {
  // A spreadsheet takes a text that begins so for a formula; an apostrophe makes it text.
  const text = (value) => {
    const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
  };
  const boxes = findFaces ? ["face", "x", "y", "width", "height", "face_score", "face_size"] : [];
  const each = about.classes.map((name) => `p_${name.toLowerCase()}`);
  const names = ["path", ...boxes, "prediction", "confidence", ...each, "error"];
  const lines = rows.flatMap((found) =>
    found.map((row, index) => {
      const { x, y, width, height, score } = row.face ?? {};
      const size = Math.min(width, height);
      const box = row.face ? [index + 1, x, y, width, height, score.toFixed(3), size] : boxes.map(() => "");
      const numbers = row.probabilities
        ? [Math.max(...row.probabilities), ...row.probabilities].map((value) => value.toFixed(6))
        : ["", ...about.classes.map(() => "")];
      return [text(row.path), ...(findFaces ? box : []), text(prediction(row)), ...numbers, text(row.error)].join(",");
    }),
  );
  return [names.join(","), ...lines, ""].join("\r\n");
}

at("download").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "results.csv";
  link.click();
  URL.revokeObjectURL(link.href);
};

at("stop").onclick = () => (stopped = true);

at("model").onchange = ({ target }) => target.files.length && useModel(target.files[0]);

const hidden = (path) => path.split("/").some((name) => name.startsWith("."));

at("files").onchange = ({ target }) => classify([...target.files].map((file) => ({ path: file.name, file })));

at("folder").onchange = ({ target }) => {
  const found = [...target.files].map((file) => ({ path: file.webkitRelativePath, file }));
  classify(found.filter(({ path }) => PHOTO.test(path) && !hidden(path)));
};

// The same photos can be chosen again, after the switch was turned: a choice that changes nothing is not told.
at("files").onclick = at("folder").onclick = ({ target }) => (target.value = "");

// A photo that was dropped itself is taken whatever its name; in folders the names tell the photos.
async function filesUnder(entry, itself) {
  const path = entry.fullPath.slice(1);
  if (entry.isFile) {
    if (!itself && (!PHOTO.test(path) || hidden(path))) return [];
    return [{ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) }];
  }
  const reader = entry.createReader();
  const found = [];
  // A folder lists its files in parts, up to an empty one.
  for (let part = [null]; part.length; ) {
    part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    for (const inside of part) found.push(...(await filesUnder(inside, false)));
  }
  return found;
}

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  // The list is emptied at the first wait.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  try {
    const found = [];
    for (const entry of entries) found.push(...(await filesUnder(entry, true)));
    await classify(found);
  } catch (error) {
    at("results").hidden = false;
    say("status", `What was dropped can't be read: ${error.message}`, true);
  }
});

useModel();
