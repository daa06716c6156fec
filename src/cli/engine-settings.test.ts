import { expect, test } from "bun:test";
import type { EngineFlags } from "./context.ts";
import { flagKeys } from "./engine-keys.ts";
import { engineSettings } from "./engine-settings.ts";

const none: EngineFlags = {
  ...{ config: undefined, daemonJson: undefined, runtimes: {}, defaultRuntime: undefined, cgroupDriver: undefined },
  ...{
    registries: undefined,
    policy: undefined,
    dockerSocket: undefined,
    readOnlySocket: undefined,
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
  const flagged = settings.filter(({ name }) => name in flagKeys || name.startsWith("runtimes."));
  expect(flagged.map(({ name, value, from }) => `${name} ${value} ${from}`)).toEqual([
    "cgroup-driver systemd /etc/onggi/engine.toml",
    "default-runtime b /d.json",
    "registries /env environment",
    "policy /flag flag",
    "docker-socket /run/docker.sock default",
    "read-only-socket none default",
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

test("a setting says where it is written, and when another value takes effect", () => {
  const texts = {
    "/etc/onggi/engine.toml": 'debug = true\n\nbip = "10.1.2.1/24"\n[log-opts]\nmax-size = "5m"\n',
    "/d.json": '{\n"dns": ["9.9.9.9"]}',
  };
  const { settings, values } = engineSettings({ ...none, daemonJson: "/d.json" }, {}, "/run", files(texts));
  const told = settings.filter(({ from }) => from !== "default");
  expect(told).toEqual([
    { name: "debug", value: "true", from: "/etc/onggi/engine.toml", line: 1, when: "reload" },
    { name: "log-opts", value: "max-size=5m", from: "/etc/onggi/engine.toml", line: 4, when: "reload" },
    { name: "dns", value: "9.9.9.9", from: "/d.json", line: 2, when: "reload" },
    { name: "bip", value: "10.1.2.1/24", from: "/etc/onggi/engine.toml", line: 3, when: "restart" },
  ]);
  expect(values).toEqual({ debug: true, "log-opts": { "max-size": "5m" }, dns: ["9.9.9.9"], bip: "10.1.2.1/24" });
});
