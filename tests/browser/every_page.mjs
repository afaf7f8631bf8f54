// Every page that a link of the dashboard leads to: axe finds nothing in either scheme, nothing is
// wider than a narrow window, and the keyboard alone reaches whatever can be followed, pressed or
// filled in, and shows where it is.
import assert from "node:assert/strict";
import {
  asVisitor, dashboard, finish, photograph, requireAccessible, requireKeyboard,
} from "./browser.mjs";

/** Pages that differ only in what they are about are of one kind; so many of a kind are enough. */
const OF_A_KIND = 2;
/** How many pages there must be at least: a crawl that finds none finds no fault. */
const FEWEST = 12;

/** `/admin/messages/12?a=b&c=d` is of the kind `/admin/messages/# a c`. */
function kindOf(url) {
  const path = url.pathname.replace(/\/\d+/g, "/#");
  return [path, ...[...url.searchParams.keys()].sort()].join(" ");
}

/** The links of a page to others of the dashboard that only look. */
async function linksOf(page) {
  const links = await page.locator("a[href]").evaluateAll((all) => all.map((link) => link.href));
  const urls = links.map((link) => new URL(link));
  return urls.filter((url) => url.origin === new URL(dashboard).origin && url.protocol === "http:");
}

async function crawl(page, look) {
  const seen = new Set();
  const kinds = new Map();
  const waiting = [new URL(dashboard)];
  while (waiting.length > 0) {
    const url = waiting.shift();
    url.hash = "";
    const kind = kindOf(url);
    const known = kinds.get(kind) ?? 0;
    if (seen.has(url.href) || known >= OF_A_KIND) continue;
    seen.add(url.href);
    kinds.set(kind, known + 1);
    await page.goto(url.href);
    await look(page, `${url.pathname}${url.search}`, known === 0);
    if (known === 0) {
      await page.evaluate(() => document.activeElement?.blur());
      const name = kind.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "");
      await photograph(page, `every-${name}`);
    }
    waiting.push(...(await linksOf(page)));
  }
  return [...kinds.keys()];
}

// The live parts hold still while they are looked at.
const still = (page) =>
  page.addInitScript(() => {
    globalThis.EventSource = class extends EventTarget { close() {} };
  });

await asVisitor({}, async (page) => {
  await still(page);
  const kinds = await crawl(page, async (page, what, isNew) => {
    await requireAccessible(page, what);
    if (!isNew) return;
    await requireKeyboard(page, what);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 360, height: 740 });
    await requireAccessible(page, `${what} in the dark, 360 px wide`);
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
  });
  console.log(`${kinds.length} kinds of pages: ${kinds.join(", ")}`);
  assert.ok(kinds.length >= FEWEST, `only ${kinds.join(", ")}`);
});

await finish();
