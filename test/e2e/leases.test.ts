import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { call } from "../../src/api/control/client.ts";
import type { LeaseEnd } from "../../src/api/control/types.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
const holders: Holder[] = [];
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
});
afterAll(async () => {
  for (const holder of holders) holder.kill();
  await engine.close();
}, 120_000);

const socket = () => join(engine.run, "onggi.sock");

/** A client in a process of its own. */
class Holder {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<unknown>;

  constructor(id?: string) {
    const script = join(import.meta.dir, "../kit/lease-holder.ts");
    this.#process = Bun.spawn([process.execPath, script, socket(), ...(id === undefined ? [] : [id])], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = linesOf(this.#process.stdout);
    holders.push(this);
  }

  /** What it says next. */
  async says<T = { id: string; resumed: boolean }>(): Promise<T> {
    const { value } = await this.#lines.next();
    return value as T;
  }

  end(): void {
    this.#process.stdin.write("\n");
    this.#process.stdin.flush();
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    for (let at = rest.indexOf("\n"); at >= 0; at = rest.indexOf("\n")) {
      yield JSON.parse(rest.slice(0, at));
      rest = rest.slice(at + 1);
    }
  }
}

/** A network, a volume, and two containers with them, one of them running. */
async function furnish(lease: string): Promise<void> {
  await call(socket(), "networkCreate", { name: `net-${lease}`, lease });
  await call(socket(), "volumeCreate", { name: `vol-${lease}`, lease });
  const request = {
    image: "busybox",
    command: ["sleep", "inf"],
    networks: [{ network: `net-${lease}` }],
    mounts: [
      { type: "volume" as const, source: `vol-${lease}`, target: "/a" },
      { type: "volume" as const, source: `new-${lease}`, target: "/b" },
      { type: "volume" as const, target: "/c" },
    ],
    lease,
  };
  const nothing = { stdin: false, stdout: false, stderr: false };
  await call(socket(), "run", { container: { ...request, name: `up-${lease}` }, detach: true, attach: nothing });
  await call(socket(), "create", { container: { ...request, name: `made-${lease}` } });
}

/** Names of what there is of a lease. */
async function remains(lease: string): Promise<string[]> {
  const containers = await engine.ok(["ps", "-a", "--format", "{{.Names}}"]);
  const networks = await engine.ok(["network", "ls", "--format", "{{.Name}}"]);
  const volumes = await engine.ok(["volume", "ls", "-q"]);
  return [...`${containers}\n${networks}\n${volumes}`.split("\n")].filter((name) => name.endsWith(`-${lease}`)).sort();
}

const everything = (lease: string): string[] => ["made", "net", "new", "up", "vol"].map((name) => `${name}-${lease}`);

test("what a client made goes when it is killed, and nothing else does", async () => {
  await engine.ok(["volume", "create", "old-killed"]);
  const holder = new Holder("killed");
  expect(await holder.says()).toEqual({ id: "killed", resumed: false });
  await furnish("killed");
  await engine.ok(["run", "-d", "--name", "other-killed", "--network", "net-killed", "busybox", "sleep", "inf"]);
  expect(await remains("killed")).toEqual([...everything("killed"), "old-killed", "other-killed"].sort());
  holder.kill();
  await eventually("it is gone", async () => (await remains("killed")).join() === "old-killed,other-killed");
  expect((await engine.inspect("other-killed")).State.Running).toBe(true);
  await engine.ok(["rm", "-f", "other-killed"]);
  await engine.ok(["volume", "rm", "old-killed"]);
  expect(await engine.ok(["volume", "ls", "-q"])).toBe("");
});

test("a configuration goes after the networks that were made after it", async () => {
  const holder = new Holder();
  const { id } = await holder.says();
  await call(socket(), "networkCreate", { name: `plan-${id}`, configOnly: true, lease: id });
  await call(socket(), "networkCreate", { name: `made-${id}`, configFrom: `plan-${id}`, lease: id });
  expect(await remains(id)).toEqual([`made-${id}`, `plan-${id}`]);
  holder.end();
  expect(await holder.says<LeaseEnd>()).toMatchObject({ networks: [expect.any(String), expect.any(String)], problems: [] });
  expect(await remains(id)).toEqual([]);
});

test("a client that ends its lease is told what went; the id is then unknown", async () => {
  const holder = new Holder();
  const { id } = await holder.says();
  await furnish(id);
  holder.end();
  const end = await holder.says<LeaseEnd>();
  expect(end).toEqual({
    containers: [expect.any(String), expect.any(String)],
    networks: [expect.any(String)],
    volumes: [`new-${id}`, `vol-${id}`],
    snapshots: [],
    problems: [],
  });
  expect(await remains(id)).toEqual([]);
  for (const name of ["lease", "volumeCreate", "networkCreate"] as const) {
    const request = name === "lease" ? { id, resume: true } : { name: `late-${id}`, lease: id };
    const error = call(socket(), name, request as never).catch((reason: { code: string }) => reason.code);
    expect(await error).toBe("lease_not_found");
  }
  expect(await call(socket(), "lease", { id: "a/b" }).catch((error: { code: string }) => error.code)).toBe("invalid_lease");
});

test("one lease has one holder", async () => {
  const holder = new Holder("mine");
  await holder.says();
  expect(await new Holder("mine").says()).toEqual({ error: "lease_held" } as never);
  holder.end();
  await holder.says();
});

test("a lease outlives its engine if its client comes back, else it ends", async () => {
  const faithful = new Holder("faithful");
  const gone = new Holder("gone");
  await Promise.all([faithful.says(), gone.says()]);
  await furnish("faithful");
  await furnish("gone");
  await engine.murder();
  gone.kill();
  await engine.pid();
  expect(await faithful.says()).toEqual({ id: "faithful", resumed: true });
  // stopped, it hands on what waits
  await engine.ok(["engine", "stop"]);
  await engine.pid();
  expect(await faithful.says()).toEqual({ id: "faithful", resumed: true });
  expect(await remains("gone")).toEqual(everything("gone"));
  await eventually("the other one has ended", async () => (await remains("gone")).length === 0, 20);
  expect(await remains("faithful")).toEqual(everything("faithful"));
  faithful.kill();
  await eventually("it ends with its client", async () => (await remains("faithful")).length === 0);
}, 60_000);

test("an engine that is killed while a lease ends leaves the rest to the next one", async () => {
  const holder = new Holder("half");
  await holder.says();
  await furnish("half");
  holder.kill();
  await Bun.sleep(15);
  await engine.murder();
  await eventually("it is gone", async () => (await remains("half")).length === 0);
});
