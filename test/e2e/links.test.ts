/** `--link`: names of containers that another alone knows. As root. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterEach(async () => {
  await engine.expectClean();
  await engine.ok(["network", "prune", "-f"]);
});
afterAll(() => engine.close(), 60_000);

const SLEEP = ["busybox", "sleep", "1000"];
const inspect = async (container: string, format: string): Promise<string> => engine.ok(["inspect", "-f", format, container]);
const address = (container: string): Promise<string> => inspect(container, "{{.NetworkSettings.IPAddress}}");
const hosts = async (container: string): Promise<string[]> =>
  (await engine.ok(["exec", container, "cat", "/etc/hosts"])).split("\n").slice(6);
const found = async (container: string, name: string, ...options: string[]): Promise<boolean> =>
  (await engine.onggi(["exec", container, "ping", "-c1", "-W2", ...options, name])).code === 0;

test("in the default network: a line in /etc/hosts that follows the address, and variables", async () => {
  await engine.ok(["run", "-d", "--name", "db", "-h", "store", "--expose", "5432", "-e", "MODE=ro", ...SLEEP]);
  const words = ["--link", "db:sql", "--link", "db", "-e", "SQL_ENV_MODE=mine"];
  await engine.ok(["run", "-d", "--name", "web", ...words, ...SLEEP]);
  expect(await inspect("web", "{{json .HostConfig.Links}}")).toBe('["/db:/web/sql","/db:/web/db"]');
  const first = await address("db");
  const own = `${await address("web")}\t${(await inspect("web", "{{.Id}}")).slice(0, 12)}`;
  expect(await hosts("web")).toEqual([`${first}\tsql store db`, `${first}\tdb store`, own]);
  expect(await found("web", "sql")).toBe(true);
  const variables = (await engine.ok(["exec", "web", "env"])).split("\n").filter((line) => /^(SQL|DB)_/.test(line));
  expect(variables).toContain(`SQL_PORT_5432_TCP_ADDR=${first}`);
  expect(variables).toContain("SQL_NAME=/web/sql");
  expect(variables).toContain("SQL_ENV_MODE=mine");
  expect(variables).toContain("DB_ENV_MODE=ro");
  const started = await engine.ok(["exec", "web", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ"]);
  for (const variable of variables) expect(started.split("\n")).toContain(variable);
  // the neighbour goes, and comes back with another address
  await engine.ok(["stop", "-t", "0", "db"]);
  expect(await hosts("web")).toEqual([own]);
  await engine.ok(["run", "-d", "--name", "between", ...SLEEP]);
  await engine.ok(["start", "db"]);
  const second = await address("db");
  expect(second).not.toBe(first);
  expect(await hosts("web")).toEqual([`${second}\tsql store db`, `${second}\tdb store`, own]);
  await engine.ok(["rename", "db", "base"]);
  expect(await hosts("web")).toEqual([`${second}\tsql store base`, `${second}\tdb store base`, own]);
  expect(await inspect("web", "{{json .HostConfig.Links}}")).toBe('["/base:/web/sql","/base:/web/db"]');
  await engine.ok(["rename", "base", "db"]);
  await engine.ok(["run", "-d", "--name", "third", "--link", "db:sql", "--link", "web:www", ...SLEEP]);
  expect(await engine.ok(["rm", "--link", "/third/sql"])).toBe("/third/sql");
  expect(await inspect("third", "{{json .HostConfig.Links}}")).toBe('["/web:/third/www"]');
  expect((await hosts("third")).map((line) => line.split(/\s/)[1])).not.toContain("sql");
  for (const link of ["/third/sql", "/nobody/sql", "third"]) expect((await engine.onggi(["rm", "--link", link])).code).toBe(1);
  // an engine that was not there when it went
  await engine.murder();
  const pid = Number(await inspect("db", "{{.State.Pid}}"));
  await engine.murder();
  process.kill(pid, "SIGKILL");
  await engine.ok(["wait", "db"]);
  expect(await hosts("web")).toEqual([own]);
  await engine.ok(["rm", "db"]);
  expect(await inspect("web", "{{json .HostConfig.Links}}")).toBe("null");
  await engine.ok(["restart", "-t", "0", "web"]);
}, 60_000);

test("in the default network: what is refused", async () => {
  const refused = async (...args: string[]) => {
    const { code, stderr } = await engine.onggi(args);
    return [code, stderr.trim().replace(/^onggi: /, "")];
  };
  await engine.ok(["create", "--name", "db", ...SLEEP]);
  expect(await refused("run", "--link", "nobody:x", ...SLEEP)).toEqual([
    125,
    expect.stringContaining("could not get container for nobody: No such container: nobody"),
  ]);
  await engine.ok(["create", "--name", "web", "--link", "db:sql", ...SLEEP]);
  expect((await refused("start", "web"))[1]).toContain("Cannot link to a non running container: /db AS /web/sql");
  expect(await inspect("web", "{{.State.Status}}")).toBe("created");
  await engine.ok(["start", "db"]);
  await engine.ok(["start", "web"]);
  await engine.ok(["network", "create", "net"]);
  await engine.ok(["run", "-d", "--name", "other", "--network", "net", ...SLEEP]);
  const [code, why] = await refused("run", "--name", "third", "--link", "other", ...SLEEP);
  expect([code, why]).toEqual([
    125,
    expect.stringContaining("Cannot link to /other, as it does not belong to the default network"),
  ]);
  expect((await refused("create", "--network", "host", "--link", "db", ...SLEEP))[1]).toContain(
    "conflicting options: host type networking can't be used with links",
  );
  expect((await refused("create", "--network", "container:db", "--link", "db", ...SLEEP))[1]).toContain(
    "conflicting options: container type network can't be used with links",
  );
  await engine.ok(["run", "-d", "--name", "hosts", "--network", "host", ...SLEEP]);
  expect((await refused("create", "--link", "hosts", ...SLEEP))[1]).toContain("can't be used with links");
  expect((await refused("create", "--link", "db:a b", ...SLEEP))[1]).toContain("bad format for links");
  expect((await refused("network", "connect", "--link", "db", "bridge", "other"))[1]).toContain("knows no names");
}, 60_000);

test("in a network of one's own: a name that only the linking container sees, whoever has the other's name", async () => {
  // nobody of the world is asked for names that are not there
  for (const name of ["net", "back"]) await engine.ok(["network", "create", "--internal", name]);
  // as with Docker, nobody needs to be there
  await engine.ok(["run", "-d", "--name", "web", "--network", "net", "--link", "db:sql", ...SLEEP]);
  expect(await inspect("web", "{{json .NetworkSettings.Networks.net.Links}} {{json .HostConfig.Links}}")).toBe('["db:sql"] null');
  expect(await found("web", "sql", "-W1")).toBe(false);
  await engine.ok(["run", "-d", "--name", "db", "--network", "net", ...SLEEP]);
  expect(await found("web", "sql")).toBe(true);
  expect(await found("db", "sql")).toBe(false);
  await engine.ok(["rm", "-f", "db"]);
  expect(await found("web", "sql")).toBe(false);
  await engine.ok(["run", "-d", "--name", "another", "--network", "name=net,alias=db", ...SLEEP]);
  expect(await found("web", "sql")).toBe(true);
  await engine.murder();
  expect(await found("web", "sql")).toBe(true);
  // of a network that is connected later, for that network
  await engine.ok(["network", "connect", "--link", "cache:store", "back", "web"]);
  await engine.ok(["run", "-d", "--name", "cache", "--network", "net", ...SLEEP]);
  expect(await found("web", "store")).toBe(false);
  await engine.ok(["network", "connect", "back", "cache"]);
  expect(await found("web", "store")).toBe(true);
  await engine.ok(["network", "disconnect", "back", "web"]);
  expect(await found("web", "store")).toBe(false);
  await engine.ok(["restart", "-t", "0", "web"]);
  expect(await found("web", "sql")).toBe(true);
  expect(await engine.ok(["exec", "web", "env"])).not.toContain("SQL_");
}, 90_000);
