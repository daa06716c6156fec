import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { call } from "../../src/api/control/client.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
});
afterAll(() => engine.close(), 120_000);

const socket = () => join(engine.run, "onggi.sock");
const indexes = (): string[] => readdirSync(join(engine.root, "images/index")).sort();

/** Every file of a container with type, mode, owner, size, links' targets and content's digest, as one text. */
async function treeOf(container: string): Promise<string> {
  const tar = join(engine.base, `${container}.tar`);
  await engine.ok(["export", "-o", tar, container]);
  // each container has its own, made with it
  const without = "--exclude=.dockerenv";
  const listing = sh(["tar", "--numeric-owner", "--full-time", without, "-tvf", tar]);
  const contents = sh(["sh", "-c", `tar -xOf ${tar} ${without} | sha256sum`]);
  sh(["rm", tar]);
  return listing + contents;
}

const CHANGE = [
  "rm /etc/group",
  "rm -r /var && mkdir /var && echo new > /var/b",
  "echo own > /home/owned && chown 12:34 /home/owned && chmod 4755 /home/owned && ln /home/owned /home/twin",
  "ln -s owned /home/link && mkfifo /home/fifo && touch -d '2001-02-03 04:05:06' /home/old",
  "dd if=/dev/zero of=/home/sparse bs=1 count=1 seek=1M 2>/dev/null",
  "mkdir -p /data && for i in $(seq 1 300); do echo $i > /data/$i; done",
].join(" && ");

test.each([
  ["with a user namespace", []],
  ["without one", ["--userns", "host"]],
])("a fork of a container %s has its files to the last bit", async (_, flags) => {
  await engine.ok(["run", ...flags, "--name", "potter", "busybox", "sh", "-c", `mkdir -p /home /var/old; ${CHANGE}`]);
  await engine.ok(["fork", "--no-start", "--name", "twin", "potter"]);
  const tree = await treeOf("potter");
  expect(tree).toContain("/data/300".slice(1));
  expect(await treeOf("twin")).toBe(tree);
  // a fork of a fork
  await engine.ok(["fork", "--no-start", "--name", "triplet", "twin"]);
  expect(await treeOf("triplet")).toBe(tree);
  await engine.ok(["rm", "-f", "potter", "twin", "triplet"]);
});

test("a snapshot is of one moment, whatever is written meanwhile; neither its container nor a fork changes it", async () => {
  // each line is in a before it is in b, and in b before there is a file of its number
  const writer = "mkdir /w; i=0; while :; do i=$((i+1)); echo $i >> /w/a; echo $i >> /w/b; : > /w/f$i; done";
  await engine.ok(["run", "-d", "--name", "writer", "busybox", "sh", "-c", writer]);
  await engine.ok(["exec", "writer", "sh", "-c", "while [ ! -e /w/f200 ]; do sleep 0.01; done"]);
  expect(await engine.ok(["snapshot", "writer"])).toBe("writer@1");
  expect((await engine.inspect("writer")).State.Status).toBe("running");
  expect(await engine.ok(["snapshot", "writer", "late"])).toBe("late");
  const { containers } = await call(socket(), "fork", { container: "writer@1", count: 3, name: "f", start: false });
  expect(containers.map(({ name }) => name)).toEqual(["f-1", "f-2", "f-3"]);
  const tree = await treeOf("f-1");
  await engine.ok(["rm", "-f", "writer"]);
  expect(await treeOf("f-2")).toBe(tree);
  await engine.ok(["start", "f-3"]);
  await engine.ok(["kill", "f-3"]);
  expect(await treeOf("f-1")).toBe(tree);
  await engine.ok(["export", "-o", join(engine.base, "f.tar"), "f-1"]);
  sh(["tar", "-C", engine.base, "-xf", join(engine.base, "f.tar"), "w"]);
  const written = (name: string): number => readFileSync(join(engine.base, "w", name), "utf8").split("\n").length - 1;
  const files = readdirSync(join(engine.base, "w")).length - 2;
  expect(files).toBeGreaterThanOrEqual(200);
  expect([0, 1]).toContain(written("a") - written("b"));
  expect([0, 1]).toContain(written("b") - files);
  expect((await engine.ok(["snapshot", "ls", "-q"])).split("\n")).toEqual(["writer@1", "late"]);
  // no image that anybody would see or prune
  expect(await engine.ok(["images", "-q"])).not.toContain("\n");
  await engine.ok(["image", "prune", "-f"]);
  await engine.ok(["snapshot", "rm", "writer@1", "late"]);
  expect(await treeOf("f-2")).toBe(tree);
  await engine.ok(["rm", "f-1", "f-2", "f-3"]);
  await eventually("the files went with the last fork", () => indexes().length === 1);
});

