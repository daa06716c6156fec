// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables are the matter
import { expect, test } from "bun:test";
import type { LoadOptions } from "./index.ts";
import { load, refusal } from "./kit.ts";

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

test.each([
  ["mem_limit: 1q", "services.web.mem_limit: is the string"],
  ["tty: maybe", "services.web.tty: is the string"],
  ["scale: 1.5", "services.web.scale: is the number 1.5, but must be a whole number or a string"],
  ["scale: -1", "services.web.scale: must be greater than or equal to 0"],
  ['command: "echo \'x"', "has a quote that is not closed"],
  ["ports: [a]", "services.web.ports[0]: "],
  ["ports: [1-3:1-2]", "ranges of different sizes"],
  ["ports: [127.0.1:80:80]", "is not an IP address"],
  ["ports: [80/sctpx]", "is not a protocol"],
  ["ports: [{published: 80}]", 'needs "target"'],
  ["volumes: [a:b:c:d]", "has too many colons"],
  ["volumes: ['data:']", "has an empty part"],
  ["volumes: [{type: bind, target: /x}]", 'needs "source"'],
  ["tmpfs: /x\n    volumes: [data:/x]", "target /x already mounted as tmpfs[0]"],
  ["devices: [a:b:c:d]", "has too many colons"],
  ["extra_hosts: [a]", "has no address"],
  ["environment: ['A =1']", "ends with a space"],
  ["stop_grace_period: 5x", "a span of time"],
  ["networks: [nope]", "refers to undefined network nope"],
  ["secrets: [nope]", "refers to undefined secret nope"],
  ["configs: [nope]", "refers to undefined config nope"],
  ["configs: [{ target: /x }]", "services.web.configs[0]: names no config; give it a source"],
  ["secrets: [{}]", "names no secret; give it a source"],
  ["depends_on: [wbe]", 'depends on undefined service "wbe"; did you mean "web"?'],
  ["depends_on: {web: {}}", 'needs "condition"'],
  ["depends_on: [web]", "dependency cycle detected: web -> web"],
  ["network_mode: host\n    networks: [default]", "excludes networks"],
  ["healthcheck: {test: [curl]}", 'must start either by "CMD"'],
  ["container_name: xx\n    scale: 2", "names one container"],
  ["mem_limit: 1m\n    deploy: {resources: {limits: {memory: 2m}}}", "can't set distinct values on 'mem_limit'"],
  ["env_file: none.env", "env file /app/none.env not found"],
  ["label_file: none.labels", "label file /app/none.labels not found"],
  ["restart: 5", "services.web.restart: is the number 5, but must be a string"],
  ["pull_policy: sometimes", "which does not match"],
  ["cap_add: [A, A, {}]", "cap_add[2]: is a mapping, but must be a string"],
  ["gpus: [{count: 1, device_ids: [a]}]", "exclusive"],
  ["build: {dockerfile: a, dockerfile_inline: b}", "exclude each other"],
  ["develop: {watch: [{path: ., action: sync}]}", 'needs "target"'],
])("%s is refused", async (line, message) => {
  const text = `services:\n  web:\n    image: x\n    ${line}\nvolumes: {data: }`;
  expect(await refusal(text)).toContain(message);
  expect(await refusal(text)).toMatch(/^compose.yaml:\d+:\d+: services.web/);
});

test.each([
  ["services: [a]", "compose.yaml:1:11: services: is a list, but must be a mapping"],
  ["- a", "top-level object must be a mapping"],
  ["", "says nothing"],
  ["# nothing", "says nothing"],
  ["servcies: {a: {image: x}}", 'servcies: is not known here; did you mean "services"?'],
  ["services: {web: {}}", "has neither an image nor a build context"],
  ["services: {a: {image: x}}\nsecrets: {s: {}}", "secrets.s: one of file, environment must be set"],
  ["services: {a: {image: x}}\nsecrets: {s: {file: a, environment: b}}", "exclude each other"],
  ["services: {a: {image: x}}\nvolumes: {v: {external: true, driver: x}}", 'conflicting parameters "external" and "driver"'],
  ["services: {a: {image: x, container_name: cc}, b: {image: x, container_name: cc}}", "already in use by service a"],
])("%j is refused", async (text, message) => {
  expect(await refusal(text)).toContain(message);
});

test("a variable that is missing is told at its place", async () => {
  const text = 'services:\n  web:\n    image: nginx:${TAG:?which one}\n    command: [a, "x ${"]\n';
  expect(await refusal(text)).toBe(
    [
      "compose.yaml:3:18: services.web.image: required variable TAG is missing a value: which one",
      'compose.yaml:4:20: services.web.command[1]: "${" is not a variable; write ${NAME}, ${NAME:-default}, or $$ for a dollar sign',
    ].join("\n"),
  );
});

test("what is odd is told once", async () => {
  const told: string[] = [];
  await load("version: '3'\nservices: {a: {image: x, hostname: $X, command: $X; b}}\nvolumes: {v: {external: {name: y}}}", {
    warn: (message) => told.push(message),
  });
  expect(told).toEqual([
    'The "X" variable is not set. Defaulting to a blank string.',
    "/app/compose.yaml: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
    'services.a.command: no shell reads this, so "; b" is left out; write ["sh", "-c", "..."] to have one',
    'volumes.v: external.name is deprecated; write "name" beside "external: true"',
  ]);
});
