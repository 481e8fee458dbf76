// Serves this folder to this computer alone: node serve.js [PORT]
import { readFileSync, realpathSync } from "node:fs";
import { readFile, realpath } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = realpathSync(dirname(fileURLToPath(import.meta.url)));
// A page elsewhere may lead a name of its own to this computer, and would read what is here.
const hosts = ["localhost", "127.0.0.1"];
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
  const refuse = (status, reason, more = {}) => {
    response.writeHead(status, { ...headers, ...more, "Content-Type": "text/plain" });
    response.end(`${reason}\n`);
  };
  if (!hosts.includes(request.headers.host?.replace(/:\d+$/, ""))) return refuse(421, "for this computer alone");
  if (!["GET", "HEAD"].includes(request.method)) return refuse(405, "there is nothing to write", { Allow: "GET, HEAD" });
  try {
    const { pathname } = new URL(request.url, "http://localhost");
    const name = pathname === "/" ? "/index.html" : decodeURIComponent(pathname);
    // Links lead anywhere: where the file really lies decides.
    const file = await realpath(resolve(root, "." + name));
    if (!file.startsWith(root + sep)) throw new Error("outside the folder");
    const body = await readFile(file);
    response.writeHead(200, { ...headers, "Content-Type": types[extname(file)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    refuse(404, "not here");
  }
});
server.on("error", (error) => {
  console.error(`can't listen on port ${process.argv[2] ?? 8000} (${error.code}); name another: node serve.js PORT`);
  process.exit(1);
});
server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`http://localhost:${server.address().port}/`);
});
