import type { Transport } from "../api/control/connection.ts";
import { FlowGate } from "../lib/flow-gate.ts";
import { type Endpoint, sshCommand } from "./endpoint.ts";

/**
 * Carries the control protocol over ssh: one ssh a call, whose standard streams are the connection. `start`: an engine is started
 * there when none answers. What ssh has to say goes to standard error.
 */
export const sshTransport =
  (endpoint: Extract<Endpoint, { kind: "ssh" }>, start: boolean): Transport =>
  async (_, events) => {
    const ssh = Bun.spawn(sshCommand(endpoint, start), {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      // a session of its own: what is typed as a signal is for the container, not for ssh
      detached: true,
    });
    const flow = new FlowGate();
    const reader = ssh.stdout.getReader();
    const first = await reader.read();
    // it has ended without a byte: nothing there has taken the connection
    if (first.done) throw new Error(`ssh ended with exit code ${await ssh.exited}`);
    events.open({
      write(bytes) {
        // the protocol's window bounds what is not taken yet
        ssh.stdin.write(bytes.slice());
        void Promise.resolve(ssh.stdin.flush()).catch(() => {});
        return bytes.length;
      },
      pause: () => flow.pause(),
      resume: () => flow.resume(),
      terminate() {
        void Promise.resolve(ssh.stdin.end()).catch(() => {});
        void reader.cancel().catch(() => {});
        flow.resume();
      },
    });
    void (async () => {
      // the request goes first
      await Bun.sleep(0);
      events.data(first.value);
      for (;;) {
        await flow.open;
        const { done, value } = await reader.read();
        if (done) break;
        events.data(value);
      }
    })()
      .catch(() => {})
      .finally(() => events.end());
  };
