// Drives a message store with its own client and prints one line of JSON. See ../README.md.
import { parseArgs } from "node:util";
import { catchUp } from "./works/catch_up.js";
import { latency } from "./works/latency.js";
import { oneStream } from "./works/one_stream.js";
import { write } from "./works/write.js";
import { writeBatch } from "./works/write_batch.js";

const USAGE = "usage: node driver.js emmett|message_store" +
  " prepare|write|write-batch|one-stream|latency|catch-up" +
  " [--clients N] [--seconds S] [--batch B] [--messages M] [--writes-per-second R]" +
  " [--pull-every-ms P] [--handle-in database|application]";

const TARGETS = { emmett: "./targets/emmett.js", message_store: "./targets/message_store.js" };

const WORKS = {
  prepare: async (target) => {
    await target.prepare();
    return { prepared: true };
  },
  write,
  "write-batch": writeBatch,
  "one-stream": oneStream,
  latency,
  "catch-up": catchUp,
};

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      clients: { type: "string" },
      seconds: { type: "string", default: "3" },
      batch: { type: "string" },
      messages: { type: "string", default: "100000" },
      "writes-per-second": { type: "string", default: "1000" },
      "pull-every-ms": { type: "string" },
      "handle-in": { type: "string", default: "database" },
    },
  });
  const [target, work] = positionals;
  if (positionals.length !== 2 || !(target in TARGETS) || !(work in WORKS)) {
    throw new Error(USAGE);
  }
  return {
    target,
    work,
    clients: number("clients", values.clients),
    seconds: number("seconds", values.seconds),
    batch: number("batch", values.batch),
    messages: number("messages", values.messages),
    writesPerSecond: number("writes-per-second", values["writes-per-second"]),
    pullEveryMs: number("pull-every-ms", values["pull-every-ms"]),
    handleIn: values["handle-in"],
  };
}

/** Absent stays absent: each work and target has its own default. */
function number(name, text) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value >= 0)) throw new Error(`--${name} ${text} is no number\n${USAGE}`);
  return value;
}

try {
  const options = readArguments();
  const target = await import(TARGETS[options.target]);
  console.log(JSON.stringify(await WORKS[options.work](target, options)));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
