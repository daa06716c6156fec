/** Clients of docker.sock: Docker's command line in the versions that there are, and single requests. */
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { CommandLine } from "./command.ts";
import type { Engine } from "./engine.ts";
import { skipLoudly } from "./skip.ts";
import { toolPath } from "./tools.ts";

const DEBIANS = "/usr/bin/docker";

/** Paths: Debian's, and a newer one that scripts/setup-tools unpacks. What is missing is said loudly. */
export function dockerClients(): string[] {
  if (!existsSync(DEBIANS)) skipLoudly("docker is not installed");
  return [existsSync(DEBIANS) ? DEBIANS : null, toolPath("docker")].filter((path) => path !== null);
}

/** One of them, led to an engine. */
export const dockerFor = (client: string, engine: Engine): CommandLine =>
  new CommandLine([client], {
    env: { DOCKER_HOST: `unix://${engine.run}/docker.sock`, DOCKER_CONFIG: `${engine.base}/docker-config` },
  });

/** Variables with which `docker` is the newer command line, knows `docker compose`, and is led to an engine; null where there is none. */
export function composeVariables(engine: Engine): Record<string, string> | null {
  const compose = toolPath("docker-compose");
  const docker = toolPath("docker");
  if (!compose || !docker) return null;
  const config = `${engine.base}/docker-config`;
  mkdirSync(`${config}/cli-plugins`, { recursive: true });
  symlinkSync(compose, `${config}/cli-plugins/docker-compose`);
  return {
    DOCKER_HOST: `unix://${engine.run}/docker.sock`,
    DOCKER_CONFIG: config,
    PATH: `${dirname(docker)}:${process.env.PATH}`,
  };
}

export interface DockerAnswer<T> {
  readonly status: number;
  readonly headers: Headers;
  /** Undefined for an empty one. */
  readonly value: T;
}

/** One request on an engine's docker.sock. */
export async function askDocker<T>(engine: Engine, method: string, path: string, body?: object): Promise<DockerAnswer<T>> {
  const answer = await fetch(`http://docker${path}`, {
    method,
    unix: `${engine.run}/docker.sock`,
    signal: AbortSignal.timeout(20_000),
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, value: text === "" ? undefined : JSON.parse(text) };
}

/** Status and message of one that is refused. */
export async function refusalOf(...request: Parameters<typeof askDocker>): Promise<[status: number, message: string]> {
  const { status, value } = await askDocker<{ message: string }>(...request);
  return [status, value.message];
}
