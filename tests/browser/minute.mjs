// The most convincing minute: somebody with nothing but a keyboard finds a message that its handler
// chokes on, has it handled again once the handler is repaired, and puts a read model that was made
// anew in the place of the old one. Whether anybody saw a wrong count meanwhile, the test knows.
//   REPAIR      the SQL that repairs the handler, as its team deploys it
//   PATIENCE_S  how long the rebuild may take
//   HANDS       "keyboard"; or "mouse": without JavaScript, too
import { asVisitor, finish, home, pressOn, requireAccessible } from "./browser.mjs";
import { find, rebuild, repair } from "./operator.mjs";

const hasKeyboard = process.env.HANDS === "keyboard";
const options = { viewport: { width: 1120, height: 760 }, javaScriptEnabled: hasKeyboard };

await asVisitor(options, async (page) => {
  const press = hasKeyboard
    ? (wanted, key) => pressOn(page, wanted, key)
    : (wanted) => wanted.click();
  await page.goto(home);
  const started = Date.now();
  await find(page, press);
  // axe is JavaScript, too.
  const check = hasKeyboard ? requireAccessible : () => {};
  await repair(page, press, process.env.REPAIR, check);
  await rebuild(page, press, Number(process.env.PATIENCE_S) * 1000);
  console.log(`${Math.round((Date.now() - started) / 100) / 10} s`);
});

await finish();
