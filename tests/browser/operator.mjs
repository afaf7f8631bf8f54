// What an operator does about a message that its handler chokes on. How things are pressed is the
// caller's: by keyboard or by mouse, with JavaScript or without.
import { SECOND_SAMPLE_MS, dashboard, reloadUntil, sql } from "./browser.mjs";

export const SUBSCRIBER = "aggregators:home-page";

const link = (page, name) => page.getByRole("link", { name, exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });

/** From the overview to the parked message: what it is, and why it failed. */
export async function find(page, press) {
  await page.goto(dashboard);
  await reloadUntil(page, link(page, `1 parked by ${SUBSCRIBER}`), SECOND_SAMPLE_MS);
  await press(link(page, SUBSCRIBER));
  await press(link(page, "Look at its parked messages"));
  const message = page.getByRole("region", { name: "Messages" })
    .getByRole("row").filter({ hasText: "a viewing of no video" });
  await press(message.getByRole("rowheader").getByRole("link").first());
  await page.getByText('"videoId": null').waitFor();
  await press(link(page, "All that it has parked"));
}

/** Tries the handlers, repairs them, tries again, and has the message handled; `check` looks at what
 * only a form leads to. */
export async function repair(page, press, repaired, check) {
  const attempt = button(page, "Preview a retry of the first 100");
  await press(attempt);
  await page.getByText("Of 1 message, 0 would succeed and 1 would fail").waitFor();
  await check(page, "a preview that fails");
  await press(link(page, "Go back"));
  await sql(repaired);
  await press(attempt);
  await page.getByText("1 message would succeed and change the rows below").waitFor();
  await page.getByText("videosWatched").first().waitFor();
  await check(page, "a preview that succeeds");
  await press(link(page, "Go back"));

  await press(page.getByRole("checkbox", { name: /^Choose the message at/ }), "Space");
  await press(button(page, "Retry the chosen"));
  await page.getByText("This will touch 1 message").waitFor();
  await press(button(page, "Retry"));
  await page.getByText("1 message will be handled again").waitFor();
  await check(page, "a notice");
  await reloadUntil(page, page.getByText("No message is parked."), 20_000);
}

/** Has the read model made anew beside the live one, and puts it in its place. */
export async function rebuild(page, press, patienceMs) {
  await press(link(page, SUBSCRIBER));
  await press(link(page, "Rebuild side by side"));
  await press(button(page, "Rebuild side by side"));
  await page.getByText("The copy is being filled beside").waitFor();
  await page.getByRole("heading", { name: "Rebuild side by side" }).waitFor();
  await reloadUntil(page, page.getByText("The copy has caught up"), patienceMs);
  await press(link(page, "Promote the rebuild"));
  await press(button(page, "Promote the rebuild"));
  await page.getByText("The copy has replaced").waitFor();
  const history = page.getByRole("region", { name: "Who did what" });
  await history.getByRole("row").filter({ hasText: "promote" })
    .getByText("operator (loopback), as operator").waitFor();
}
