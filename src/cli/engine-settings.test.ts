import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import type { EngineFlags } from "./context.ts";
import { engineSettings, readDaemonJson, readEngineConfig } from "./engine-settings.ts";

const none: EngineFlags = {
  ...{ config: undefined, daemonJson: undefined, runtimes: {}, defaultRuntime: undefined, cgroupDriver: undefined },
  ...{
    registries: undefined,
    policy: undefined,
    dockerSocket: undefined,
    dockerHost: undefined,
    tlsCa: undefined,
    tlsCert: undefined,
    tlsKey: undefined,
    cniConfigDir: undefined,
    cniBinDir: undefined,
    cniTimeout: undefined,
  },
};
const files = (texts: Record<string, string>) => (file: string) => texts[file] ?? null;

describe("engine.toml", () => {
  test("every setting", () => {
    const text = `cgroup-driver = "systemd"
default-runtime = "kata"
registries = "/r.toml"
policy = "/p.toml"
docker-socket = "none"
docker-host = ["tcp://127.0.0.1", "tcp://[::1]:99"]
tlscacert = "/ca"
tlscert = "/cert"
tlskey = "/key"
cni-config-dir = "/net.d"
cni-bin-dir = ["/a", "/b"]
cni-timeout = 1.5
[runtimes]
kata = "/usr/bin/kata-runtime"
`;
    expect(readEngineConfig(text, "f")).toEqual({
      runtimes: { kata: "/usr/bin/kata-runtime" },
      values: {
        ...{
          "cgroup-driver": "systemd",
          "default-runtime": "kata",
          registries: "/r.toml",
          policy: "/p.toml",
          "docker-socket": "none",
        },
        ...{ "docker-host": "tcp://127.0.0.1,tcp://[::1]:99", tlscacert: "/ca", tlscert: "/cert", tlskey: "/key" },
        ...{ "cni-config-dir": "/net.d", "cni-bin-dir": "/a:/b", "cni-timeout": "1.5" },
      },
    });
    expect(readEngineConfig("", "f")).toEqual({ runtimes: {}, values: {} });
  });

  for (const [text, message] of [
    ['\ncgroup-drive = "systemd"', 'f: line 2: "cgroup-drive" is not known; "cgroup-driver"?'],
    ["# a\ncni-timeout = 0", 'f: line 2: "cni-timeout" must be a number of seconds, at most 3600'],
    ['policy = "policy.toml"', 'f: line 1: "policy" must be an absolute path'],
    ['[runtimes]\na = "/a"\nb = "b"', 'f: line 3: runtime "b" must be a name and an absolute path'],
    ["runtimes = 3", 'f: line 1: "runtimes" must be a table'],
    ['[runtime]\na = "/a"', 'f: line 1: "runtime" is not known; "runtimes"?'],
    ["a = ", "f: line 1:"],
    ["__proto__ = 1", "is not known"],
  ] as const) {
    test(`refused: ${JSON.stringify(text)}`, () => expect(() => readEngineConfig(text, "f")).toThrow(message));
  }
});

describe("daemon.json", () => {
  test("what means the same", () => {
    const text = `{"runtimes": {"kata": {"path": "/k"}}, "default-runtime": "kata", "exec-opts": ["native.cgroupdriver=systemd"]}`;
    const values = { "default-runtime": "kata", "cgroup-driver": "systemd" };
    expect(readDaemonJson(text, "f")).toEqual({ runtimes: { kata: "/k" }, values });
  });
  for (const [text, message] of [
    ['{\n "storage-driver": "overlay2"}', 'f: "storage-driver" is not known'],
    ['{"exec-opt": []}', '"exec-opts"?'],
    ['{"exec-opts": ["native.umask=normal"]}', "must be"],
    ["[]", "must be an object"],
    ["{", "f: "],
  ] as const) {
    test(`refused: ${JSON.stringify(text)}`, () => expect(() => readDaemonJson(text, "f")).toThrow(message));
  }
});

test("a flag wins over the environment, that over engine.toml, that over daemon.json", () => {
  const texts = {
    "/etc/onggi/engine.toml":
      'policy = "/file"\nregistries = "/file"\ncgroup-driver = "systemd"\n[runtimes]\na = "/file"\nb = "/file"',
    "/d.json": '{"exec-opts": ["native.cgroupdriver=cgroupfs"], "default-runtime": "b", "runtimes": {"b": {"path": "/json"}}}',
  };
  const env = { ONGGI_POLICY: "/env", ONGGI_REGISTRIES: "/env", ONGGI_RUNTIMES: "a=/env" };
  const { flags, settings } = engineSettings({ ...none, policy: "/flag", daemonJson: "/d.json" }, env, "/run", files(texts));
  expect(flags).toMatchObject({
    ...{ policy: "/flag", registries: "/env", cgroupDriver: "systemd", defaultRuntime: "b", cniTimeout: undefined },
    runtimes: { a: "/env", b: "/file" },
  });
  expect(settings.map(({ name, value, from }) => `${name} ${value} ${from}`)).toEqual([
    "cgroup-driver systemd /etc/onggi/engine.toml",
    "default-runtime b /d.json",
    "registries /env environment",
    "policy /flag flag",
    "docker-socket /run/docker.sock default",
    ...["docker-host none default", "tlscacert none default", "tlscert none default", "tlskey none default"],
    "cni-config-dir /etc/cni/net.d default",
    "cni-bin-dir /opt/cni/bin:/usr/lib/cni default",
    "cni-timeout 30 default",
    "runtimes.a /env environment",
    "runtimes.b /file /etc/onggi/engine.toml",
  ]);
});

test("a file that was named must be there", () => {
  expect(() => engineSettings({ ...none, config: "/no" }, {}, "/run", files({}))).toThrow("/no: no such file");
  expect(() => engineSettings(none, { ONGGI_CONFIG: "/no" }, "/run", files({}))).toThrow("/no: no such file");
  expect(engineSettings(none, {}, "/run", files({})).flags.policy).toBeUndefined();
});

test("anything is read or refused, with the file's name", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      for (const read of [readEngineConfig, readDaemonJson]) {
        try {
          read(text, "file");
        } catch (error) {
          expect(error).toBeInstanceOf(OnggiError);
          expect((error as OnggiError).message).toStartWith("file:");
        }
      }
    }),
  );
});
