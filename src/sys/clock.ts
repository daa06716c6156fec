import { readFileSync } from "node:fs";

/** Milliseconds since the machine was started, those in which it slept too; nobody sets it. In steps of 10. proc_uptime(5). */
export const bootClock = (): number => Math.round(Number.parseFloat(readFileSync("/proc/uptime", "utf8")) * 1000);
