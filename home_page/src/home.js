// The page works without this file. With it, the numbers are live and watching a
// video does not reload the page.
"use strict";

const count = document.getElementById("videos-watched");
const lists = document.getElementById("lists");
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

// How long a button says that it has been heard.
const THANKS_MS = 1500;
// When it is listened again after an answer that was no events.
const AGAIN_MS = 1000;
// How often "a minute ago" is looked at again.
const AGO_MS = 10_000;

function sayHowLongAgo() {
  for (const time of document.querySelectorAll("time")) {
    const seconds = Math.round((Date.parse(time.dateTime) - Date.now()) / 1000);
    if (Number.isNaN(seconds)) continue;
    const [unit, size] =
      seconds > -5 ? ["second", Infinity]
      : seconds > -60 ? ["second", 1]
      : seconds > -3600 ? ["minute", 60]
      : seconds > -86_400 ? ["hour", 3600]
      : ["day", 86_400];
    time.textContent = ago.format(Math.round(seconds / size) || 0, unit);
  }
}

function thank(button) {
  const verb = button.querySelector(".verb");
  verb.textContent = "Watched";
  button.classList.add("heard");
  setTimeout(() => {
    verb.textContent = "Watch";
    button.classList.remove("heard");
  }, THANKS_MS);
}

function show({ videosWatched, html }) {
  if (count.value !== String(videosWatched)) {
    count.value = videosWatched;
    count.textContent = videosWatched.toLocaleString("en");
  }
  // Rendered by the server, which escapes what is not ours.
  lists.innerHTML = html;
  sayHowLongAgo();
}

// A browser listens again by itself where the connection is lost, but not where it was told that
// the database is away.
function listen() {
  const events = new EventSource("/events");
  events.addEventListener("home", (event) => show(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

if (count && lists) {
  listen();
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
      }).catch(() => undefined);
      // Whatever went wrong, the plain form says it better.
      if (answer && answer.ok) thank(form.querySelector("button"));
      else form.submit();
    });
  }
  sayHowLongAgo();
  setInterval(sayHowLongAgo, AGO_MS);
}
