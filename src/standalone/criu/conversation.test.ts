import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SOCK } from "../../sys/constants.ts";
import { close, pipe2 } from "../../sys/file.ts";
import { recvFds, sendFds, socketpair } from "../../sys/socket.ts";
import { fstat } from "../../sys/stat.ts";
import { converse } from "./conversation.ts";
import { encodeMessage } from "./protobuf.ts";
import { encodeNotified, encodeVersionRequest } from "./rpc.ts";

let ours: number;
let criu: number | null;

beforeEach(() => {
  [ours, criu] = socketpair(SOCK.SOCK_SEQPACKET);
});
afterEach(() => {
  close(ours);
  hangUp();
});

function hangUp(): void {
  if (criu !== null) close(criu);
  criu = null;
}

const say = (bytes: Uint8Array, fds: readonly number[] = []) => sendFds(criu as number, bytes, fds);
const notification = (script: string) =>
  encodeMessage([
    [1, 6],
    [2, true],
    [
      5,
      encodeMessage([
        [1, script],
        [2, 12],
      ]),
    ],
  ]);
const done = encodeMessage([
  [1, 1],
  [2, true],
]);
const failed = encodeMessage([
  [1, 2],
  [2, false],
  [7, 17],
]);
const heard = (): Uint8Array => recvFds(criu as number, 1000).data;

describe("a conversation", () => {
  test("tells of every step, and answers each", () => {
    const steps: [string, number][] = [];
    say(notification("pre-dump"));
    say(notification("post-dump"));
    say(done);
    const response = converse(ours, encodeVersionRequest(), (script, pid) => void steps.push([script, pid]));
    expect(response).toMatchObject({ type: 1, success: true });
    expect(steps).toEqual([
      ["pre-dump", 12],
      ["post-dump", 12],
    ]);
    expect([heard(), heard(), heard()]).toEqual([encodeVersionRequest(), encodeNotified(true), encodeNotified(true)]);
  });

  test("passes a descriptor on, and closes it", () => {
    const [read, write] = pipe2();
    say(notification("orphan-pts-master"), [write]);
    say(done);
    let passed = -1;
    converse(ours, encodeVersionRequest(), (_, __, fd) => {
      passed = fd as number;
      expect(fstat(passed).ino).toBe(fstat(write).ino);
    });
    expect(() => fstat(passed)).toThrow("EBADF");
    for (const fd of [read, write]) close(fd);
  });

  test("that a step fails is told to criu, and thrown when criu has cleared up", () => {
    const steps: string[] = [];
    say(notification("setup-namespaces"));
    say(notification("network-unlock"));
    say(failed);
    const fail = (script: string) => {
      steps.push(script);
      throw new Error("the hook failed");
    };
    expect(() => converse(ours, encodeVersionRequest(), fail)).toThrow("the hook failed");
    expect(steps).toEqual(["setup-namespaces"]);
    heard();
    expect([heard(), heard()]).toEqual([encodeNotified(false), encodeNotified(false)]);
  });

  test("criu's refusal", () => {
    say(failed);
    expect(() => converse(ours, encodeVersionRequest())).toThrow("criu failed: type restore errno 17");
  });

  test("criu's end without an answer", () => {
    hangUp();
    expect(() => converse(ours, encodeVersionRequest())).toThrow("it ended without an answer");
  });

  test("criu's end in the middle of it", () => {
    say(notification("pre-dump"));
    expect(() => converse(ours, encodeVersionRequest(), hangUp)).toThrow("it ended without an answer");
  });
});
