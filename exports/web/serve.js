// Serves this folder to this computer alone: node serve.js [PORT]
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};
const page = readFileSync(resolve(root, "index.html"), "utf8");
const headers = {
  // Threads need both of these.
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  // The page's own policy does not reach its worker, a header does.
  "Content-Security-Policy": /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(page)[1],
  "Cache-Control": "no-cache",
};

const server = createServer(async (request, response) => {
  try {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = resolve(root, "." + (pathname === "/" ? "/index.html" : decodeURIComponent(pathname)));
    if (!file.startsWith(root + sep)) throw new Error("outside the folder");
    const body = await readFile(file);
    response.writeHead(200, { ...headers, "Content-Type": types[extname(file)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    response.writeHead(404, { ...headers, "Content-Type": "text/plain" });
    response.end("not here\n");
  }
});
server.on("error", (error) => {
  console.error(`can't listen on port ${process.argv[2] ?? 8000} (${error.code}); name another: node serve.js PORT`);
  process.exit(1);
});
server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`http://localhost:${server.address().port}/`);
});
