/** Milliseconds of a clock that all threads of the process share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
