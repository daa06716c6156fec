import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { rootCertificates } from "node:tls";
import { type ConfigFiles, sourcesOf } from "./sources.ts";

const base = mkdtempSync(join(tmpdir(), "onggi-sources-"));
afterAll(() => rmSync(base, { recursive: true }));

/** A machine whose files are these. */
const machine = (files: Readonly<Record<string, string>>): ConfigFiles => {
  const root = mkdtempSync(join(base, "m-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text.replaceAll("ROOT", root));
  }
  return {
    ...{ config: join(root, "registries.toml"), hostsDirs: [join(root, "containerd")], certsDirs: [join(root, "docker")] },
    ...{ insecure: [], mirrors: [] },
  };
};

const own = { resolves: true, pulls: true, pushes: true, own: true };

test("without a word of anybody: https, the Hub's host, and what is local may be insecure", () => {
  const files = machine({});
  const https = { root: "/v2", scheme: "https" as const };
  expect(sourcesOf(files, "docker.io", "library/a")).toEqual([
    { ...own, endpoint: { ...https, host: "registry-1.docker.io" }, path: "library/a" },
  ]);
  expect(sourcesOf(files, "a.example:5000", "b")).toEqual([
    { ...own, endpoint: { ...https, host: "a.example:5000" }, path: "b" },
  ]);
  expect(sourcesOf(files, "127.0.0.1:5000", "b")[0].endpoint.scheme).toBe("either");
  expect(sourcesOf(files, "a.example:5000", "b", true)[0].endpoint.scheme).toBe("either");
});

test("what the engine's settings say counts where registries.toml says nothing", () => {
  const files = {
    ...machine({}),
    insecure: ["r.example:5000", "plain.example", "10.0.0.0/8", "fd00::/8"],
    mirrors: ["https://mirror.example/", "http://inner.example:5000/hub"],
  };
  const schemes = ["r.example:5000", "r.example", "plain.example", "10.1.2.3:99", "11.1.2.3", "[fd00::1]:5000"].map(
    (domain) => sourcesOf(files, domain, "a")[0].endpoint.scheme,
  );
  expect(schemes).toEqual(["either", "https", "either", "either", "https", "either"]);
  const hub = sourcesOf(files, "docker.io", "library/a");
  expect(hub.map(({ endpoint, path }) => `${endpoint.scheme} ${endpoint.host} ${path}`)).toEqual([
    "https mirror.example library/a",
    "http inner.example:5000 hub/library/a",
    "https registry-1.docker.io library/a",
  ]);
  const said = {
    ...files,
    ...machine({ "registries.toml": '[registry."docker.io"]\nblocked = true\n' }),
    mirrors: files.mirrors,
  };
  expect(() => sourcesOf(said, "docker.io", "library/a")).toThrow("blocked");
});

test("registries.toml: mirrors, rewritten prefixes, certificates", () => {
  const files = machine({
    "ca.pem": "CA",
    "docker/mirror.example/c.cert": "CERT",
    "docker/mirror.example/c.key": "KEY",
    "registries.toml": `
      [registry."docker.io/library"]
      location = "inner.example:5000/base/hub"
      [[registry."docker.io/library".mirror]]
      location = "mirror.example"
      pull-from-mirror = "digest-only"
      pull-through = true
      [[registry."docker.io/library".mirror]]
      location = "127.0.0.1:7/x"
      pull-from-mirror = "tag-only"
      connect-timeout = 1
      ca = "ROOT/ca.pem"
      [registry."bad.example/app"]
      location = "10.0.0.7"
      [registry."worse.example"]
      ca = "ROOT/none.pem"
      [registry."shut.example"]
      blocked = true`,
  });
  expect(sourcesOf(files, "docker.io", "library/debian")).toEqual([
    {
      endpoint: {
        host: "mirror.example",
        root: "/v2",
        scheme: "https",
        tls: { cert: "CERT", key: "KEY" },
        connectTimeout: 5000,
        namespace: "docker.io",
      },
      path: "debian",
      resolves: false,
      pulls: true,
      pushes: false,
      own: false,
    },
    {
      endpoint: { host: "127.0.0.1:7", root: "/v2", scheme: "https", tls: { ca: ["CA"] }, connectTimeout: 1000 },
      path: "x/debian",
      resolves: true,
      pulls: false,
      pushes: false,
      own: false,
    },
    { ...own, endpoint: { host: "inner.example:5000", root: "/v2", scheme: "https" }, path: "base/hub/debian" },
  ]);
  expect(sourcesOf(files, "docker.io", "team/app")[0].endpoint.host).toBe("registry-1.docker.io");
  expect(() => sourcesOf(files, "bad.example", "app")).toThrow("names none");
  expect(() => sourcesOf(files, "worse.example", "app")).toThrow("none.pem, which is not there");
  expect(() => sourcesOf(files, "shut.example", "app")).toThrow("shut.example is blocked by ");
});

test("hosts.toml: the registry's own before that for all; registries.toml before both", () => {
  const files = machine({
    "registries.toml": '[registry."told.example"]',
    "containerd/_default/hosts.toml": 'server = "https://all.example"\n[host."https://cache.example"]',
    "containerd/told.example/hosts.toml": "broken",
    "containerd/docker.io/hosts.toml": `
      server = "https://docker.io"
      [host."https://mirror.example/hub"]
      capabilities = ["pull"]
      ca = "m.crt"
      dial_timeout = "2s"
      header = { x = "y" }
      [host."http://10.0.0.7:5000"]
      capabilities = ["pull", "resolve", "push"]`,
    "containerd/docker.io/m.crt": "M",
    "containerd/10.0.0.9_5000_/hosts.toml": 'server = "http://inner.example"\nskip_verify = true',
  });
  const hub = sourcesOf(files, "docker.io", "library/a");
  expect(hub).toEqual([
    {
      endpoint: {
        host: "mirror.example",
        root: "/hub/v2",
        scheme: "https",
        tls: { ca: [...rootCertificates, "M"] },
        headers: { x: "y" },
        namespace: "docker.io",
        connectTimeout: 2000,
      },
      path: "library/a",
      resolves: false,
      pulls: true,
      pushes: false,
      own: false,
    },
    {
      endpoint: { host: "10.0.0.7:5000", root: "/v2", scheme: "http", namespace: "docker.io", connectTimeout: 5000 },
      path: "library/a",
      resolves: true,
      pulls: true,
      pushes: true,
      own: false,
    },
    { ...own, endpoint: { host: "registry-1.docker.io", root: "/v2", scheme: "https" }, path: "library/a" },
  ]);
  // What stands for every registry gets no credentials and is no place to push to.
  const shapes = sourcesOf(files, "any.example", "a").map((each) => [each.endpoint.host, each.own, each.pushes]);
  expect(shapes).toEqual([
    ["cache.example", false, false],
    ["all.example", false, false],
  ]);
  // What stands for one is that one.
  const [moved] = sourcesOf(files, "10.0.0.9:5000", "a");
  expect([moved.endpoint.host, moved.endpoint.scheme, moved.own]).toEqual(["inner.example", "either", true]);
  expect(sourcesOf(files, "told.example", "a")).toHaveLength(1);
});
