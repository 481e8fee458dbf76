// Drives the page in a real browser, for tests/test_web.py, and prints what happened as JSON:
// node check.js BROWSER PHOTOS FOLDER SPOILED. The files in PHOTOS are chosen; FOLDER is chosen, then dropped.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openPage } from "./check-page.js";

const [executablePath, photos, folder, spoiled] = process.argv.slice(2);
const { page, url, seen, until, tabs, results, close } = await openPage(executablePath);

try {
  await page.goto(url);
  await until("model-status", "Ready");
  seen.ready = await page.textContent("#model-status");
  seen.loaded = seen.requests.splice(0);
  seen.findsFaces = [await page.isEnabled("#find-faces"), await page.isChecked("#find-faces")];
  seen.noDetector = await page.innerText("#no-detector");

  seen.tabs = await tabs();
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
  await close();
}
console.log(JSON.stringify(seen));
