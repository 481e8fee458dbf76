// Drives the page in a real browser, for tests/test_web.py, and prints what happened as JSON:
// node check.js BROWSER PHOTOS FOLDER SPOILED. The files in PHOTOS are chosen; FOLDER is chosen, then dropped.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, photos, folder, spoiled] = process.argv.slice(2);
const flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking";
const serve = fileURLToPath(new URL("serve.js", import.meta.url));
const server = spawn(process.execPath, [serve, "0"], { stdio: ["ignore", "pipe", "inherit"] });
const url = String((await once(server.stdout, "data"))[0]).trim();
const args = [...flags.split(" "), "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
page.setDefaultTimeout(240_000);
const seen = { complaints: [], requests: [] };
page.on("console", (message) => message.type() === "error" && seen.complaints.push(message.text()));
page.on("pageerror", (error) => seen.complaints.push(String(error)));
page.on("request", (request) => request.url().startsWith("http") && seen.requests.push(request.url()));

const until = (id, start) =>
  page.waitForFunction(([at, text]) => document.getElementById(at).textContent.startsWith(text), [id, start]);
const isFocused = () => page.evaluate(() => document.activeElement.id);

// What the page says of photos that `give` hands to it.
async function results(give, end = "Done") {
  await page.evaluate(() => (document.getElementById("status").textContent = ""));
  await give();
  await until("status", end);
  const focus = await isFocused();
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  const rows = await page.locator("#rows tr").evaluateAll((lines) => lines.map((line) => line.cells[1].textContent));
  return {
    csv: readFileSync(await download.path(), "utf8"),
    status: await page.textContent("#status"),
    count: await page.textContent("#count"),
    thumbnails: await page.locator("#rows canvas").count(),
    focus,
    rows,
  };
}

try {
  await page.goto(url);
  await until("model-status", "Ready");
  seen.ready = await page.textContent("#model-status");
  seen.loaded = seen.requests.splice(0);

  seen.tabs = [];
  for (let presses = 0; presses < 3; presses += 1) {
    await page.keyboard.press("Tab");
    seen.tabs.push(await isFocused());
  }
  seen.outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);

  const files = readdirSync(photos).map((name) => join(photos, name));
  seen.files = await results(() => page.setInputFiles("#files", files.reverse()));
  seen.folder = await results(() => page.setInputFiles("#folder", folder));
  const devtools = await page.context().newCDPSession(page);
  seen.dropped = await results(async () => {
    const data = { items: [], files: [folder, join(folder, "=note.txt")], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"])
      await devtools.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
  });
  const texts = Array.from({ length: 205 }, (_, index) => ({
    name: `${index + 100}.jpg`,
    mimeType: "image/jpeg",
    buffer: Buffer.from("no photo"),
  }));
  seen.many = await results(() => page.setInputFiles("#files", texts));
  seen.more = await page.textContent("#more");
  seen.stopped = await results(async () => {
    await page.setInputFiles("#files", files);
    await page.keyboard.press("Enter");
  }, "Stopped");

  await page.setViewportSize({ width: 360, height: 800 });
  seen.width = await page.evaluate(() => document.documentElement.scrollWidth);

  await page.setInputFiles("#model", spoiled);
  await until("model-status", "Refused");
  seen.refused = await page.textContent("#model-status");
  seen.stillOpen = await page.isEnabled("#files");

  seen.later = seen.requests.splice(0);
  seen.errors = seen.complaints.splice(0);
  // Last, as the browser complains of it. The address refuses anyway: which rule forbade it is what counts.
  const worker = page.workers().find((one) => one.url().endsWith("/worker.js"));
  const forbidden = () =>
    new Promise((resolve) => {
      addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
      fetch("http://127.0.0.2:9/").catch(() => setTimeout(resolve, 5000, "nothing"));
    });
  seen.forbidden = [await page.evaluate(forbidden), await worker.evaluate(forbidden)];
} finally {
  await browser.close();
  server.kill();
}
console.log(JSON.stringify(seen));
