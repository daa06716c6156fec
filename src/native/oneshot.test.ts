import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { MSG, O, SOCK } from "../sys/constants.ts";
import { close, memfd, open } from "../sys/file.ts";
import { read } from "../sys/io.ts";
import { recvFds, sendFds, socketpair } from "../sys/socket.ts";
import { type Answer, decodeResult, FrontGone, OneShot } from "./oneshot.ts";

const repositoryFile = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** This test stands at the front's end of the socket. */
let front: number;
let oneshot: OneShot;
let connected: boolean;

beforeEach(() => {
  const [ours, theirs] = socketpair(SOCK.SOCK_SEQPACKET);
  front = ours;
  connected = true;
  process.env.ONGGI_FRONT = String(theirs);
  oneshot = OneShot.fromEnvironment();
});
afterEach(() => {
  hangUp();
  close(oneshot.fd);
});

function hangUp(): void {
  if (connected) close(front);
  connected = false;
}

const words = (...numbers: number[]): Uint8Array => new Uint8Array(new Uint32Array(numbers).buffer);
const say = (bytes: Uint8Array, fds: readonly number[] = []) => sendFds(front, bytes, fds);
const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** The one message that is there, as numbers. */
function heard(maxFds = 0): { numbers: number[]; fds: readonly number[] } {
  const { data, fds } = recvFds(front, 64, maxFds, MSG.MSG_DONTWAIT);
  return { numbers: [...new Uint32Array(data.slice().buffer)], fds };
}

function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("the socket", () => {
  test("is found by the variable, which nobody else is to see", () => {
    expect(process.env.ONGGI_FRONT).toBeUndefined();
  });

  test.each([undefined, "", "x", "2", "-1", "3.5"])("%p is no socket's number", (value) => {
    if (value === undefined) delete process.env.ONGGI_FRONT;
    else process.env.ONGGI_FRONT = value;
    expect(errorOf(() => OneShot.fromEnvironment())).toMatchObject({ code: "no_front" });
  });
});

/** Numbers by name, as the contract's table, the first after `heading`, has them: "| 16 | LAUNCH | ...". */
function documented(heading: string): Record<string, number> {
  const page = repositoryFile("docs/shim.md");
  const from = page.slice(page.indexOf(heading)).split("\n\n")[0]!;
  return Object.fromEntries([...from.matchAll(/^\| (\d+) \| ([A-Z]+) \|/gm)].map(([, number, name]) => [name!, Number(number)]));
}

/** The same of an enum of the executor's: `enum order { ORDER_GO = 1, ORDER_WAIT, ... }`. */
function implemented(name: string): Record<string, number> {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(repositoryFile("native/oneshot.c"))![1]!;
  let next = 0;
  const numbers: Record<string, number> = {};
  for (const entry of body.split(",").map((part) => part.trim())) {
    if (entry === "") continue;
    const [word, number] = entry.split("=").map((part) => part.trim());
    next = number === undefined ? next : Number(number);
    numbers[word!.slice(word!.indexOf("_") + 1)] = next++;
  }
  return numbers;
}

describe("orders", () => {
  const orders = documented("| order |");

  test("are numbered alike in the contract and the executor", () => {
    expect(implemented("order")).toEqual(orders);
    expect(Object.keys(orders)).toHaveLength(6);
  });

  test("are two numbers", () => {
    oneshot.go();
    expect(heard().numbers).toEqual([orders.GO!, 0]);
    oneshot.leave();
    expect(heard().numbers).toEqual([orders.LEAVE!, 0]);
    oneshot.adopt(4711);
    expect(heard().numbers).toEqual([orders.ADOPT!, 4711]);
    oneshot.exit(137);
    expect(heard().numbers).toEqual([orders.EXIT!, 137]);
  });

  test.each([
    [false, false, 0],
    [true, false, 1],
    [false, true, 2],
    [true, true, 3],
  ])("WAIT with subreaper %p, terminal %p is %d", (subreaper, terminal, flags) => {
    oneshot.wait({ subreaper, terminal });
    expect(heard().numbers).toEqual([orders.WAIT!, flags]);
  });

  test("LAUNCH hands over a plan and descriptors, and keeps none but the caller's", () => {
    const state = open("/", O.O_PATH | O.O_CLOEXEC);
    const passed = memfd("passed");
    const before = descriptors();
    oneshot.launch(Uint8Array.of(1, 2, 3), [state, passed]);
    expect(descriptors()).toBe(before);
    const { numbers, fds } = heard(3);
    expect(numbers).toEqual([orders.LAUNCH!, 0]);
    expect(fds).toHaveLength(3);
    const plan = open(`/proc/self/fd/${fds[0]}`, O.O_RDONLY | O.O_CLOEXEC);
    const bytes = new Uint8Array(8);
    expect([...bytes.subarray(0, read(plan, bytes))]).toEqual([1, 2, 3]);
    for (const fd of [...fds, plan, state, passed]) close(fd);
  });

  test("to a front that is gone are FrontGone", () => {
    hangUp();
    const all = [() => oneshot.go(), () => oneshot.leave(), () => oneshot.launch(words(1), [])];
    for (const order of all) expect(errorOf(order)).toBeInstanceOf(FrontGone);
    oneshot.exit(0); // it cannot end twice
  });
});

