import { afterAll, beforeAll, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { call } from "../../src/api/control/client.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";

const SECRET = "the-glaze-is-celadon-7731";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  writeFileSync(join(engine.base, "recipe"), SECRET);
});
afterAll(() => engine.close(), 120_000);

/** Files of the engine, and of those the ones in the clear. */
const filesWith = (text: string): string[] =>
  sh(["sh", "-c", `grep -rlsF -- '${text}' ${engine.root} ${engine.run} || true`])
    .split("\n")
    .filter(Boolean);

test.each([
  ["with a user namespace", []],
  ["without one", ["--userns", "host"]],
])("a container %s reads its secrets, in memory, and cannot write them", async (_, flags) => {
  const secrets = [
    "--secret",
    "id=recipe,src=recipe",
    "--secret",
    "id=token,env=TOKEN,target=/etc/kiln/token,uid=33,gid=44,mode=0440",
  ];
  const look =
    "cd /run/secrets; stat -c '%n %u %g %a %s' * /etc/kiln/token; cat recipe /etc/kiln/token; stat -f -c %T . /etc/kiln/token";
  const run = (command: string, ...more: string[]) =>
    engine.onggi(["run", "--rm", ...flags, ...secrets, ...more, "busybox", "sh", "-c", command], { env: { TOKEN: "t0ken\n" } });
  expect((await run(look)).stdout.split("\n")).toEqual([
    "recipe 0 0 400 25",
    "/etc/kiln/token 33 44 440 6",
    `${SECRET}t0ken`,
    "tmpfs",
    "tmpfs",
    "",
  ]);
  for (const write of [
    "echo x > /run/secrets/recipe",
    "echo x > /etc/kiln/token",
    "touch /run/secrets/x",
    "rm /run/secrets/recipe",
  ])
    expect((await run(`${write} || exit 9`)).code).toBe(9);
  expect((await run("cat /run/secrets/recipe", "--user", "33")).code).toBe(1);
  expect((await run("cat /etc/kiln/token", "--user", "33")).stdout).toBe("t0ken\n");
  expect((await run("env; cat /proc/1/environ")).stdout).not.toContain("t0ken");
});

test("a secret outlives stops and engines, and is in nothing that leaves the container; it goes with it", async () => {
  await engine.ok(["run", "-d", "--name", "potter", "--secret", "id=recipe,src=recipe", "busybox", "sleep", "inf"]);
  const read = () => engine.ok(["exec", "potter", "cat", "/run/secrets/recipe"]);
  expect(await read()).toBe(SECRET);
  await engine.murder();
  expect(await read()).toBe(SECRET);
  await engine.ok(["kill", "potter"]);
  await engine.murder();
  await engine.ok(["start", "potter"]);
  expect(await read()).toBe(SECRET);
  await engine.ok(["commit", "potter", "baked:1"]);
  await engine.ok(["export", "-o", join(engine.base, "potter.tar"), "potter"]);
  await engine.ok(["save", "-o", join(engine.base, "baked.tar"), "baked:1"]);
  for (const tar of ["potter.tar", "baked.tar"])
    expect(sh(["sh", "-c", `grep -cF ${SECRET} ${join(engine.base, tar)} || true`]).trim()).toBe("0");
  const inspected = JSON.stringify(await call(join(engine.run, "onggi.sock"), "inspect", { container: "potter" }));
  expect(inspected).toContain('"secrets":[{"name":"recipe"}]');
  expect(`${inspected}${await engine.ok(["inspect", "potter"])}`).not.toContain(SECRET);
  expect(inspected).not.toContain(Buffer.from(SECRET).toString("base64").slice(0, 16));
  const { Id } = await engine.inspect("potter");
  const kept = join(engine.root, "containers", Id, "secrets/0");
  expect(filesWith(SECRET)).toEqual([kept]);
  expect(filesWith(Buffer.from(SECRET).toString("base64").slice(0, 16))).toEqual([]);
  expect([statSync(kept).mode & 0o777, statSync(join(kept, "..")).mode & 0o777]).toEqual([0o600, 0o700]);

  await engine.ok(["snapshot", "potter", "one"]);
  await engine.ok(["fork", "--name", "apprentice", "one"]);
  expect(await engine.ok(["exec", "apprentice", "cat", "/run/secrets/recipe"])).toBe(SECRET);
  await engine.ok(["rm", "-f", "potter", "apprentice"]);
  const { code, stderr } = await engine.onggi(["fork", "one"]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("secrets recipe went with their container")]);
  await engine.ok(["snapshot", "rm", "one"]);
  await engine.ok(["rmi", "baked:1"]);
  expect(filesWith(SECRET)).toEqual([]);
});

test("what cannot be is refused", async () => {
  const socket = join(engine.run, "onggi.sock");
  const refusal = (secrets: { name: string; data?: string; target?: string; mode?: number }[], runtime?: string) =>
    call(socket, "create", { container: { image: "busybox", secrets, ...(runtime ? { runtime } : {}) } }).catch(
      ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
    );
  expect(await refusal([{ name: "a/b", data: "" }])).toStartWith('invalid_secret: secret "a/b"');
  expect(await refusal([{ name: "a" }])).toBe("invalid_secret: secret a: what is in it?");
  expect(await refusal([{ name: "a", data: "", target: "../x" }])).toContain('target "../x"');
  expect(await refusal([{ name: "a", data: "", mode: 0o1777 }])).toContain("mode 1777: give 0 to 777");
  expect(
    await refusal([
      { name: "a", data: "" },
      { name: "b", data: "", target: "a" },
    ]),
  ).toContain("another one at /run/secrets/a");
  expect(await refusal([{ name: "a", data: "A".repeat(700_000) }])).toContain("more than 512000 bytes");
  expect(await refusal([{ name: "a", data: "" }], "/bin/false")).toContain("cannot be given one");
  expect(await engine.ok(["ps", "-aq"])).toBe("");
});
