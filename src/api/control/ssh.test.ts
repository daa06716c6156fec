import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { callOver } from "./connection.ts";
import { sshTransport } from "./ssh.ts";

test.skipIf(!Bun.which("ssh"))("who gives up does not wait for a host that takes its time", async () => {
  // it takes connections and says nothing
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const endpoint = { kind: "ssh", host: "127.0.0.1", port: String(silent.port) } as const;
  const connect = sshTransport(endpoint, { start: false, messages: "pipe" });
  const signal = AbortSignal.timeout(200);
  try {
    const error = await callOver(connect, "ssh://127.0.0.1", "ping", {}, {}, signal).catch((thrown: unknown) => thrown);
    expect(error).toBe(signal.reason);
  } finally {
    silent.stop(true);
  }
});

test("where ssh is not installed, that is said", async () => {
  const { PATH } = process.env;
  process.env.PATH = "/nowhere";
  try {
    const connect = sshTransport({ kind: "ssh", host: "there" }, { start: false, messages: "pipe" });
    const error = await callOver(connect, "ssh://there", "ping", {}).catch((thrown: Error) => thrown.message);
    expect(error).toContain("ssh cannot be run");
  } finally {
    process.env.PATH = PATH;
  }
});

/** What ssh is called with to connect, where what it is asked for its settings is answered by `script`. */
async function connectWords(script: string): Promise<string> {
  const { PATH } = process.env;
  const directory = mkdtempSync(`${tmpdir()}/onggi-ssh-`);
  writeFileSync(
    `${directory}/ssh`,
    `#!/bin/sh\nif [ "$1" = -G ]; then ${script}; fi\necho "$@" > ${directory}/words\nexit 255\n`,
  );
  chmodSync(`${directory}/ssh`, 0o755);
  process.env.PATH = `${directory}:${PATH}`;
  try {
    const connect = sshTransport({ kind: "ssh", host: "there" }, { start: true, messages: "pipe" });
    const error = await callOver(connect, "ssh://there", "ping", {}).catch((thrown: Error) => thrown.message);
    expect(error).toContain("ssh ended with exit code 255");
    return readFileSync(`${directory}/words`, "utf8");
  } finally {
    process.env.PATH = PATH;
    rmSync(directory, { recursive: true });
  }
}

test("a host that says nothing is asked whether it is there, as the user's configuration of ssh says, if it does", async () => {
  const ours = "-T -o ConnectTimeout=30 -o ServerAliveInterval=30 -- there onggi system dial-stdio --control\n";
  expect(await connectWords("echo host there; echo serveraliveinterval 0; exit 0")).toBe(ours);
  expect(await connectWords("echo 'unknown option -- G' >&2; exit 255")).toBe(ours);
  expect(await connectWords("echo host there; echo serveraliveinterval 7; exit 0")).toBe(
    ours.replace("-o ServerAliveInterval=30 ", ""),
  );
});
