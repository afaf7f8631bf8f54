// A visitor watches videos on the home page: with a mouse, with the keyboard alone, without
// JavaScript, in the dark, on a narrow screen.
import assert from "node:assert/strict";
import {
  asVisitor, countOn, finish, home, photograph, pressOn, reloadUntil, reloadUntilCount,
  requireAccessible, waitForCount,
} from "./browser.mjs";

/** What the schemes and widths are tried with. */
const NARROW = { width: 360, height: 740 };

const button = (page, title) => page.getByRole("button", { name: `Watch ${title}` });

await asVisitor({}, async (page) => {
  await page.goto(home);
  const other = await page.context().newPage();
  await other.goto(home);
  const before = await countOn(page);
  // A reload would take this away.
  await page.evaluate(() => { globalThis.isThePageOfBefore = true; });

  await button(page, "Streams").click();
  await waitForCount(page, before + 1);
  await waitForCount(other, before + 1);
  await page.getByRole("region", { name: "Recently watched" })
    .getByRole("listitem").first().getByText("Streams").waitFor();
  await page.getByText("Watched", { exact: true }).waitFor();

  const reached = await pressOn(page, button(page, "Projecting"));
  await waitForCount(page, before + 2);
  await page.keyboard.press("Space");
  await waitForCount(page, before + 3);
  assert.equal(await reached.evaluate((element) => element === document.activeElement), true);
  assert.equal(await page.evaluate(() => globalThis.isThePageOfBefore), true, "it was reloaded");
  const most = page.getByRole("region", { name: "Most watched" }).getByRole("listitem");
  await most.filter({ hasText: "Projecting" }).getByText("2", { exact: true }).waitFor();

  await button(page, "Say it twice").waitFor();
  await requireAccessible(page, "the home page");
  await photograph(page, "home");
});

// The database is away when the page asks for its events, and back a second later.
await asVisitor({ expected: /\/events|503/ }, async (page) => {
  let isAway = true;
  await page.route("**/events", async (route) => {
    if (isAway) await route.fulfill({ status: 503 });
    else await route.continue();
    isAway = false;
  });
  await page.goto(home);
  const before = await countOn(page);
  await button(page, "Streams").click();
  await waitForCount(page, before + 1);
});

await asVisitor({ javaScriptEnabled: false }, async (page) => {
  await page.goto(home);
  const before = await countOn(page);
  await button(page, "Say it twice").click();
  await page.waitForURL(`${home}/`);
  await reloadUntilCount(page, before + 1);
  await pressOn(page, button(page, "Streams"));
  await reloadUntilCount(page, before + 2);
  // Another aggregator's, which may be a moment later than the count.
  const newest = page.getByRole("region", { name: "Recently watched" }).getByRole("listitem").first();
  await reloadUntil(page, newest.filter({ hasText: "Streams" }));
  assert.match(await newest.textContent(), /Streams.* \d{4}-\d\d-\d\d \d\d:\d\d UTC/);
});

for (const [name, options] of [
  ["home-dark", { colorScheme: "dark" }],
  ["home-narrow", { viewport: NARROW }],
  ["home-narrow-dark", { viewport: NARROW, colorScheme: "dark", reducedMotion: "reduce" }],
]) {
  await asVisitor(options, async (page) => {
    await page.goto(home);
    await requireAccessible(page, name);
    await photograph(page, name);
    const moves = await page.locator(".play").first()
      .evaluate((element) => getComputedStyle(element).transitionDuration !== "0s");
    assert.equal(moves, options.reducedMotion !== "reduce", "motion where none is wanted");
  });
}

await finish();
