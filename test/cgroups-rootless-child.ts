/** Run as an ordinary user inside a group that was delegated to it: makes, limits, joins, freezes and removes groups there. */
import { readFileSync, writeFileSync } from "node:fs";
import { detectCgroups, openCgroups } from "../src/runtime/cgroups/index.ts";

const [base = ""] = process.argv.slice(2);
const cgroups = openCgroups({ layout: { ...detectCgroups(), version: "v2", v1: [] }, rootless: true });
const path = `${base}/container`;
const limits = cgroups.controllers.has("pids") ? { pids: { limit: 9 } } : {};
const { cloneInto } = cgroups.create(path, { ...limits, devices: [{ allow: false, access: "rwm" }] });
const child = Bun.spawn(["sleep", "100"], { stdio: ["ignore", "ignore", "ignore"] });
writeFileSync(`${cloneInto}/cgroup.procs`, String(child.pid));
await cgroups.freeze(path, true);
const frozen = cgroups.isFrozen(path);
const limit = cgroups.controllers.has("pids") ? readFileSync(`${cloneInto}/pids.max`, "utf8").trim() : "9";
await cgroups.remove(path);
console.log(JSON.stringify({ uid: process.getuid?.(), frozen, limit, left: cgroups.children(base) }));
