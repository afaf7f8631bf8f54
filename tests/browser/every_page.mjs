// Every page that a link of the dashboard leads to: axe finds nothing in either scheme, nothing is
// wider than a narrow window, and the keyboard alone reaches whatever can be followed, pressed or
// filled in, and shows where it is. So are the pages that say no, and those of a viewer who signs in.
//   VIEWERS        the address of a dashboard that asks for a token
//   VIEWERS_TOKEN  the viewers'
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
async function linksOf(page, origin) {
  const links = await page.locator("a[href]").evaluateAll((all) => all.map((link) => link.href));
  const urls = links.map((link) => new URL(link));
  return urls.filter((url) => url.origin === origin && url.protocol === "http:");
}

async function crawl(page, start, look) {
  const seen = new Set();
  const kinds = new Map();
  const waiting = [new URL(start)];
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
    waiting.push(...(await linksOf(page, new URL(start).origin)));
  }
  return [...kinds.keys()];
}

// The live parts hold still while they are looked at.
const still = (page) =>
  page.addInitScript(() => {
    globalThis.EventSource = class extends EventTarget { close() {} };
  });

async function requireForEverybody(page, what) {
  await requireKeyboard(page, what);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 360, height: 740 });
  await requireAccessible(page, `${what} in the dark, 360 px wide`);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

await asVisitor({}, async (page) => {
  await still(page);
  const kinds = await crawl(page, dashboard, async (page, what, isNew) => {
    await requireAccessible(page, what);
    if (isNew) await requireForEverybody(page, what);
  });
  console.log(`${kinds.length} kinds of pages: ${kinds.join(", ")}`);
  assert.ok(kinds.length >= FEWEST, `only ${kinds.join(", ")}`);
});

// A page that is told nothing more says so, until it is live again.
await asVisitor({ expected: /\/events|503/ }, async (page) => {
  let isAway = true;
  await page.route("**/admin/events?*", (route) =>
    isAway ? route.fulfill({ status: 503 }) : route.continue());
  await page.goto(dashboard);
  const notice = page.getByText("This page is not live at the moment");
  await notice.waitFor();
  await requireAccessible(page, "a page that is not live");
  isAway = false;
  await notice.waitFor({ state: "detached" });
});

// Browsers put every answer that says no on their console.
await asVisitor({ expected: /404|403|401/ }, async (page) => {
  await still(page);
  for (const path of ["nothing-here", "subscription?id=none", "messages/99999999", "search?q=none",
    "parked/confirm?id=services:patient&do=retry"]) {
    await page.goto(`${dashboard}/${path}`);
    await requireAccessible(page, path);
    await requireForEverybody(page, path);
  }

  const viewers = process.env.VIEWERS;
  await page.goto(viewers);
  await requireAccessible(page, "signing in");
  await requireForEverybody(page, "signing in");
  await page.getByLabel("Token").fill("a wrong one, which is long");
  await page.keyboard.press("Enter");
  await page.getByText("That is not a token").waitFor();
  await requireAccessible(page, "a wrong token");
  await page.getByLabel("Token").fill(process.env.VIEWERS_TOKEN);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  const kinds = await crawl(page, viewers, async (page, what, isNew) => {
    await requireAccessible(page, `${what} for a viewer`);
    if (isNew) await requireForEverybody(page, `${what} for a viewer`);
  });
  assert.ok(kinds.length >= FEWEST - 3, `a viewer sees only ${kinds.join(", ")}`);
  await page.goto(`${viewers}/subscription/confirm?id=services:patient&do=pause`);
  await page.getByText("You may look, but not act").waitFor();
  await requireAccessible(page, "a refusal");
});

await finish();
