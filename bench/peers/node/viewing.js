import { randomUUID } from "node:crypto";

/** A stream that nobody has written to. */
export function newStream() {
  return `viewings-${randomUUID()}`;
}

export function viewing() {
  return { type: "VideoViewed", data: { userId: randomUUID(), videoId: "streams" } };
}
