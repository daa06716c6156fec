import { expect, test } from "bun:test";
import { type ContainerDefaults, withDefaults } from "./container-defaults.ts";

const image = { image: "busybox" };
const builtIn: ContainerDefaults = { log: { driver: "json-file", options: {} } };

test("without defaults a request gets a bounded log, and nothing else", () => {
  expect(withDefaults(image, builtIn)).toEqual({ ...image, log: { driver: "json-file", maxSize: 100 << 20, maxFiles: 3 } });
});

const all: ContainerDefaults = {
  log: { driver: "journald", options: { tag: "{{.Name}}", "cache-max-size": "1m" } },
  ulimits: [
    { name: "nofile", soft: 1, hard: 2 },
    { name: "core", soft: 0, hard: 0 },
  ],
  ...{ dns: ["9.9.9.9"], dnsSearch: ["example.org"], dnsOptions: ["ndots:2"], shmSize: 1 << 20, init: true },
  ...{ noNewPrivileges: true, seccomp: "/profile.json", cgroupns: "host", ipc: "shareable", cgroupParent: "/c" },
};

test("every default", () => {
  expect(withDefaults(image, all)).toEqual({
    ...image,
    log: { driver: "journald", maxSize: 1 << 20, maxFiles: 1, options: { tag: "{{.Name}}", "cache-max-size": "1m" } },
    ulimits: [...(all.ulimits ?? [])],
    ...{ dns: ["9.9.9.9"], dnsSearch: ["example.org"], dnsOptions: ["ndots:2"], shmSize: 1 << 20, init: true },
    securityOpt: ["no-new-privileges", "seccomp=/profile.json"],
    ...{ cgroupns: "host", ipc: "shareable", cgroupParent: "/c" },
  });
});

test("what a request says stays", () => {
  const asked = {
    ...image,
    log: { driver: "none", maxSize: 0, maxFiles: 1 },
    ulimits: [{ name: "nofile", soft: 5, hard: 5 }],
    ...{ dns: ["1.1.1.1"], dnsSearch: ["."], dnsOptions: ["rotate"], shmSize: 5, init: false },
    securityOpt: ["no-new-privileges=false", "seccomp=unconfined"],
    ...{ cgroupns: "private", ipc: "private", cgroupParent: "/d" },
  } as const;
  const found = withDefaults(structuredClone(asked) as never, all);
  expect(found).toEqual({ ...asked, ulimits: [...asked.ulimits, { name: "core", soft: 0, hard: 0 }] } as never);
});

test("log options: the default's for its driver, a request's before them, none for another driver", () => {
  expect(withDefaults({ ...image, logOptions: { tag: "x" } }, all).log.options).toEqual({ tag: "x", "cache-max-size": "1m" });
  const own = { driver: "journald" as const, maxSize: 1, maxFiles: 1, options: { labels: "a" } };
  expect(withDefaults({ ...image, log: own }, all).log.options).toEqual({
    ...{ tag: "{{.Name}}", "cache-max-size": "1m", labels: "a" },
  });
  const other = { driver: "json-file" as const, maxSize: 7, maxFiles: 1 };
  expect(withDefaults({ ...image, log: other }, all).log).toEqual(other);
});

test("who shares another container's network has its names, and who is privileged no filter", () => {
  expect(withDefaults({ ...image, network: "container:a" }, all).dns).toBeUndefined();
  expect(withDefaults({ ...image, privileged: true }, all).securityOpt).toEqual(["no-new-privileges"]);
});
