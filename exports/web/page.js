// The page: which photos, what is shown, the CSV. The model and the pictures are the worker's.

const SHOWN = 200;
// While one photo is in the model the next are decoded; more would only hold more pictures in memory.
const AT_ONCE = 3;
// As batchgender's own list; a folder's other files are no photos.
const PHOTO = /\.(jpe?g|jpe|jfif|png|webp|bmp|dib|tiff?|gif|avif|jp2|p[bgp]m|hei[cf])$/i;

const at = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let asked = 0;
let about = null;
let working = false;
let stopped = false;
let photos = [];
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
}

async function classify(found) {
  at("results").hidden = false;
  if (working) return say("status", "Still at work: wait, or press Stop first.");
  if (!about) return say("status", "No model is ready, see above.", true);
  if (!found.length) return say("status", "No photos in there.");
  photos = found.sort((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  rows = [];
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
      const { answer, error } = await ask("photo", { file: photos[index].file, thumbnail: index < SHOWN });
      rows[index] = { path: photos[index].path, probabilities: answer?.probabilities, error: error ?? "" };
      if (index < SHOWN) at("rows").append(rowOf(rows[index], answer?.thumbnail));
      classified += 1;
      count(classified, start);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));

  // Photos that were not reached have rows too.
  photos.forEach(({ path }, index) => (rows[index] ??= { path, error: "not classified: stopped" }));
  const failed = rows.filter((row) => row.error).length;
  say("status", `${stopped ? "Stopped" : "Done"}: ${rows.length} rows, ${failed} with an error.`);
  if (rows.length > SHOWN) say("more", `The first ${SHOWN} are shown; the CSV has all ${rows.length}.`);
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

function rowOf(row, thumbnail) {
  const line = document.createElement("tr");
  const cell = (...content) => {
    const td = line.insertCell();
    td.append(...content);
    return td;
  };
  const picture = document.createElement("canvas");
  picture.ariaHidden = "true";
  if (thumbnail) {
    picture.width = thumbnail.width;
    picture.height = thumbnail.height;
    picture.getContext("bitmaprenderer").transferFromImageBitmap(thumbnail);
  }
  cell(...(thumbnail ? [picture] : []));
  cell(row.path);
  if (row.error) {
    const error = cell(row.error);
    error.colSpan = 3;
    error.className = "bad";
    return line;
  }
  cell(prediction(row));
  cell(Math.max(...row.probabilities).toFixed(3));
  const each = about.classes.map((name, index) => {
    const one = document.createElement("span");
    one.textContent = `${name} ${row.probabilities[index].toFixed(3)}`;
    return one;
  });
  cell(...each);
  return line;
}

function csv() {
  // A spreadsheet takes a text that begins so for a formula; an apostrophe makes it text.
  const text = (value) => {
    const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
  };
  const names = ["path", "prediction", "confidence", ...about.classes.map((name) => `p_${name.toLowerCase()}`), "error"];
  const lines = rows.map((row) => {
    const numbers = row.probabilities
      ? [Math.max(...row.probabilities), ...row.probabilities].map((value) => value.toFixed(6))
      : ["", ...about.classes.map(() => "")];
    return [text(row.path), text(prediction(row)), ...numbers, text(row.error)].join(",");
  });
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
