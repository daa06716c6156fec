/** `cp` and `volume cp`: the same command lines to onggi and to docker do the same; and what onggi's containers have beyond that. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attackImage } from "../kit/attack.ts";
import { type Docker, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { sh } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";
import { type TarEntry, tar } from "../kit/tar.ts";

const missing = dockerUnavailable();
if (missing) skipLoudly(`cp beside docker's: ${missing}`);

let engine: Engine;
let docker: Docker | undefined;
let host: string;

const ENTRIES: readonly TarEntry[] = [
  ...["etc/", "work/", "vol/", "tmp/"].map((name) => ({ name, type: "5" })),
  { name: "etc/passwd", data: "root:x:0:0::/:/bin/sh\napp:x:100:200::/:/bin/sh\n" },
  { name: "etc/link", type: "2", link: "passwd" },
  { name: "etc/broken", type: "2", link: "nowhere" },
  { name: "etclink", type: "2", link: "/etc" },
  { name: "owned", data: "x", uid: 7, gid: 8, mode: 0o4751 },
];

/** A fresh directory of files to copy in. */
function localFiles(): string {
  const path = mkdtempSync(join(host, "local-"));
  sh([
    "sh",
    "-c",
    `cd ${path} && echo hi > f && chown 1234:567 f && chmod 640 f && mkdir -p d/sub k/passwd && echo x > d/sub/x &&
    ln -s f l && ln -s d ld && ln f hard && mkfifo d/fifo && tar cf t.tar -C d sub/x --transform s,sub,etclink, && touch -d @1000000000 d d/sub f`,
  ]);
  return path;
}

beforeAll(async () => {
  host = mkdtempSync(join(tmpdir(), "onggi-cp-"));
  engine = startEngine();
  await attackImage(engine, "base", ENTRIES);
  if (missing) return;
  docker = await startDocker();
  await attackImage(
    { ok: async (args: string[], options: object) => (await docker!.client.run(args, options)).stdout } as never,
    "base",
    ENTRIES,
  );
}, 120_000);
afterAll(async () => {
  rmSync(host, { recursive: true, force: true });
  await docker?.stop();
  await engine.close();
}, 120_000);

const LOOK = "find . -exec stat -c '%n %A %u:%g %h %N' {} + | sort";

/** Command lines for `sh` with $C as the command, in a directory of its own, and a container "web" that does not run. */
const scripts: Readonly<Record<string, string>> = {
  "a file in, and as what": "$C cp f web:/work; $C cp f web:/work/g; $C cp -a f web:/work/a; $C cp f web:work/rel",
  "a file in where something is":
    "$C cp f web:/etc/link; $C cp l web:/work/l; $C cp -L l web:/work/L; $C cp k/passwd web:/etc/ 2>&1 | sed 's/.*cannot/cannot/;s/ \"[^ ]*$//'",
  "a file in where nothing is": "$C cp f web:/no/x; $C cp f web:/no; $C cp f web:/etc/broken",
  "a directory in":
    "$C cp d web:/work; $C cp d/. web:/work/new; $C cp d/ web:/work/d2; $C cp d web:/work; $C cp ld web:/work; $C cp ld/ web:/work/l2",
  "a directory that has no place": "$C cp d/. web:/new/deep; $C cp d web:/etc/link2/",
  "a file out":
    "$C cp web:/etc/passwd p; $C cp web:/etc/passwd d; $C cp web:/owned o; $C cp web:/owned f; $C cp web:/etc/passwd nodir/",
  "links out":
    "$C cp web:/etc/link a; $C cp -L web:/etc/link b; $C cp web:/etc/broken c; $C cp web:/etclink e; $C cp -L web:/etclink g; rm -f g/mtab g/host* g/resolv.conf",
  "a directory out": "$C cp web:/work w; $C cp web:/work/. d; $C cp web:/work/ d; $C cp -L web:/work v",
  "not there":
    "$C cp web:/nope .; $C cp web:/nope/ .; $C cp -L web:/etc/broken x; $C cp nofile web:/work 2>&1 | sed 's,/[^:]*/,,'",
  "no such place": "$C cp web:/etc/passwd none/x 2>&1 | sed 's,\"/.*/,,'; $C cp f d; $C cp web:/a other:/b",
  "a tar in": "$C cp - web:/ < t.tar; $C cp - web:/etc/passwd < t.tar; $C cp - web:/no < t.tar",
  "tars out":
    "$C cp web:/work - | tar tf -; $C cp web:/work/. - | tar tf -; $C cp web:/bin/../work/ - | tar tf -; $C cp web:/owned - | tar tvf - | cut -c1-20",
};

