import { OnggiError } from "../../lib/errors.ts";
import { command, containerOf } from "./command.ts";

export const kill = command({
  summary: "send a signal to a container's first process, SIGTERM unless another is named",
  operands: "<container-id> [signal]",
  flags: { all: { kind: "bool", short: "a", help: "send it to every process of the container" } },
  arity: [1, 2],
  async run(call) {
    const id = containerOf(call);
    const all = call.values.all === true;
    const signal = call.args[1] ? await signalOf(call.args[1]) : 15;
    try {
      await (await call.runtime()).kill(id, signal, all);
    } catch (error) {
      // runc 1.2: of a container without processes all of them have got the signal
      if (!(all && error instanceof OnggiError && error.code === "not_running")) throw error;
    }
    return 0;
  },
});

/** A number, or a name with or without "SIG" in any case. 0 only asks whether there is a process. */
async function signalOf(text: string): Promise<number> {
  if (/^[+-]?\d+$/.test(text)) {
    const number = Number(text);
    if (number >= 0 && number <= 64) return number;
    throw new Error(`invalid signal ${text}: invalid argument`);
  }
  const { constants } = await import("node:os");
  const name = text.toUpperCase();
  const full = name.startsWith("SIG") ? name : `SIG${name}`;
  const numbers: Readonly<Record<string, number>> = constants.signals;
  if (Object.hasOwn(numbers, full)) return numbers[full]!;
  throw new Error(`unknown signal ${JSON.stringify(text)}`);
}
