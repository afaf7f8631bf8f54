// The page works without this file. With it, the count is live and watching a
// video does not reload the page.
"use strict";

const count = document.getElementById("videos-watched");
if (count) {
  new EventSource("/events").addEventListener("home", (event) => {
    count.textContent = JSON.parse(event.data).videosWatched;
  });
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
      }).catch(() => undefined);
      // Whatever went wrong, the plain form says it better.
      if (!answer || !answer.ok) form.submit();
    });
  }
}
