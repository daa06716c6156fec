import { arch } from "node:os";
import type { EngineStatus } from "../../../engine/types.ts";
import { json, operation } from "../operation.ts";
import { NEWEST, OLDEST } from "../versions.ts";

/** GOARCH of Docker's answers. */
export const architecture = (): string => ({ x64: "amd64", ia32: "386" })[arch() as string] ?? arch();

const details = ({ kernel, startedAt, version }: EngineStatus): Record<string, string> => ({
  ApiVersion: NEWEST,
  MinAPIVersion: OLDEST,
  GitCommit: "",
  GoVersion: "",
  Os: "linux",
  Arch: architecture(),
  KernelVersion: kernel,
  BuildTime: startedAt,
  Version: version,
});

export const version = operation({
  id: "SystemVersion",
  tag: "System",
  summary: "versions of the engine, its API and its kernel",
  needs: "read",
  method: "GET",
  path: "/version",
  answers: { 200: "versions" },
  run: ({ engine }) => {
    const status = engine.status();
    const { Version, ...rest } = details(status);
    return json(200, {
      Platform: { Name: "onggi" },
      Components: [{ Name: "Engine", Version, Details: { ...rest, Experimental: "false" } }],
      Version,
      ...rest,
    });
  },
});
