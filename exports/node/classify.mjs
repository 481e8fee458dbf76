// Photos to probabilities with onnxruntime-node (sharp decodes): node classify.mjs MODEL.onnx PHOTO...
import { existsSync, readFileSync } from "node:fs";

function fail(line) {
  console.error(line);
  process.exit(1);
}

const [model, ...photos] = process.argv.slice(2);
if (!photos.length) fail("usage: node classify.mjs MODEL.onnx PHOTO...");
for (const file of [model, ...photos]) if (!existsSync(file)) fail(`${file}: no such file`);
// Without this, set before the import, onnxruntime reports its use to its maker.
process.env.ORT_DISABLE_TELEMETRY = "1";
const packages = Promise.all([import("onnxruntime-node"), import("sharp")]);
const [{ default: ort }, { default: sharp }] = await packages.catch(() =>
  fail("onnxruntime-node and sharp are not installed; run in this folder: npm ci"),
);
const bytes = readFileSync(model);
let about, session;
try {
  about = JSON.parse(metadata(bytes).batchgender);
  session = await ort.InferenceSession.create(bytes);
} catch {
  fail(`${model}: no ONNX file from batchgender`);
}

/** The fields of a protobuf message: [number, bytes] of those that have a length, which are all we want. */
function* fields(message) {
  let at = 0;
  const varint = () => {
    // Not by shifts: they are of 32 bits, and a length may have more.
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = message[at++];
      value += (byte & 127) * unit;
      if (!(byte & 128)) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 2) {
      const length = varint();
      yield [Math.floor(key / 8), message.subarray(at, at + length)];
      at += length;
    } else if (kind === 0) varint();
    else at += kind === 1 ? 8 : 4;
  }
}

/** The file's metadata_props (field 14: a key is 1, a value 2), which onnxruntime-node doesn't give. */
function metadata(file) {
  const entries = [...fields(file)].filter(([number]) => number === 14).map(([, entry]) => [...fields(entry)]);
  return Object.fromEntries(entries.map(([[, key], [, value]]) => [key.toString(), value.toString()]));
}

/** RGB, upright, on white where it is transparent, at its own size: the file does the rest. */
async function probabilities(photo, name) {
  // The model learnt the colours as stored, so an embedded profile isn't applied.
  const decoded = sharp(photo, { ignoreIcc: true }).rotate().flatten({ background: "white" }).toColourspace("srgb").raw();
  const { data, info } = await decoded
    .toBuffer({ resolveWithObject: true })
    .catch(() => fail(`${name}: no photo that sharp can read`));
  const image = new ort.Tensor("uint8", data, [1, info.height, info.width, 3]);
  return [...(await session.run({ image }, ["probabilities"])).probabilities.data];
}

// The self-check: pictures in the file, with the answers that it gives for them.
for (const check of about.golden ?? []) {
  const found = await probabilities(Buffer.from(check.png, "base64"), "self-check");
  const apart = Math.max(...found.map((p, i) => Math.abs(p - check.probabilities[i])));
  if (!(apart <= about.golden_tolerance))
    fail(`${model}: self-check failed: probabilities differ by ${apart.toFixed(4)}, ${about.golden_tolerance} allowed`);
}
console.log(["path", "prediction", ...about.classes.map((name) => `p_${name.toLowerCase()}`)].join(","));
for (const path of photos) {
  const found = await probabilities(readFileSync(path), path);
  const prediction = about.classes[found.indexOf(Math.max(...found))];
  console.log([path, prediction, ...found.map((p) => p.toFixed(6))].join(","));
}
