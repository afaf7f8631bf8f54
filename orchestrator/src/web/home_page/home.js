// The page works without this file. With it, the numbers are live and watching a
// video does not reload the page.
"use strict";

const count = document.getElementById("videos-watched");
const most = document.getElementById("most-watched");

function titleOf(videoId) {
  for (const form of document.querySelectorAll("form")) {
    if (form.dataset.video === videoId) return form.parentElement.querySelector("span").textContent;
  }
  return videoId;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

if (count && most) {
  new EventSource("/events").addEventListener("home", (event) => {
    const { videosWatched, mostWatched } = JSON.parse(event.data);
    count.textContent = videosWatched;
    most.replaceChildren(
      ...mostWatched.map(({ videoId, views }) => {
        const item = document.createElement("li");
        item.append(element("span", titleOf(videoId)), " ", element("strong", views));
        return item;
      }),
    );
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
