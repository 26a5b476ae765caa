// node.mjs get|each URL COUNT IN_FLIGHT: COUNT lists of one page with fetch, or
// every item of a list of COUNT.
import { readFileSync } from "node:fs";

const [scene, url, ...numbers] = process.argv.slice(2);
const [count, inFlight] = numbers.map(Number);

async function one(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

async function get() {
  let begun = 0;
  async function work() {
    while (begun++ < count) await one(url);
  }
  await Promise.all(Array.from({ length: inFlight }, work));
}

async function each() {
  let read = 0;
  for (let next = url; next; ) {
    const page = await one(next);
    for (const item of page.results) read += item.id.length > 0;
    next = page.next;
  }
  if (read !== count) throw new Error(String(read));
}

const wall = process.hrtime.bigint();
const before = process.cpuUsage();
await (scene === "each" ? each() : get());
const cpu = process.cpuUsage(before);
const peak = /VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
const seconds = Number(process.hrtime.bigint() - wall) / 1e9;
console.log(seconds, (cpu.user + cpu.system) / 1e6, Number(peak[1]));