describe("answers", () => {
  const answers = documented("| answer |");
  const failed = (section: number, index: number, error: number, text: string): Uint8Array =>
    Buffer.concat([words(answers.FAILED!, section, index, error), Buffer.from(text)]);

  test("are numbered alike in the contract and the executor", () => {
    expect(implemented("answer")).toEqual(answers);
    expect(Object.keys(answers)).toHaveLength(5);
  });

  test.each<[string, () => Uint8Array, Answer]>([
    ["EVENT", () => words(answers.EVENT!, 2, 4711), { type: "event", event: 2, pid: 4711, fd: null }],
    ["CREATED", () => words(answers.CREATED!, 4711), { type: "created", pid: 4711, master: null }],
    ["STARTED", () => words(answers.STARTED!), { type: "started" }],
    ["EXIT", () => words(answers.EXIT!, 7 << 8), { type: "exit", exitCode: 7 }],
    ["EXIT by a signal", () => words(answers.EXIT!, 9), { type: "exit", exitCode: 137 }],
    [
      "FAILED",
      () => failed(3, 5, 2, "execve"),
      { type: "failed", failure: { section: "child", index: 5, errno: 2, text: "execve" } },
    ],
    [
      "FAILED of no operation",
      () => failed(255, 0xffffffff, 22, ""),
      { type: "failed", failure: { section: "decode", index: null, errno: 22, text: "" } },
    ],
  ])("%s", (_, bytes, expected) => {
    say(bytes());
    expect(oneshot.next()).toEqual(expected);
  });

  test("come in their order; what a newer front may say, and longer ones, are no obstacle", () => {
    say(words(99, 1, 2, 3));
    say(words(answers.STARTED!, 1));
    say(words(answers.EXIT!, 0, 8));
    expect([oneshot.next(), oneshot.next()]).toEqual([{ type: "started" }, { type: "exit", exitCode: 0 }]);
  });

  test("bring a descriptor with EVENT and CREATED, and with nothing else", () => {
    const fd = memfd("sent");
    const before = descriptors();
    say(words(answers.EVENT!, 3, 1), [fd]);
    const event = oneshot.next();
    say(words(answers.CREATED!, 1), [fd]);
    const created = oneshot.next();
    if (event.type !== "event" || created.type !== "created") throw new Error("other answers came");
    expect(descriptors()).toBe(before + 2);
    for (const got of [event.fd, created.master]) close(got!);
    say(words(answers.STARTED!), [fd]);
    say(words(99), [fd]);
    say(words(answers.EXIT!, 0), [fd]);
    expect([oneshot.next().type, oneshot.next().type]).toEqual(["started", "exit"]);
    expect(descriptors()).toBe(before);
    close(fd);
  });

  test.each([2, 3])("%d descriptors are none of the protocol's", (count) => {
    const fd = memfd("sent");
    const before = descriptors();
    say(words(answers.CREATED!, 1), Array(count).fill(fd));
    expect(errorOf(() => oneshot.next())).toMatchObject({ code: "front_protocol" });
    expect(descriptors()).toBe(before);
    close(fd);
  });

  test("end with the front", () => {
    say(words(answers.STARTED!));
    hangUp();
    expect(oneshot.next()).toEqual({ type: "started" });
    expect(errorOf(() => oneshot.next())).toBeInstanceOf(FrontGone);
  });

  test("end with a front that was killed before it read its orders", () => {
    oneshot.go();
    hangUp();
    expect(errorOf(() => oneshot.next())).toBeInstanceOf(FrontGone);
  });

  const anything = fc.uint8Array({ minLength: 1, maxLength: 400 });
  const nearly = fc
    .tuple(fc.nat(6), fc.uint8Array({ maxLength: 40 }))
    .map(([type, rest]) => new Uint8Array(Buffer.concat([words(type), rest])));

  test("whatever bytes come, with whatever descriptors, are an answer, an OnggiError, or passed over", () => {
    const messages = fc.array(fc.tuple(fc.oneof(anything, nearly), fc.nat(3)), { maxLength: 6 });
    const fd = memfd("sent");
    const before = descriptors();
    fc.assert(
      fc.property(messages, (said) => {
        const [ours, theirs] = socketpair(SOCK.SOCK_SEQPACKET);
        process.env.ONGGI_FRONT = String(theirs);
        const reader = OneShot.fromEnvironment();
        for (const [bytes, fds] of said) sendFds(ours, bytes, Array(fds).fill(fd));
        close(ours);
        let error: unknown;
        while (!(error instanceof FrontGone)) {
          try {
            const found = reader.next();
            const got = found.type === "event" ? found.fd : found.type === "created" ? found.master : null;
            if (got !== null) close(got);
          } catch (thrown) {
            error = thrown;
            expect(error).toBeInstanceOf(OnggiError);
          }
        }
        close(reader.fd);
        expect(descriptors()).toBe(before);
      }),
      { numRuns: 300 },
    );
    close(fd);
  });
});

describe("the record in the FIFO result", () => {
  test("nothing is success", () => {
    expect(decodeResult(new Uint8Array(0))).toBeNull();
  });

  test("eight bytes name the operation and its errno", () => {
    const bytes = Uint8Array.of(2, 0, 0x34, 0x12, 13, 0, 0, 0);
    expect(decodeResult(bytes)).toEqual({ section: "child", index: 0x1234, errno: 13, text: "" });
    // a hook's status is above 16 bits; no operation is 0xffff
    expect(decodeResult(Uint8Array.of(2, 0, 0xff, 0xff, 0, 1, 1, 0))).toMatchObject({ index: null, errno: 0x10100 });
  });
});
