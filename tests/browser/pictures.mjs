// The pictures of README.md and docs/: what a store at work looks like. The caller keeps it at work.
//   PATIENCE_S  how long all of this may take
import { asVisitor, dashboard, finish, home, photograph } from "./browser.mjs";

const SUBSCRIBER = "aggregators:home-page";
/** So many readings make a curve; there is one in ten seconds. */
const READINGS = 24;
/** How far the rebuild is in its picture. */
const HALF_WAY = { from: 0.45, to: 0.7 };

const timeout = Number(process.env.PATIENCE_S) * 1000;
const size = { width: 1120, height: 900 };
const show = (page, name) => photograph(page, `readme-${name}`, { fullPage: false });

await asVisitor({ viewport: size }, async (page) => {
  await page.goto(dashboard);
  await page.waitForFunction((readings) => {
    const curve = document.querySelector("svg.chart polyline[stroke-width='2']");
    return curve?.points.length >= readings;
  }, READINGS, { timeout });
  await show(page, "overview");

  await page.getByRole("link", { name: SUBSCRIBER, exact: true }).click();
  await page.getByRole("link", { name: "Rebuild side by side", exact: true }).click();
  await page.getByRole("button", { name: "Rebuild side by side", exact: true }).click();
  await page.waitForFunction(({ from, to }) => {
    const bars = [...document.querySelectorAll("#progress progress")];
    return bars.some(({ value, max }) => value > from * max && value < to * max);
  }, HALF_WAY, { timeout });
  await page.locator("#progress").scrollIntoViewIfNeeded();
  await show(page, "subscription");
});

await asVisitor({ viewport: size }, async (page) => {
  await page.goto(home);
  await show(page, "home");
});

await finish();
