// Puts beside the page what it loads: the runtime from node_modules, and the model when one is named.
import { copyFileSync, mkdirSync } from "node:fs";

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

mkdirSync(ort, { recursive: true });
for (const file of files) copyFileSync(new URL(file, dist), new URL(file, ort));
const [model] = process.argv.slice(2);
if (model) copyFileSync(model, new URL("model.onnx", import.meta.url));
