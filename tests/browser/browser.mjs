// Headless Chromium, as the scenarios use it: every page is watched for errors, checked by axe and
// photographed. What a scenario needs to know comes by the environment:
//   HOME_PAGE    the home page's address, without a slash at its end
//   DASHBOARD    that of the operators' pages, where there are any
//   SCREENSHOTS  the folder for pictures
//   CHROMIUM     the browser; the scenarios of tests/tests/browser.rs find one
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

export const home = process.env.HOME_PAGE;
export const dashboard = process.env.DASHBOARD;

/** How long an awaited event may take before the scenario fails. */
const PATIENCE_MS = 20_000;
/** What only the dashboard's second sample shows comes a minute after the first where the machine is busy. */
export const SECOND_SAMPLE_MS = 70_000;
/** How often a page without live parts is looked at again. */
const LOOK_EVERY_MS = 250;
/** More stops than any page has. */
const MOST_TABS = 300;
/** What no wait of a scenario may outlive: a scenario that hangs fails, too. */
const LIMIT_MS = 1000 * (240 + Number(process.env.PATIENCE_S ?? 0));
const run = promisify(execFile);

setTimeout(() => {
  console.error(`the scenario hangs: ${LIMIT_MS} ms are over`);
  process.exit(1);
}, LIMIT_MS).unref();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  // Chromium's own sandbox wants a user that is not root; there are only our own pages here.
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
});

/** Every scenario ends with this; one that fails takes the browser with it. */
export const finish = () => browser.close();

/**
 * Runs steps as a visitor of their own, with nothing known of the others. A console error, an
 * error of the page, a failed request or an answer of 400 and above fails the scenario, unless it is
 * `expected`.
 */
export async function asVisitor({ expected, ...options }, steps) {
  const problems = [];
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  context.on("page", (page) => watch(page, problems));
  const answer = await steps(await context.newPage());
  await context.close();
  assert.deepEqual(problems.filter((problem) => !expected?.test(problem)), [], "the browser complained");
  return answer;
}

function watch(page, problems) {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`page: ${error}`));
  page.on("requestfailed", (request) => {
    // The browser itself gives up what is still coming when its page is left: a stream of events,
    // or a script, where the machine is slow. What the server breaks off has other names.
    const reason = request.failure()?.errorText;
    if (reason !== "net::ERR_ABORTED") problems.push(`${request.url()}: ${reason}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.url()}: ${response.status()}`);
  });
}

/** axe finds nothing, and nothing is wider than the window. Needs JavaScript in the page. */
export async function requireAccessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  assert.deepEqual(found, [], `axe on ${what}`);
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  assert.ok(overflow <= 0, `${what} is ${overflow} px wider than the window`);
}

/** A picture of the whole page. */
export async function photograph(page, name, options = {}) {
  const path = join(process.env.SCREENSHOTS, `${name}.png`);
  await page.screenshot({ path, fullPage: true, animations: "disabled", ...options });
}

/** Tab stops at whatever can be followed, pressed or filled in, and shows it. */
export async function requireKeyboard(page, what) {
  await page.evaluate(() => {
    const all = document.querySelectorAll("a[href], button, input, select, textarea, summary");
    globalThis.unreached = new Set([...all].filter((element) =>
      element.checkVisibility() && !element.disabled && element.type !== "hidden"
        // Arrow keys choose among radio buttons of a name.
        && !(element.type === "radio" && !element.checked)));
    document.activeElement?.blur();
  });
  for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
    await page.keyboard.press("Tab");
    const { left, unseen } = await page.evaluate(() => {
      const element = document.activeElement;
      globalThis.unreached.delete(element);
      const { outlineStyle, boxShadow } = getComputedStyle(element);
      const isSeen = element === document.body || outlineStyle !== "none" || boxShadow !== "none";
      return { left: globalThis.unreached.size, unseen: isSeen ? "" : element.outerHTML };
    });
    assert.equal(unseen, "", `a focus on ${what} cannot be seen`);
    if (left === 0) return;
  }
  const left = await page.evaluate(() => [...globalThis.unreached].map((one) => one.outerHTML));
  assert.deepEqual(left, [], `Tab does not reach all of ${what}`);
}

/**
 * Presses Tab until the focus is on what is wanted, and can be seen there; a keyboard must reach
 * everything.
 */
export async function tabTo(page, wanted) {
  for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
    await page.keyboard.press("Tab");
    const reached = page.locator(":focus").and(wanted);
    if ((await reached.count()) > 0) {
      const outline = await reached.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(outline, "none", `the focus on ${wanted} cannot be seen`);
      return reached;
    }
  }
  assert.fail(`Tab does not reach ${wanted}`);
}

/** Reaches something by Tab and presses a key on it. */
export async function pressOn(page, wanted, key = "Enter") {
  const reached = await tabTo(page, wanted);
  await page.keyboard.press(key);
  return reached;
}

/** Loads a page again until it shows what is wanted. */
export async function reloadUntil(page, wanted, patienceMs = PATIENCE_MS) {
  for (const started = Date.now(); !(await wanted.isVisible()); await page.reload()) {
    assert.ok(Date.now() - started < patienceMs, `${wanted} does not come`);
    await page.waitForTimeout(LOOK_EVERY_MS);
  }
}

/** Runs SQL as the superuser; what it prints, a line a row. */
export async function sql(statement) {
  const { stdout } = await run("psql", ["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement]);
  return stdout.trim();
}

/** What the home page shows as its count. */
export async function countOn(page) {
  return Number(await page.locator("#videos-watched").getAttribute("value"));
}

const counts = (page, count) => page.locator(`#videos-watched[value="${count}"]`);

/** Waits until the home page in the browser shows a count, without a reload. */
export const waitForCount = (page, count) => counts(page, count).waitFor();

/** The same where nothing moves by itself: an answer waits for its own viewing for a moment only. */
export const reloadUntilCount = (page, count) => reloadUntil(page, counts(page, count));
