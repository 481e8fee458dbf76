// The model and what it is given, off the page's thread.
import { facesOf, openDetector } from "./faces.js";
import { copyOf, cutAround, decode, withBoxes } from "./pictures.js";

// A larger photo is shrunk to so many pixels first: the model shrinks it far below that anyway, in floats.
const LARGEST = 16e6;
// What is shown, pixels a side: a photo, one face of it, and a photo with boxes over it.
const THUMBNAIL = 64;
const TILE = 96;
const PREVIEW = 256;
// How the training photos are framed, where the model's metadata does not say, as in batchgender: the margin around the
// face box, in its longer side, and how much of the photo's width the box takes, the median.
const FRAMING = { margin: 0.05, face_share: 0.86 };
// A sole face of at least so much of that share is framed as in training.
const FRAMED = 0.8;
const NO_FACE = "no face found";

let ort = null;
let gpu = null;
let session = null;
let framing = FRAMING;
let detectorProblem = "";
let turn = Promise.resolve();

// One of two runtimes, by what the browser has; all of it is loaded now, so that nothing is fetched later.
async function start() {
  gpu = await navigator.gpu?.requestAdapter().catch(() => null);
  // A graphics card that is software is far slower than the processor itself.
  if (gpu?.info?.isFallbackAdapter) gpu = null;
  ort = await import(gpu ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs").catch(() => {
    throw new Error("The runtime does not lie beside this page: npm run build puts it there.");
  });
  ort.env.wasm.wasmPaths = new URL("ort/", import.meta.url).href;
  // Threads share memory, which a page gets with the headers that serve.js sends.
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
  ort.env.logLevel = "error";
  // These bytes are no model, but the runtime is up before it says so.
  await ort.InferenceSession.create(new Uint8Array(1)).catch(() => {});
  detectorProblem = await openDetector(ort);
}

// The fields of a protobuf message that are bytes, text or messages: [number, bytes].
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (!(byte > 127)) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 2) {
      const length = varint();
      yield [Math.floor(tag / 8), bytes.subarray(at, at + length)];
      at += length;
    } else if (kind === 0) varint();
    else if (kind === 1 || kind === 5) at += kind === 1 ? 8 : 4;
    else throw new Error("no protobuf");
  }
}

const messages = (bytes, wanted) => [...fields(bytes)].filter(([number]) => number === wanted).map(([, part]) => part);
const text = (bytes, wanted) => new TextDecoder().decode(messages(bytes, wanted)[0]);

// onnxruntime-web does not give a file's metadata: ModelProto.metadata_props is field 14, key 1 and value 2 in it.
function aboutOf(bytes) {
  return JSON.parse(text(messages(bytes, 14).find((property) => text(property, 1) === "batchgender"), 2));
}

// ModelProto.graph is field 7, its nodes are field 1, and a node's name and operator fields 3 and 4.
function namesOf(operator, bytes) {
  const nodes = messages(messages(bytes, 7)[0], 1);
  return nodes.filter((node) => text(node, 4) === operator).map((node) => text(node, 3));
}

async function probabilitiesOf(picture) {
  const { canvas, context } = copyOf(picture, LARGEST, { willReadFrequently: true });
  const { width, height } = canvas;
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  const image = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const { probabilities } = await session.run({ image }, ["probabilities"]);
  return [...probabilities.data];
}

// The self-check: how far the answers for the pictures in the file are from those that it states.
async function selfCheck(checks) {
  let largest = 0;
  for (const { png, probabilities } of checks) {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const found = await probabilitiesOf(await decode(new Blob([bytes])));
    for (const [index, expected] of probabilities.entries()) {
      const difference = Math.abs(found[index] - expected);
      // No number at all must not pass for a small one.
      largest = Number.isNaN(difference) ? Infinity : Math.max(largest, difference);
    }
  }
  return largest;
}

