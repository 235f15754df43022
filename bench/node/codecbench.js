// hessian.js's side of bench/codec.py; ../codec_peers.py tells the lines and installs it.
"use strict";

const readline = require("node:readline");
const hessian = require("hessian.js");

const octets = new Map();
const values = new Map();
let dropped; // results go here, so that none is left out

// Microseconds of CPU time of this process, garbage collection included.
function cpu() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function timed(task, seconds) {
  const began = cpu();
  let count = 0;
  for (let batch = 1; ; batch = Math.min(2 * batch, 1024)) {
    for (let at = 0; at < batch; at++) dropped = task();
    count += batch;
    const elapsed = cpu() - began;
    if (elapsed >= seconds * 1e6) return elapsed / count;
  }
}

function answer(line) {
  switch (line.do) {
    case "load": {
      const bytes = Buffer.from(line.hex, "hex");
      // With types, as its encoder wants them; the time is of decoding without, which is faster.
      const value = hessian.decode(bytes, "2.0", true);
      octets.set(line.message, bytes);
      values.set(line.message, value);
      return { hex: hessian.encode(value, "2.0").toString("hex") };
    }
    case "encode": {
      const value = values.get(line.message);
      return { us: timed(() => hessian.encode(value, "2.0"), line.seconds) };
    }
    case "decode": {
      const bytes = octets.get(line.message);
      return { us: timed(() => hessian.decode(bytes, "2.0"), line.seconds) };
    }
    default:
      throw new Error(`unknown: ${line.do}`);
  }
}

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");

say({ ready: `hessian.js ${require("hessian.js/package.json").version}` });
readline.createInterface({ input: process.stdin }).on("line", (text) => {
  try {
    say(answer(JSON.parse(text)));
  } catch (error) {
    say({ error: String(error) });
  }
});
