/** Limits of what a container sends and receives, as iperf3 finds them. Needs root. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { limitBandwidth } from "../../src/networks/bandwidth.ts";
import { Netns } from "../kit/netns.ts";

const host = new Netns("host");
const container = new Netns("container");
let server: Bun.Subprocess;

beforeAll(async () => {
  host.cable("v0", container, "eth0");
  host.address("v0", "10.0.0.1/24");
  container.address("eth0", "10.0.0.2/24");
  server = container.inside(() => Bun.spawn(["iperf3", "-s", "-B", "10.0.0.2"], { stdout: "ignore", stderr: "ignore" }));
});
afterAll(async () => {
  server.kill();
  await server.exited;
  host.close();
  container.close();
});

/** Bytes per second that arrive. `-R`: the container sends. */
async function measure(...options: string[]): Promise<number> {
  for (let tries = 0; ; tries++) {
    const { stdout } = await host.run("iperf3", "-c", "10.0.0.2", "-J", "-t", "1", ...options);
    const rate = JSON.parse(stdout || "{}").end?.sum_received?.bits_per_second / 8;
    if (rate > 0) return rate;
    if (tries === 20) throw new Error(stdout);
    await Bun.sleep(50); // the server is not there yet
  }
}

test("each direction has its own limit, which can be changed and taken away", async () => {
  const ends = [
    { net: host.net, index: host.net.requireLink("v0").index },
    { net: container.net, index: container.net.requireLink("eth0").index },
  ] as const;
  const free = Math.min(await measure(), await measure("-R"));
  expect(free).toBeGreaterThan(50e6);
  limitBandwidth(...ends, { receive: 2e6, send: 5e6 });
  expect(await host.output("tc", "qdisc", "show", "dev", "v0")).toContain("qdisc tbf ");
  const [receives, sends] = [await measure(), await measure("-R")];
  // what may be sent at once comes on top, within a second
  expect(receives).toBeGreaterThan(1e6);
  expect(receives).toBeLessThan(2.6e6);
  expect(sends).toBeGreaterThan(2.5e6);
  expect(sends).toBeLessThan(6e6);
  limitBandwidth(...ends, { receive: 10e6 });
  expect(await measure()).toBeLessThan(12e6);
  expect(await measure("-R")).toBeGreaterThan(20e6);
  limitBandwidth(...ends, {});
  limitBandwidth(...ends, {});
  expect(await measure()).toBeGreaterThan(20e6);
  expect(await host.output("tc", "qdisc", "show", "dev", "v0")).not.toContain("tbf");
});

test("a rate beyond 32 bits", async () => {
  const index = host.net.requireLink("v0").index;
  limitBandwidth({ net: host.net, index }, { net: host.net, index }, { receive: 5e9, send: 5e9 });
  expect(await host.output("tc", "qdisc", "show", "dev", "v0")).toContain("rate 40Gbit");
  expect(() => limitBandwidth({ net: host.net, index }, { net: host.net, index }, { receive: 0 })).toThrow(RangeError);
});
