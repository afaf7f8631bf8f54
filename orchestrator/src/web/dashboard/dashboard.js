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

if (main) {
  const events = new EventSource(main.dataset.events);
  events.addEventListener("region", (event) => {
    const { id, html } = JSON.parse(event.data);
    const region = document.getElementById(id);
    if (region) replace(region, html);
  });
  window.addEventListener("pagehide", () => events.close());
}

// A box that ticks all others of its form.
for (const all of document.querySelectorAll("input[data-all]")) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of all.closest("form").querySelectorAll(`input[name="${all.dataset.all}"]`)) {
      box.checked = all.checked;
    }
  });
}
