import { expect, test } from "bun:test";
import { type LoadOptions, loadProject } from "./index.ts";
import { memoryFiles } from "./memory-files.ts";

const files = (named: Record<string, string>) =>
  memoryFiles(
    Object.fromEntries(Object.entries(named).map(([name, text]) => [name.startsWith("/") ? name : `/app/${name}`, text])),
  );

const load = (named: Record<string, string> | string, options: Partial<LoadOptions> = {}) =>
  loadProject({
    cwd: "/app",
    environment: { HOME: "/home/me" },
    source: files(typeof named === "string" ? { "compose.yaml": named } : named),
    ...options,
  });

/** What is wrong, as the user reads it. */
const refusal = async (named: Record<string, string> | string, options: Partial<LoadOptions> = {}): Promise<string> => {
  try {
    await load(named, options);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it was loaded");
};

const service = async (yaml: string, options: Partial<LoadOptions> = {}) => {
  const lines = yaml.split("\n").map((line) => `    ${line}`);
  const { services } = await load(`services:\n  web:\n    image: nginx\n${lines.join("\n")}\nvolumes: {data: }`, options);
  return services.web!;
};

test("a project has its directory's name, a default network, and services with the names of theirs", async () => {
  const project = await load("services: {web: {image: nginx}}");
  expect(project).toMatchObject({
    name: "app",
    working_dir: "/app",
    files: ["/app/compose.yaml"],
    services: { web: { name: "web", image: "nginx", networks: { default: null } } },
    networks: { default: { name: "app_default" } },
  });
});

test("short forms are written out", async () => {
  expect(await service(`ports: ["80", "8000-8001:90-91", "127.0.0.1:53:53/udp", "7000-7009:70", "[::1]:1:2"]`)).toHaveProperty(
    "ports",
    [
      { target: 80, protocol: "tcp", mode: "ingress" },
      { target: 90, published: "8000", protocol: "tcp", mode: "ingress" },
      { target: 91, published: "8001", protocol: "tcp", mode: "ingress" },
      { target: 53, published: "53", host_ip: "127.0.0.1", protocol: "udp", mode: "ingress" },
      { target: 70, published: "7000-7009", protocol: "tcp", mode: "ingress" },
      { target: 2, published: "1", host_ip: "::1", protocol: "tcp", mode: "ingress" },
    ],
  );
  expect(await service(`volumes: ["data:/x:ro", "./a:/b:z,rslave", "/anon", "~/q:/q", "data:/y/../z/:nocopy"]`)).toHaveProperty(
    "volumes",
    [
      { type: "volume", source: "data", target: "/x", read_only: true, volume: {} },
      { type: "bind", source: "/app/a", target: "/b", bind: { create_host_path: true, selinux: "z", propagation: "rslave" } },
      { type: "volume", target: "/anon", volume: {} },
      { type: "bind", source: "/home/me/q", target: "/q", bind: { create_host_path: true } },
      { type: "volume", source: "data", target: "/z", volume: { nocopy: true } },
    ],
  );
  expect(await service(`command: sh -c "a; b" 'x y' a\\ b ""`)).toHaveProperty("command", ["sh", "-c", "a; b", "x y", "a b", ""]);
  expect(await service(`entrypoint: ""`)).toHaveProperty("entrypoint", []);
  expect(await service(`environment: [A=1, "B=x=y", C, D=]`, { environment: { C: "caller's" } })).toHaveProperty("environment", {
    A: "1",
    B: "x=y",
    C: "caller's",
    D: "",
  });
  expect(await service(`mem_limit: 64m\nshm_size: 1.5gb\nmemswap_limit: -1`)).toMatchObject({
    mem_limit: 64 * 2 ** 20,
    shm_size: 1.5 * 2 ** 30,
    memswap_limit: -1,
  });
  expect(await service(`ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}`)).toHaveProperty("ulimits", {
    nofile: { soft: 10, hard: 10 },
    nproc: { soft: 1, hard: 2 },
  });
  expect(await service(`extra_hosts: ["a:1.2.3.4", "a=1.2.3.5", "b=[::1]"]`)).toHaveProperty("extra_hosts", {
    a: ["1.2.3.4", "1.2.3.5"],
    b: ["::1"],
  });
  expect(await service(`stop_grace_period: 90s\nhealthcheck: {test: curl x, interval: 1d, retries: "3"}`)).toMatchObject({
    stop_grace_period: "1m30s",
    healthcheck: { test: ["CMD-SHELL", "curl x"], interval: "24h0m0s", retries: 3 },
  });
  expect(await service(`devices: ["/dev/fuse", "/dev/a:/dev/b:r"]`)).toHaveProperty("devices", [
    { source: "/dev/fuse", target: "/dev/fuse", permissions: "rwm" },
    { source: "/dev/a", target: "/dev/b", permissions: "r" },
  ]);
});

test("what is wrong is told with its line, all of it at once, and what was meant", async () => {
  expect(
    await refusal(`services:
  web:
    image: nginx
    prots: ["80"]
    tty: [1]
    command: [a, 1]
  db:
    imge: x
`),
  ).toBe(
    [
      `compose.yaml:4:5: services.web.prots: is not known here; did you mean "ports"?`,
      `compose.yaml:5:10: services.web.tty: is a list, but must be true or false or a string`,
      `compose.yaml:6:18: services.web.command[1]: is the number 1, but must be a string`,
      `compose.yaml:8:5: services.db.imge: is not known here; did you mean "image"?`,
    ].join("\n"),
  );
  expect(await refusal(`services:\n  web: {image: x, ports: ["80:99999"], mem_limit: 5q}`)).toContain(
    `compose.yaml:2:27: services.web.ports[0]: "99999"`,
  );
  expect(await refusal(`services:\n  web: {image: x, volumes: ["dta:/x"]}\nvolumes: {data: }`)).toBe(
    `compose.yaml:2:29: services.web.volumes[0]: refers to undefined volume dta; did you mean "data"?`,
  );
  expect(await refusal(`services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}`)).toContain(
    "dependency cycle detected: a -> b -> a",
  );
});
