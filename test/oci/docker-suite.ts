/** What the suites of the OCI runtime under dockerd share: a daemon each, an image, and how a user of `docker` works with it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { CallOptions, CallResult } from "../kit/command.ts";
import { type Docker, type DockerOptions, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { eventually } from "../kit/engine.ts";
import { busyboxArchive } from "../kit/images.ts";
import { requireRuntime } from "../kit/runtime.ts";
import { skipLoudly } from "../kit/skip.ts";

export const IMAGE = "onggi-test/busybox";

export interface SuiteOptions extends Omit<DockerOptions, "runtime"> {
  /** Lines of `formatLeaks` that dockerd itself leaves behind, whatever the runtime. */
  readonly leftByDocker?: (line: string, docker: Docker) => boolean;
}

/** Defines a suite with a daemon of its own; after the tests that `define` defines, one that nothing is left of them. */
export function dockerSuite(what: string, options: SuiteOptions, define: (user: DockerUser) => void): void {
  const reason = dockerUnavailable();
  if (reason) skipLoudly(`the OCI runtime under ${what}: ${reason}`);
  const user = new DockerUser();
  describe.skipIf(reason !== null)(what, () => {
    beforeAll(async () => {
      user.docker = await startDocker({ ...options, runtime: requireRuntime() });
      await user.ok("load", "-q", "-i", busyboxArchive());
    }, 60_000);
    afterAll(() => user.docker?.stop(), 60_000);

    define(user);

    test("at its end nothing is left on the machine", async () => {
      expect(await user.ok("ps", "-aq")).toBe("");
      await user.docker.end();
      await user.docker.base.expectNothingLeft((line) => options.leftByDocker?.(line, user.docker) ?? false);
    }, 60_000);
  });
}

export class DockerUser {
  docker!: Docker;

  /** `docker ARGS`, throws unless it exits with 0. */
  ok(...args: string[]): Promise<string> {
    return this.docker.client.ok(args);
  }

  /** `docker run --rm ARGS`. */
  run(args: readonly string[], options?: CallOptions): Promise<CallResult> {
    return this.docker.client.run(["run", "--rm", ...args], options);
  }

  /** All that a shell script prints in a container with these flags. */
  async says(flags: readonly string[], script: string): Promise<string> {
    const { stdout, stderr } = await this.run([...flags, IMAGE, "sh", "-c", `{ ${script}\n} 2>&1`]);
    return (stdout + stderr).trim();
  }

  /** A container that does nothing until it is removed. */
  sleeping(...flags: string[]): Promise<string> {
    return this.ok("run", "-d", ...flags, IMAGE, "sleep", "1000");
  }

  /** A container that runs a shell script as its init, once it has written "ready". */
  async scripted(script: string, ...flags: string[]): Promise<string> {
    const id = await this.ok("run", "-d", ...flags, IMAGE, "sh", "-c", script);
    await eventually(`${script} is ready`, async () => (await this.ok("logs", id)).includes("ready"));
    return id;
  }

  inspect(format: string, container: string): Promise<string> {
    return this.ok("inspect", "--format", format, container);
  }

  async pidOf(container: string): Promise<number> {
    return Number(await this.inspect("{{.State.Pid}}", container));
  }

  remove(...containers: string[]): Promise<string> {
    return this.ok("rm", "-f", ...containers);
  }
}
