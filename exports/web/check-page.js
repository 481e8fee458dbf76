// The page in a real browser, for check.js and check-faces.js: what it does is collected in `seen`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking";
const serve = fileURLToPath(new URL("serve.js", import.meta.url));

export async function openPage(executablePath) {
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
  const focused = () => page.evaluate(() => document.activeElement.id);

  // What has the focus after each of three presses of Tab.
  async function tabs() {
    const ids = [];
    for (let presses = 0; presses < 3; presses += 1) {
      await page.keyboard.press("Tab");
      ids.push(await focused());
    }
    return ids;
  }

  // What the page says of photos that `give` hands to it.
  async function results(give, end = "Done") {
    await page.evaluate(() => (document.getElementById("status").textContent = ""));
    await give();
    await until("status", end);
    const focus = await focused();
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

  async function close() {
    await browser.close();
    server.kill();
  }
  return { page, url, seen, until, tabs, results, close };
}