async function open(bytes, engine) {
  await session?.release();
  session = null;
  // Photos of every size would each leave their own memory behind.
  const memory = { enableCpuMemArena: false, enableMemPattern: false };
  session = await ort.InferenceSession.create(bytes, { executionProviders: [engine], logSeverityLevel: 3, ...memory });
}

async function model(file) {
  if (!ort) await start();
  const name = file?.name ?? "model.onnx";
  let bytes;
  if (file) bytes = new Uint8Array(await file.arrayBuffer());
  else {
    const response = await fetch("model.onnx");
    if (!response.ok) throw new Error("No model.onnx lies beside this page: choose a model file.");
    bytes = new Uint8Array(await response.arrayBuffer());
  }
  let about;
  try {
    about = aboutOf(bytes);
  } catch {
    throw new Error(`${name} is no ONNX file that batchgender exported.`);
  }
  const { classes, license, precision, golden: checks = [], golden_tolerance: tolerance } = about;
  const facts = { classes, license, precision, notice: "", detectorProblem };
  framing = { ...FRAMING, ...about.framing };
  const threads = ort.env.wasm.numThreads;
  const processor = `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  if (!checks.length) {
    await open(bytes, "wasm");
    const notice = "This file has no pictures to check its answers with: whether they are right here is not known.";
    return { ...facts, engine: processor, notice };
  }
  if (gpu) {
    try {
      // WebGPU takes this node for one of its own, but has no antialiasing.
      await open(bytes, { name: "webgpu", forceCpuNodeNames: namesOf("Resize", bytes) });
      const difference = await selfCheck(checks);
      if (difference <= tolerance) return { ...facts, engine: "WebGPU" };
      facts.notice = `WebGPU fails the model's self-check here (probabilities differ by ${difference.toFixed(4)})`;
    } catch (error) {
      facts.notice = `WebGPU can't run this model here (${error.message})`;
    }
    facts.notice += ": the processor does the work.";
  }
  await open(bytes, "wasm");
  const difference = await selfCheck(checks);
  if (difference <= tolerance) return { ...facts, engine: processor };
  await session.release();
  session = null;
  throw new Error(
    `Refused: ${name} fails its self-check in this browser (probabilities differ by ${difference.toFixed(4)}, ` +
      `${tolerance} allowed), so its answers for photos would be wrong too.`,
  );
}

// A photo whose only face is framed as in training is classified whole.
const isFramed = (faces, photo) =>
  faces.length === 1 && faces[0].width / photo.width >= FRAMED * framing.face_share;

// The rows of a photo, one for each face that is cut out of it, and what is shown of it, where that is wanted.
async function answersFor(photo, findFaces, shown) {
  const pictures = [];
  const show = (canvas) => pictures.push(canvas.transferToImageBitmap());
  const faces = findFaces ? await facesOf(photo) : [];
  if (!faces.length || isFramed(faces, photo)) {
    const row = findFaces && !faces.length ? { error: NO_FACE } : { probabilities: await probabilitiesOf(photo) };
    if (shown) show(copyOf(photo, THUMBNAIL ** 2).canvas);
    return { rows: [row], pictures };
  }
  const rows = [];
  if (shown) show(withBoxes(photo, faces, PREVIEW ** 2));
  for (const face of faces) {
    const cut = cutAround(photo, face, framing.margin);
    rows.push({ face, probabilities: await probabilitiesOf(cut) });
    if (shown) show(copyOf(cut, TILE ** 2).canvas);
  }
  return { rows, pictures };
}

// Photos are decoded side by side and go through the model one at a time, in the order they came.
function photo({ file, findFaces, shown }) {
  const decoding = decode(file);
  const answer = Promise.allSettled([decoding, turn]).then(async () => {
    const bitmap = await decoding;
    try {
      return await answersFor(bitmap, findFaces, shown);
    } finally {
      bitmap.close();
    }
  });
  turn = answer;
  return answer;
}

const tasks = { model, photo };
self.onmessage = async ({ data: { id, what, given } }) => {
  try {
    const answer = await tasks[what](given);
    self.postMessage({ id, answer }, answer.pictures ?? []);
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};