test("forks do not fight over names, ports and addresses; anonymous volumes are their own", async () => {
  await engine.ok(["network", "create", "--subnet", "10.211.7.0/24", "kiln"]);
  const request = ["--network", "kiln", "--ip", "10.211.7.9", "-p", "127.0.0.1:18473:80", "-v", "/own", "--label", "a=b"];
  await engine.ok(["run", "-d", "--name", "web", ...request, "busybox", "sh", "-c", "echo x >> /own/x; exec sleep inf"]);
  await eventually("it is up", async () => (await engine.onggi(["exec", "web", "test", "-e", "/own/x"])).code === 0);
  const ids = (await engine.ok(["fork", "-n", "3", "web"])).split("\n");
  expect(ids.length).toBe(3);
  const ports = await Promise.all(ids.map((id) => engine.ok(["port", id])));
  expect(new Set([...ports, await engine.ok(["port", "web"])]).size).toBe(4);
  for (const id of ids) {
    await eventually("it is up", async () => (await engine.onggi(["exec", id, "test", "-e", "/own/x"])).code === 0);
    expect(await engine.ok(["exec", id, "cat", "/own/x"])).toBe("x");
  }
  expect(await engine.ok(["ps", "-q", "--filter", "label=a=b"])).toContain(ids[0]!.slice(0, 12));
  await engine.ok(["rm", "-fv", "web", ...ids]);
  await engine.ok(["network", "rm", "kiln"]);
  expect(await engine.ok(["volume", "ls", "-q"])).toBe("");
});

test("what cannot be is refused, and nothing is left of it", async () => {
  await engine.ok(["create", "--name", "pot", "busybox", "nonsense"]);
  const before = indexes();
  const refused = async (args: string[], words: string): Promise<void> => {
    const { code, stderr } = await engine.onggi(args);
    expect([code === 0, stderr]).toEqual([false, expect.stringContaining(words)]);
  };
  await refused(["snapshot", "nobody"], "no such container: nobody");
  await refused(["snapshot", "pot", "a/b"], 'snapshot name "a/b"');
  await engine.ok(["snapshot", "pot", "one"]);
  await refused(["snapshot", "pot", "one"], "there is a snapshot one already");
  await refused(["snapshot", "rm", "two"], "no such snapshot: two");
  await refused(["fork", "two"], "no such snapshot: two");
  await refused(["fork", "-n", "0", "pot"], "0 forks: give a number from 1 to 1000");
  await refused(["fork", "--name", "pot", "one"], 'the container name "pot" is already in use');
  await refused(["fork", "-n", "3", "pot"], "executable file not found");
  expect(await engine.ok(["ps", "-a", "--format", "{{.Names}}"])).toBe("pot");
  await engine.ok(["snapshot", "rm", "one"]);
  await engine.ok(["rm", "pot"]);
  await eventually("no files are left", () => indexes().join() === before.join());
});

test("snapshots and forks go with their lease", async () => {
  await engine.ok(["run", "-d", "--name", "kept", "busybox", "sleep", "inf"]);
  const end = call(
    socket(),
    "lease",
    { id: "session" },
    {
      opened: (input) => {
        void (async () => {
          await call(socket(), "snapshot", { container: "kept", name: "mine", lease: "session" });
          await call(socket(), "fork", { container: "mine", count: 2, lease: "session" });
          input.detach();
        })();
      },
    },
  );
  const { containers, snapshots, problems } = await end;
  expect([containers.length, snapshots.length, problems]).toEqual([2, 1, []]);
  expect(await engine.ok(["ps", "-a", "--format", "{{.Names}}"])).toBe("kept");
  expect(await engine.ok(["snapshot", "ls", "-q"])).toBe("");
  await engine.ok(["rm", "-f", "kept"]);
});
