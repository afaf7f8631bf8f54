// The pages work without this file. With it, the regions that move are replaced by
// what the server renders.
"use strict";

const main = document.querySelector("main[data-events]");

// What has the focus keeps it: by its id, its link, or its name.
function sign(element) {
  return element && (element.id || element.getAttribute("href") || element.getAttribute("aria-label"));
}

function replace(region, html) {
  const focused = region.contains(document.activeElement) ? sign(document.activeElement) : null;
  const scrolled = [...region.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
  region.innerHTML = html;
  region.querySelectorAll(".scroll").forEach((part, number) => {
    part.scrollLeft = scrolled[number] || 0;
  });
  if (focused) {
    for (const element of region.querySelectorAll("a, button, input, select, summary, [tabindex]")) {
      if (sign(element) === focused) {
        element.focus({ preventScroll: true });
        break;
      }
    }
  }
}

// When it is listened again after an answer that was no events.
const AGAIN_MS = 2000;

// What is shown may be old while nobody tells what is new.
function sayNotLive(isSo) {
  let notice = document.getElementById("not-live");
  if (isSo && !notice) {
    notice = document.createElement("p");
    notice.id = "not-live";
    notice.className = "notice warn";
    notice.setAttribute("role", "status");
    notice.textContent =
      "This page is not live at the moment. It tries again by itself; reload it to see whether you are still signed in.";
    main.prepend(notice);
  } else if (!isSo && notice) {
    notice.remove();
  }
}

// A browser listens again by itself where the connection is lost, but not where it was told no.
function listen() {
  const events = new EventSource(main.dataset.events);
  const leave = () => events.close();
  events.addEventListener("open", () => sayNotLive(false));
  events.addEventListener("region", (event) => {
    const { id, html } = JSON.parse(event.data);
    const region = document.getElementById(id);
    if (region) replace(region, html);
  });
  events.addEventListener("error", () => {
    sayNotLive(true);
    if (events.readyState === EventSource.CLOSED) {
      window.removeEventListener("pagehide", leave);
      setTimeout(listen, AGAIN_MS);
    }
  });
  window.addEventListener("pagehide", leave);
}

if (main) listen();

// A box that ticks all others of its form.
for (const all of document.querySelectorAll("input[data-all]")) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of all.closest("form").querySelectorAll(`input[name="${all.dataset.all}"]`)) {
      box.checked = all.checked;
    }
  });
}

// A button that copies what an element says, named by its data-copy, where the browser may.
for (const copied of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${copied.dataset.copy}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(copied.textContent);
    button.textContent = "Copied";
  });
  copied.after(button);
}
