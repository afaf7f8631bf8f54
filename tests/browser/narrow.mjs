// What an operator sees on a telephone, 375 px wide: of each subscription its state, lag and parked
// messages within the window, charts whose labels can be read, and a hint where a table goes on beside it.
import assert from "node:assert/strict";
import { SECOND_SAMPLE_MS, asVisitor, dashboard, finish, photograph, requireAccessible } from "./browser.mjs";

const WIDTH = 375;
/** The smallest text of a chart, in pixels, that can be read. */
const READABLE_PX = 9;

/** Something is seen as a whole, without scrolling sideways. */
async function requireInSight(part, what) {
  const box = await part.boundingBox();
  assert.ok(box && box.width > 0, `${what} is not shown`);
  assert.ok(box.x >= 0 && box.x + box.width <= WIDTH, `${what} ends at ${box.x + box.width} px`);
}

await asVisitor({ viewport: { width: WIDTH, height: 812 } }, async (page) => {
  await page.goto(dashboard);
  await page.locator("svg.chart.narrow").first().waitFor({ timeout: SECOND_SAMPLE_MS });
  for (const id of ["services:strict", "services:patient"]) {
    const card = page.getByRole("row").filter({ has: page.getByRole("link", { name: id, exact: true }) });
    await requireInSight(card.locator(".state"), `the state of ${id}`);
    await requireInSight(card.locator("[data-label=Lag]"), `the lag of ${id}`);
    await requireInSight(card.locator("[data-label=Parked]"), `what ${id} has parked`);
  }
  assert.equal(await page.locator("svg.chart.wide").first().isVisible(), false);
  const labels = await page.locator("svg.chart.narrow text").evaluateAll((all) =>
    all.map((label) => label.getBoundingClientRect().height));
  assert.ok(labels.length > 3 && Math.min(...labels.filter(Boolean)) >= READABLE_PX, `labels of ${labels} px`);
  await requireAccessible(page, "the overview, narrow");
  await photograph(page, "narrow-overview");

  await page.getByRole("link", { name: "3 Parked messages" }).click();
  const message = page.getByRole("region", { name: "Messages" }).getByRole("row").nth(1);
  await requireInSight(message.getByRole("link", { name: /^Retry the message at/ }), "Retry");
  await photograph(page, "narrow-failures");
  await page.getByRole("link", { name: "services:strict", exact: true }).click();
  await page.locator("#trouble").getByText("no <b>").waitFor();
  await photograph(page, "narrow-subscription");
});

// What is copied is what the database has.
await asVisitor({ permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
  await page.goto(`${dashboard}/messages/2`);
  await page.getByRole("button", { name: "Copy the stream" }).click();
  await page.getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "viewings-b");
});

await finish();
