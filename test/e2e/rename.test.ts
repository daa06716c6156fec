import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

describe("rename", () => {
  test("the new name finds it, the old one is free; also after the engine's death; an event tells", async () => {
    const since = String(Date.now() / 1000 - 0.001);
    const id = await engine.ok(["create", "--name", "before", "busybox", "true"]);
    await engine.ok(["rename", "before", "after"]);
    expect((await engine.inspect("after")).Id).toBe(id);
    expect((await engine.onggi(["inspect", "before"])).code).toBe(1);
    const events = ["events", "--since", since, "--until", String(Date.now() / 1000), "--filter", "event=rename"];
    const shown = await engine.ok([...events, "--format", "{{.Actor.Attributes.oldName}} {{.Actor.Attributes.name}}"]);
    expect(shown).toBe("/before after");
    await engine.murder();
    expect((await engine.inspect("after")).Id).toBe(id);
    await engine.ok(["create", "--name", "before", "busybox", "true"]);
    await engine.ok(["rm", "before", "after"]);
  });

  test("names in use, wrong names and its own name are refused", async () => {
    await engine.ok(["create", "--name", "one", "busybox", "true"]);
    await engine.ok(["create", "--name", "two", "busybox", "true"]);
    const refused = async (name: string) => (await engine.onggi(["rename", "one", name])).stderr;
    expect(await refused("two")).toContain(`the container name "two" is already in use`);
    expect(await refused("no/way")).toContain("only letters, digits");
    expect(await refused("one")).toContain("same name as its current name");
    await engine.ok(["rm", "one", "two"]);
  });

  test("others in its network find it by the new name; who shares its network goes on doing so", async () => {
    await engine.ok(["network", "create", "renamed"]);
    await engine.ok(["run", "-d", "--network", "renamed", "--name", "old", "busybox", "sleep", "1000"]);
    await engine.ok(["run", "-d", "--network", "renamed", "--name", "asks", "busybox", "sleep", "1000"]);
    await engine.ok(["create", "--network", "container:old", "--name", "guest", "busybox", "true"]);
    await engine.ok(["rename", "old", "new"]);
    expect(await engine.ok(["exec", "asks", "nslookup", "-type=a", "new"])).toContain("Address");
    expect((await engine.onggi(["exec", "asks", "nslookup", "-type=a", "old"])).code).not.toBe(0);
    expect((await engine.onggi(["start", "-a", "guest"])).code).toBe(0);
    await engine.ok(["rm", "-f", "guest", "asks", "new"]);
    await engine.ok(["network", "rm", "renamed"]);
  });
});

describe("top", () => {
  test("the columns of ps -ef, of this container only", async () => {
    await engine.ok(["run", "-d", "--name", "busy", "busybox", "sh", "-c", "sleep 2718281; :"]);
    // a process that was forked a moment ago is still its parent's program
    await eventually("both run", async () => / sleep 2718281$/m.test(await engine.ok(["top", "busy"])));
    const [head, ...rows] = (await engine.ok(["top", "busy"])).split("\n");
    expect(head!.split(/\s+/)).toEqual(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    const commands = rows.map((row) => row.split(/\s+/).slice(7).join(" "));
    expect(commands).toEqual(["sh -c sleep 2718281; :", "sleep 2718281"]);
    const { Pid } = (await engine.inspect("busy")).State;
    const [first, second] = rows.map((row) => row.split(/\s+/));
    expect(first?.[1]).toBe(String(Pid));
    expect(second?.[2]).toBe(String(Pid));
    expect(first?.[4]).toMatch(/^\d\d:\d\d$/);
    expect(first?.[6]).toBe("00:00:00");
    await engine.ok(["rm", "-f", "busy"]);
  });

  test("other columns are the host's ps's; words are words, not a shell's", async () => {
    await engine.ok(["run", "-d", "--name", "cols", "busybox", "sleep", "2718282"]);
    const [head, row, ...rest] = (await engine.ok(["top", "cols", "-e", "-o", "pid,comm,args"])).split("\n");
    expect(head!.split(/\s+/)).toEqual(["PID", "COMMAND", "COMMAND"]);
    expect(row).toMatch(/^\d+\s+sleep\s+sleep 2718282$/);
    expect(rest).toEqual([]);
    const { Pid } = (await engine.inspect("cols")).State;
    expect(await engine.ok(["top", "cols", "-o", "pid"])).toBe(`PID\n${Pid}`);
    expect((await engine.onggi(["top", "cols", "-e", "-o", "comm"])).stderr).toContain("couldn't find PID field");
    expect((await engine.onggi(["top", "cols", "; touch /tmp/x"])).code).not.toBe(0);
    await engine.ok(["stop", "-t", "0", "cols"]);
    expect((await engine.onggi(["top", "cols"])).stderr).toContain("is not running");
    await engine.ok(["rm", "cols"]);
  });
});

describe("--pid container:NAME", () => {
  test("sees the other's processes, and its own there; ends with it; goes by its id", async () => {
    await engine.ok(["run", "-d", "--name", "main", "busybox", "sleep", "1000"]);
    const { stdout, code } = await engine.onggi(["run", "--rm", "--pid", "container:main", "busybox", "ps", "-o", "pid,args"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ *1 sleep 1000$/m);
    expect(stdout).toMatch(/ps -o pid,args$/m);
    const side = await engine.ok(["run", "-d", "--pid", "container:main", "busybox", "sleep", "2000"]);
    await engine.ok(["rename", "main", "primary"]);
    expect(await engine.ok(["exec", side, "ps", "-o", "args"])).toContain("sleep 1000");
    expect(await engine.ok(["exec", "primary", "ps", "-o", "args"])).toContain("sleep 2000");
    await engine.ok(["kill", "primary"]);
    expect(await engine.ok(["wait", side])).toBe("137");
    expect((await engine.onggi(["start", side])).stderr).toContain("which does not run");
    await engine.ok(["rm", side, "primary"]);
  });

  test("what cannot be shared is refused, not left out", async () => {
    await engine.ok(["run", "-d", "--name", "other", "busybox", "sleep", "1000"]);
    const refused = async (...flags: string[]) => (await engine.onggi(["run", "--rm", ...flags, "busybox", "true"])).stderr;
    expect(await refused("--pid", "container:nobody")).toContain("no such container");
    expect(await refused("--pid", "somebody")).toContain("invalid PID mode");
    await engine.ok(["rm", "-f", "other"]);
  });
});
