import { expect, test } from "bun:test";
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
