// Puts beside the page what it loads: the runtime from node_modules, and a model: the one that is named, else the
// packaged one.
import { copyFileSync, existsSync, mkdirSync } from "node:fs";

const dist = new URL("node_modules/onnxruntime-web/dist/", import.meta.url);
const ort = new URL("ort/", import.meta.url);
const files = [
  // The processor's runtime, then the one with WebGPU: a browser loads one of the two.
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
  "ort.webgpu.min.mjs",
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
];

function fail(line) {
  console.error(line);
  process.exit(1);
}

const packaged = new URL("../../batchgender/assets/default.onnx", import.meta.url);
const [model = packaged] = process.argv.slice(2);
if (!existsSync(model)) fail(`${model}: no such model file; export one with: batchgender export --format onnx`);
if (!existsSync(dist)) fail("onnxruntime-web is not installed; run: npm ci --ignore-scripts");
mkdirSync(ort, { recursive: true });
for (const file of files) copyFileSync(new URL(file, dist), new URL(file, ort));
copyFileSync(model, new URL("model.onnx", import.meta.url));
