// The home page as it is, whatever its numbers are, in both schemes, wide and narrow.
import {
  asVisitor, countOn, finish, home, photograph, requireAccessible, requireKeyboard,
} from "./browser.mjs";

for (const [colorScheme, width] of [["light", 320], ["dark", 1280]]) {
  await asVisitor({ colorScheme, viewport: { width, height: 740 } }, async (page) => {
    await page.goto(home);
    await requireAccessible(page, `the home page, ${colorScheme}, ${width} px`);
    await requireKeyboard(page, "the home page");
    await photograph(page, `home-of-${await countOn(page)}-${colorScheme}`);
  });
}

await finish();
