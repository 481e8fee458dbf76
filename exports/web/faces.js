// Where the faces of a photo are. The detector is YuNet: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face
// Detector", 2023.
import { drawOnWhite } from "./pictures.js";

const FILE = "detector.onnx";
// The longest side of the picture that is looked at, in pixels.
const SIDES = [128, 320, 640];
// Where a face that was found is smaller than so many of these pixels, others may have been missed: the next side is
// looked at too.
const SMALL = 16;
const STRIDES = [8, 16, 32];
// As batchgender's own: a face's score at least, the overlap of boxes that are one face, and the shorter side in pixels
// of the photo, below which answers are not worth much.
const SCORE = 0.8;
const OVERLAP = 0.3;
const MIN_FACE = 24;
const OUTPUTS = STRIDES.flatMap((stride) => ["cls", "obj", "bbox"].map((name) => `${name}_${stride}`));

let ort = null;
let session = null;

// Says in a line why there is no detector, else nothing.
export async function openDetector(runtime) {
  ort = runtime;
  const response = await fetch(FILE).catch(() => null);
  if (!response?.ok) return `No face detector, ${FILE}, lies beside this page.`;
  try {
    const bytes = new Uint8Array(await response.arrayBuffer());
    const memory = { enableCpuMemArena: false, enableMemPattern: false };
    // On the processor always: so small a network gains nothing from a graphics card.
    const opened = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3, ...memory });
    if (OUTPUTS.every((name) => opened.outputNames.includes(name))) {
      session = opened;
      return "";
    }
    await opened.release();
  } catch {
    // No model at all, as where a server answers with a page for what it lacks.
  }
  return `${FILE} beside this page is no YuNet face detector.`;
}

// A copy whose longest side is `side`, black beyond it up to a multiple of `multiple`.
function copyOfSide(photo, side, multiple) {
  const scale = side / Math.max(photo.width, photo.height);
  const [width, height] = [photo.width, photo.height].map((length) => Math.max(1, Math.round(length * scale)));
  const padded = (length) => Math.ceil(length / multiple) * multiple;
  const canvas = new OffscreenCanvas(padded(width), padded(height));
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  drawOnWhite(context, photo, width, height);
  return { canvas, context, width, height };
}

function overlap(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const both = Math.max(0, width) * Math.max(0, height);
  return both / (a.width * a.height + b.width * b.height - both);
}

// Boxes {x, y, width, height, score} in pixels of the copy, the surest first.
async function detect({ canvas, context, width: within, height: above }) {
  const { width, height } = canvas;
  const rgba = context.getImageData(0, 0, width, height).data;
  const pixels = width * height;
  const planes = new Float32Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel += 1)
    for (let channel = 0; channel < 3; channel += 1) planes[channel * pixels + pixel] = rgba[pixel * 4 + 2 - channel];
  const input = new ort.Tensor("float32", planes, [1, 3, height, width]);
  const found = await session.run({ input }, OUTPUTS);

  const boxes = [];
  for (const stride of STRIDES) {
    const columns = width / stride;
    const [cls, obj, bbox] = ["cls", "obj", "bbox"].map((name) => found[`${name}_${stride}`].data);
    for (let cell = 0; cell < cls.length; cell += 1) {
      const score = Math.sqrt(cls[cell] * obj[cell]);
      if (!(score >= SCORE)) continue;
      const [right, down, wide, high] = bbox.subarray(cell * 4, cell * 4 + 4);
      const box = { width: Math.exp(wide) * stride, height: Math.exp(high) * stride, score };
      const [x, y] = [((cell % columns) + right) * stride, (Math.floor(cell / columns) + down) * stride];
      // What lies in the padding is no face.
      if (x < 0 || y < 0 || x >= within || y >= above) continue;
      boxes.push({ x: x - box.width / 2, y: y - box.height / 2, ...box });
    }
  }
  boxes.sort((a, b) => b.score - a.score);
  const kept = [];
  for (const box of boxes) if (kept.every((other) => overlap(box, other) < OVERLAP)) kept.push(box);
  return kept;
}

// Boxes {x, y, width, height, score} in whole pixels of the photo, the largest first; they may reach beyond its edge.
export async function facesOf(photo) {
  const largest = SIDES.at(-1);
  // A large photo is read once, and the copies are made of its copy.
  const source = Math.max(photo.width, photo.height) > largest ? copyOfSide(photo, largest, 1).canvas : photo;
  let faces = [];
  for (const side of SIDES) {
    const small = copyOfSide(source, side, STRIDES.at(-1));
    const [across, down] = [photo.width / small.width, photo.height / small.height];
    const seen = await detect(small);
    const found = seen.filter((box) => Math.min(box.width * across, box.height * down) >= MIN_FACE);
    if (!found.length) continue;
    faces = found.map((box) => ({
      x: Math.round(box.x * across),
      y: Math.round(box.y * down),
      width: Math.round(box.width * across),
      height: Math.round(box.height * down),
      score: box.score,
    }));
    if (found.every((box) => Math.min(box.width, box.height) >= SMALL)) break;
  }
  return faces.sort((a, b) => b.width * b.height - a.width * a.height);
}
