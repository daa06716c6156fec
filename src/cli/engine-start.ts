import { resolve } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type Context, type EngineFlags, line } from "./context.ts";
import { namedRuntimes } from "./engine-settings.ts";
import { bool, choice, list, text, type Values } from "./flags.ts";

export const flags = {
  config: text("", "FILE", "what is set (ONGGI_CONFIG, or /etc/onggi/engine.toml)", { complete: "file" }),
  "daemon-json": text("", "FILE", "Docker's configuration, for what means the same here", { complete: "file" }),
  "cgroup-driver": choice("", ["cgroupfs", "systemd"], "who makes the cgroups (ONGGI_CGROUP_DRIVER, or cgroupfs)"),
  foreground: bool("", "serve in this process until it is told to stop"),
  runtime: list("", "NAME=PATH", "an OCI runtime that containers may name (ONGGI_RUNTIMES, comma-separated)"),
  "default-runtime": text("", "NAME", "OCI runtime of containers that name none (ONGGI_DEFAULT_RUNTIME, or onggi)"),
  registries: text("", "FILE", "how registries are reached (ONGGI_REGISTRIES, or /etc/onggi/registries.toml)"),
  policy: text("", "FILE", "what may come from registries (ONGGI_POLICY, or /etc/onggi/policy.toml)"),
  "docker-socket": text("", "PATH", "Docker's API; none: nowhere (ONGGI_DOCKER_SOCKET, or RUN/docker.sock)"),
  "read-only-socket": text("", "PATH", "another one, which only tells (ONGGI_READ_ONLY_SOCKET)", { rare: true }),
  "docker-host": text("", "tcp://HOST:PORT", "Docker's API on TCP too, for clients with certificates (ONGGI_DOCKER_HOST)"),
  tlscacert: text("", "FILE", "who signs their certificates (ONGGI_TLSCACERT)", { rare: true, complete: "file" }),
  tlscert: text("", "FILE", "the engine's certificate (ONGGI_TLSCERT)", { rare: true, complete: "file" }),
  tlskey: text("", "FILE", "and its key (ONGGI_TLSKEY)", { rare: true, complete: "file" }),
  "cni-config-dir": text("", "DIRECTORY", "CNI networks (ONGGI_CNI_CONFIG_DIR, or /etc/cni/net.d)", { rare: true }),
  "cni-bin-dir": text("", "DIRECTORY[:...]", "CNI plugins (ONGGI_CNI_BIN_DIR, or /opt/cni/bin:/usr/lib/cni)", { rare: true }),
  "cni-timeout": text("", "SECONDS", "how long a CNI plugin may take (ONGGI_CNI_TIMEOUT, or 30)", { rare: true }),
  "if-absent": bool("", "in the foreground: end quietly when another engine has the data root", { rare: true }),
};

export const command = define({
  usage: "[flags]",
  summary: "start the engine, unless one runs",
  flags,
  args: [0, 0],
  examples: [
    ["engine start --foreground", "for a service manager"],
    ["engine start --runtime kata=/usr/bin/kata-runtime", "for onggi run --runtime kata"],
    ["engine start --cgroup-driver systemd", "cgroups as systemd scopes (cgroup v2)"],
    ["engine start --docker-host tcp://0.0.0.0 --tlscacert ca.pem ...", "for other hosts, with certificates"],
  ],
  async run(context, values) {
    const given = flagsOf(context, values);
    if (!values.foreground) {
      const driver = values["cgroup-driver"];
      const started = await context.startEngine(given);
      const { pid } = await context.callRunning("ping", {});
      if (!started && driver !== undefined) await checkDriver(context, driver);
      await line(context.stdout, started ? `engine started, pid ${pid}` : `engine runs already, pid ${pid}`);
      const kept = settingsOf(values);
      if (!started && kept)
        throw new OnggiError("engine_running", `it keeps the ${kept} it was started with; stop it first: onggi engine stop`);
      return 0;
    }
    try {
      await context.serveEngine(given);
    } catch (error) {
      if (values["if-absent"] && error instanceof OnggiError && error.code === "engine_running") {
        await line(context.stderr, error.message);
        return 0;
      }
      throw error;
    }
    return 0;
  },
});

type Given = Values<typeof flags>;

/** Paths are made absolute. Throws UsageError. */
export function flagsOf({ env, cwd }: Pick<Context, "env" | "cwd">, values: Given): EngineFlags {
  if (env.ONGGI_RUNTIMES) namedRuntimes(env.ONGGI_RUNTIMES.split(","), "ONGGI_RUNTIMES");
  const path = (given: string | undefined) => (given === undefined ? undefined : resolve(cwd, given));
  return {
    config: path(values.config),
    daemonJson: path(values["daemon-json"]),
    runtimes: namedRuntimes(values.runtime ?? [], "--runtime"),
    defaultRuntime: values["default-runtime"],
    cgroupDriver: values["cgroup-driver"],
    registries: path(values.registries),
    policy: path(values.policy),
    dockerSocket: values["docker-socket"] === "none" ? "none" : path(values["docker-socket"]),
    readOnlySocket: values["read-only-socket"] === "none" ? "none" : path(values["read-only-socket"]),
    dockerHost: values["docker-host"],
    tlsCa: path(values.tlscacert),
    tlsCert: path(values.tlscert),
    tlsKey: path(values.tlskey),
    cniConfigDir: path(values["cni-config-dir"]),
    cniBinDir: values["cni-bin-dir"]?.split(":").map(path).join(":"),
    cniTimeout: values["cni-timeout"],
  };
}

/** What was given that an engine which runs already does not take; null: nothing. */
function settingsOf(values: Given): string | null {
  if (values.config || values["daemon-json"]) return "configuration";
  if (values.policy) return "policy";
  if (values.registries) return "registries.toml";
  if (values.runtime || values["default-runtime"]) return "runtimes";
  if (values["docker-host"] || values.tlscacert || values.tlscert || values.tlskey) return "address of Docker's API";
  if (values["docker-socket"] || values["read-only-socket"]) return "socket of Docker's API";
  return values["cni-config-dir"] || values["cni-bin-dir"] || values["cni-timeout"] ? "CNI settings" : null;
}

/** An engine that runs already keeps its driver. */
async function checkDriver(context: Context, wanted: string): Promise<void> {
  const { cgroupDriver } = await context.callRunning("status", {});
  if (cgroupDriver === wanted) return;
  throw new OnggiError(
    "engine_running",
    `the engine that runs has the ${cgroupDriver} cgroup driver, not ${wanted}: stop it first (onggi engine stop; containers run on)`,
  );
}
