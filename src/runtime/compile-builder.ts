/**
 * Writing operations down: registers, and the group and reason every operation carries.
 *
 * A **section writer** appends to one section of a plan. `about` says what the operations that follow are for, so that the
 * code reads as a list of calls. Registers are shared by all sections of a plan: a descriptor that `before` opened is
 * used by the child. A register is given back by `close` only, and then used again.
 */
import { OnggiError } from "../lib/errors.ts";
import { type Group, MAX_REG, type Op, type Reg, reg } from "../plan/ops.ts";

type Bare<T> = T extends unknown ? Omit<T, "group" | "why" | "out"> : never;
/** An operation without what the writer adds. */
export type Call = Bare<Op>;

/** Hands out registers from `reg.free` up. A plan has 231, each section uses its own again. */
export class Registers {
  private next: Reg = reg.free;

  take(): Reg {
    if (this.next > MAX_REG) {
      throw new OnggiError("plan_too_big", `the container needs more than ${MAX_REG} descriptors at a time; use fewer mounts`);
    }
    return this.next++;
  }
}

export class Writer {
  readonly ops: Op[] = [];
  private readonly registers: Registers;
  /** A register closed here is free from here on, but not in an earlier section, even if that is written later. */
  private readonly closed: Reg[] = [];
  private group: Group = "process";
  private why = "";

  constructor(registers: Registers) {
    this.registers = registers;
  }

  /** What the following operations achieve, and why they are made. */
  about(group: Group, why: string): this {
    this.group = group;
    this.why = why;
    return this;
  }

  /** Appends an operation whose result is not kept. */
  do(call: Call): this {
    this.ops.push(Object.freeze({ ...call, group: this.group, why: this.why }) as Op);
    return this;
  }

  /** Appends an operation and keeps the descriptor it returns. */
  keep(call: Call): Reg {
    const out = this.closed.pop() ?? this.registers.take();
    this.into(out, call);
    return out;
  }

  /** Appends an operation whose descriptor goes to a register of the shim's. */
  into(out: Reg, call: Call): void {
    this.ops.push(Object.freeze({ ...call, out, group: this.group, why: this.why }) as Op);
  }

  /** Goes on with what another writer has written. */
  append(other: Writer): this {
    this.ops.push(...other.ops);
    return this;
  }

  /** Closes what is in the registers; unset ones are skipped when the plan runs. */
  close(...registers: Reg[]): this {
    for (const fd of registers) {
      this.do({ kind: "close", fd });
      this.closed.push(fd);
    }
    return this;
  }
}