async function outcome(command: string, script: string): Promise<string> {
  const cwd = localFiles();
  const env = { ...process.env, ...docker?.env, ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run, NO_COLOR: "1", C: command };
  const run = async (line: string): Promise<string> => {
    const child = Bun.spawn(["sh", "-c", line], { cwd, env, stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    const said = err.split("\n").filter((line) => line && !line.startsWith("time=") && !line.startsWith("tar: "));
    const words = said.join("\n").replace(/^(onggi: |Error response from daemon: )/gm, "");
    // docker's command line has its own words for this before version 23
    const told = words.replace(/^Error: No such container:path: (\w+):(.*)$/gm, "Could not find the file $2 in container $1");
    return `${out.replace(/^onggi: /gm, "")}${told} => ${await child.exited}`;
  };
  await run("$C create --name web --network none base sleep 100");
  const steps: string[] = [];
  for (const step of script.split("; ")) steps.push(`${step}: ${await run(step)}`);
  const inside = `mkdir look && $C cp web:/work look; $C cp web:/etc look; cd look && rm -f etc/mtab etc/host* etc/resolv.conf && ${LOOK}`;
  steps.push(await run(`{ ${LOOK}; }`), await run(inside));
  await run("$C rm -f web");
  rmSync(cwd, { recursive: true });
  return steps.join("\n");
}

describe.skipIf(missing !== null)("as docker", () => {
  for (const [what, script] of Object.entries(scripts)) {
    test(what, async () => {
      const wanted = await outcome(docker!.cli, script);
      expect(await outcome(process.env.ONGGI ?? "onggi", script)).toBe(wanted);
    }, 60_000);
  }
});

/** A container with one of each kind of mount; its name. */
async function mounted(command: "run" | "create", ...more: string[]): Promise<string> {
  const bind = mkdtempSync(join(host, "bind-"));
  writeFileSync(join(bind, "bound"), "bound");
  const mounts = ["-v", "data:/vol", "-v", `${bind}:/new/bind:ro`, "--tmpfs", "/tmp"];
  const flags = command === "run" ? ["-d"] : [];
  return await engine.ok([command, ...flags, ...mounts, ...more, "base", "sleep", "1000"]);
}

/** A file of a container, or of a volume. */
async function read(place: string, group: readonly string[] = []): Promise<string> {
  const path = join(mkdtempSync(join(host, "read-")), "file");
  await engine.ok([...group, "cp", place, path]);
  return readFileSync(path, "utf8");
}

/** Copies a file with this content in. */
async function write(content: string, place: string, group: readonly string[] = []): Promise<void> {
  const path = join(mkdtempSync(join(host, "write-")), "file");
  writeFileSync(path, content);
  await engine.ok([...group, "cp", path, place]);
}

const refused = async (...args: string[]): Promise<string> => {
  const { stderr, code } = await engine.onggi(args);
  expect(code).toBe(1);
  return stderr.trim();
};

test("a container that runs, or is paused, is seen as it sees itself: with its volumes, binds and tmpfs", async () => {
  const id = await mounted("run");
  await engine.ok(["exec", id, "sh", "-c", "echo a > /vol/a; echo t > /tmp/t; echo r > /root.txt"]);
  const look = async (): Promise<void> => {
    expect(await read(`${id}:/vol/a`)).toBe("a\n");
    expect(await read(`${id}:/tmp/t`)).toBe("t\n");
    expect(await read(`${id}:/root.txt`)).toBe("r\n");
    expect(await read(`${id}:/new/bind/bound`)).toBe("bound");
  };
  await look();
  await write("in", `${id}:/vol/in`);
  await write("in", `${id}:/tmp/in`);
  await write("in", `${id}:/in`);
  expect(await engine.ok(["exec", id, "sh", "-c", "cat /vol/in /tmp/in /in; stat -c %u:%g /vol/in /tmp/in /in /owned"])).toBe(
    "ininin0:0\n0:0\n0:0\n7:8",
  );
  await engine.ok(["pause", id]);
  await look();
  await write("paused", `${id}:/paused`);
  await engine.ok(["unpause", id]);
  expect(await engine.ok(["exec", id, "cat", "/paused"])).toBe("paused");
  await engine.ok(["cp", `${id}:/.`, join(host, "whole")]);
  expect(readdirSync(join(host, "whole/proc"))).toEqual([]);
  expect(readFileSync(join(host, "whole/vol/a"), "utf8")).toBe("a\n");
  expect(await refused("cp", `${id}:/proc/1/status`, host)).toContain("/proc/1/status is the kernel's");
  await engine.ok(["rm", "-f", id]);
}, 60_000);

test("one that does not run too, and finds what was copied in when it is started", async () => {
  const id = await mounted("create");
  await write("v", `${id}:/vol/stopped`);
  await write("r", `${id}:/etc/stopped`);
  await write("w", `${id}:/work`);
  expect(await read(`${id}:/vol/stopped`)).toBe("v");
  expect(await read(`${id}:/new/bind/bound`)).toBe("bound");
  expect(await read(`${id}:/etc/passwd`)).toContain("root:x:0:0");
  await engine.ok(["start", id]);
  expect(
    await engine.ok([
      "exec",
      id,
      "sh",
      "-c",
      "cat /vol/stopped /etc/stopped /work/file; stat -c %u:%g /vol/stopped /etc/stopped /etc/passwd /etc",
    ]),
  ).toBe("vrw0:0\n0:0\n0:0\n0:0");
  await engine.ok(["exec", id, "sh", "-c", "echo later > /etc/later"]);
  await engine.ok(["stop", "-t", "0", id]);
  expect(await read(`${id}:/etc/later`)).toBe("later\n");
  await engine.ok(["rm", "-f", id]);
}, 60_000);

test("reading changes nothing of a container", async () => {
  const id = await mounted("create");
  await engine.ok(["cp", `${id}:/`, mkdtempSync(join(host, "all-"))]);
  expect(await engine.ok(["diff", id])).toBe("");
  await engine.ok(["rm", id]);
});

test("what is mounted read-only is not written to", async () => {
  const id = await mounted("run", "--read-only");
  writeFileSync(join(host, "x"), "x");
  const check = async (): Promise<void> => {
    expect(await refused("cp", join(host, "x"), `${id}:/work`)).toContain("container rootfs is marked read-only");
    expect(await refused("cp", join(host, "x"), `${id}:/new/bind/x`)).toContain("mounted volume is marked read-only");
    await write("x", `${id}:/vol/x`);
  };
  await check();
  await engine.ok(["stop", "-t", "0", id]);
  await check();
  await engine.ok(["rm", id]);
}, 60_000);

test("-a: in for the container's user, out with the owners it sees", async () => {
  const id = await engine.ok(["run", "-d", "--user", "app", "base", "sleep", "1000"]);
  writeFileSync(join(host, "mine"), "x");
  await engine.ok(["cp", "-a", join(host, "mine"), `${id}:/work/mine`]);
  expect(await engine.ok(["exec", id, "stat", "-c", "%u:%g", "/work/mine"])).toBe("100:200");
  await engine.ok(["cp", "-a", `${id}:/owned`, join(host, "owned-a")]);
  await engine.ok(["cp", `${id}:/owned`, join(host, "owned")]);
  const owners = ["owned-a", "owned"].map((name) => statSync(join(host, name))).map(({ uid, gid }) => `${uid}:${gid}`);
  expect(owners).toEqual(["7:8", "0:0"]);
  await engine.ok(["rm", "-f", id]);
}, 60_000);

test("an owner that a user namespace does not have is refused", async () => {
  const id = await engine.ok(["create", "base", "true"]);
  const { code, stderr } = await engine.onggi(["cp", "-", `${id}:/work`], { stdin: tar([{ name: "f", uid: 70_000 }]) });
  expect(code).toBe(1);
  expect(stderr).toContain("which the container's user namespace does not have");
  await engine.ok(["rm", id]);
});

test("a tar goes through the container's own links, and stays in it", async () => {
  const id = await engine.ok(["create", "base", "true"]);
  await engine.ok(["cp", "-", `${id}:/`], { stdin: tar([{ name: "etclink/through", data: "x" }]) });
  expect(await read(`${id}:/etc/through`)).toBe("x");
  await engine.ok(["rm", id]);
});

test("hard links, holes, devices and attributes come through", async () => {
  const from = mkdtempSync(join(host, "kinds-"));
  sh([
    "sh",
    "-c",
    `cd ${from} && echo x > a && ln a b && truncate -s 300M hole && echo end >> hole && mknod null c 1 3 && setfattr -n user.k -v v a`,
  ]);
  const id = await engine.ok(["create", "base", "true"]);
  await engine.ok(["cp", `${from}/.`, `${id}:/work`]);
  const to = mkdtempSync(join(host, "back-"));
  await engine.ok(["cp", `${id}:/work/.`, to]);
  const look = "stat -c '%n %h %s %t:%T %F' a b hole null; getfattr --only-values -n user.k a";
  expect(sh(["sh", "-c", `cd ${to} && ${look}`])).toBe(sh(["sh", "-c", `cd ${from} && ${look}`]));
  expect(statSync(join(to, "hole")).blocks * 512).toBeLessThan(1 << 20);
  await engine.ok(["rm", id]);
}, 60_000);

test("volumes", async () => {
  await engine.ok(["volume", "create", "store"]);
  await write("x", "store:/", ["volume"]);
  mkdirSync(join(host, "seed/below"), { recursive: true });
  writeFileSync(join(host, "seed/below/y"), "y");
  await engine.ok(["volume", "cp", join(host, "seed/."), "store:/deep"]);
  expect(await read("store:/deep/below/y", ["volume"])).toBe("y");
  expect(await read("store:file", ["volume"])).toBe("x");
  expect(await refused("volume", "cp", "store:/none", host)).toContain("Could not find the file /none in volume store");
  expect(await refused("volume", "cp", "nosuch:/none", host)).toContain("nosuch");
  await engine.ok(["volume", "rm", "store"]);
});

test("a copy that breaks off on the way in is an error, and the container goes on", async () => {
  const id = await engine.ok(["run", "-d", "base", "sleep", "1000"]);
  const whole = tar([{ name: "f", data: "x".repeat(100_000) }]);
  const { code } = await engine.onggi(["cp", "-", `${id}:/work`], { stdin: whole.subarray(0, 50_000) });
  expect(code).toBe(1);
  expect(await engine.ok(["exec", id, "echo", "on"])).toBe("on");
  await engine.ok(["rm", "-f", id]);
});
