// Drives the page with a detector.onnx beside it, for tests/embedding/test_web.py, and prints what happened as JSON:
// node check-faces.js BROWSER PHOTOS MODEL. The files in PHOTOS are chosen; MODEL is a file that is framed otherwise.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openPage } from "./check-page.js";

const [executablePath, photos, model] = process.argv.slice(2);
const { page, url, seen, until, tabs, results, close } = await openPage(executablePath);
const files = readdirSync(photos).map((name) => join(photos, name));
// As a person's second choice of the same photos: the dialog begins with none.
const choose = async () => {
  await page.setInputFiles("#files", []);
  await page.setInputFiles("#files", files);
};

// The lines of the table: the text of each cell or tile, and the pictures as they are shown.
const lines = () =>
  page.locator("#rows tr").evaluateAll((rows) =>
    rows.map((row) => ({
      path: row.cells[1].textContent,
      answer: [...row.cells].slice(2).map((cell) => cell.textContent),
      tiles: [...row.querySelectorAll("li")].map((tile) => tile.textContent),
      pictures: [...row.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL()),
    })),
  );

try {
  await page.goto(url);
  await until("model-status", "Ready");
  seen.loaded = seen.requests.splice(0);
  seen.findsFaces = [await page.isEnabled("#find-faces"), await page.isChecked("#find-faces")];
  seen.noDetector = await page.isVisible("#no-detector");
  seen.tabs = await tabs();

  seen.found = await results(choose);
  seen.lines = await lines();
  await page.setViewportSize({ width: 360, height: 800 });
  seen.width = await page.evaluate(() => document.documentElement.scrollWidth);

  await page.focus("#find-faces");
  await page.keyboard.press("Space");
  seen.off = await results(choose);
  // Another model leaves the switch as it is.
  await page.setInputFiles("#model", model);
  await until("model-status", "Ready");
  seen.stillOff = !(await page.isChecked("#find-faces"));
  await page.check("#find-faces");
  seen.framed = await results(choose);
  seen.later = seen.requests.splice(0);

  // Files that are no such detector: a text, and another model.
  seen.refused = [];
  for (const wrong of [{ body: "not found, says this server in a page" }, { path: "model.onnx" }]) {
    await page.route("**/detector.onnx", (route) => route.fulfill(wrong), { times: 1 });
    await page.reload();
    await until("model-status", "Ready");
    seen.refused.push(await page.innerText("#no-detector"));
  }
} finally {
  await close();
}
console.log(JSON.stringify(seen));
