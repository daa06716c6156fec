/**
 * Writes native/ops.h from src/plan/ops.ts, so that the shim and the compiler cannot disagree about an operation.
 *
 *     bun scripts/generate-ops.ts          writes native/ops.h
 */
import { HEADER_SIZE, MAX_ARGS, OP_SIZE, PLAN_MAGIC, PLAN_VERSION } from "../src/plan/encode.ts";
import { type ArgType, event, type Kind, MAX_REG, reg, signatures } from "../src/plan/ops.ts";

const letters: Readonly<Record<ArgType, string>> = { reg: "r", int: "i", str: "s", bytes: "b", strs: "l" };

/** Kinds whose call returns a descriptor, so that `out` means something. */
const returnsDescriptor: ReadonlySet<Kind> = new Set<Kind>([
  "open",
  "dup",
  "ioctlInt",
  "fsopen",
  "fsmount",
  "openTree",
  "pidfdOpen",
  "seccomp",
  "openProc",
  "socket",
]);

const upper = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

/** The header's text. */
export function opsHeader(): string {
  const ops = Object.entries(signatures) as [Kind, { args: Readonly<Record<string, ArgType>> }][];
  const longest = Math.max(...ops.map(([, { args }]) => Object.keys(args).length));
  if (longest > MAX_ARGS) throw new RangeError(`an operation has ${longest} arguments, the wire carries ${MAX_ARGS}`);
  const lines = ops.map(([kind, { args }]) => {
    const types = Object.values(args)
      .map((type) => letters[type])
      .join("");
    return `  X(OP_${upper(kind)}, "${kind}", "${types}", ${returnsDescriptor.has(kind) ? 1 : 0})`;
  });
  const constants = (prefix: string, values: Readonly<Record<string, number>>) =>
    Object.entries(values).map(([name, value]) => `#define ${prefix}_${upper(name)} ${value}`);
  return [
    "// Generated from src/plan/ops.ts by scripts/generate-ops.ts. Do not edit.",
    "#ifndef ONGGI_OPS_H",
    "#define ONGGI_OPS_H",
    "",
    `#define PLAN_MAGIC "${PLAN_MAGIC}"`,
    `#define PLAN_VERSION ${PLAN_VERSION}`,
    `#define PLAN_HEADER_SIZE ${HEADER_SIZE}`,
    `#define PLAN_OP_SIZE ${OP_SIZE}`,
    `#define PLAN_MAX_ARGS ${MAX_ARGS}`,
    `#define REG_COUNT ${MAX_REG + 1}`,
    ...constants("REG", reg),
    ...constants("EVENT", event),
    "",
    "// X(number, name, argument types, returns a descriptor); types: r register, i integer, s string, b bytes, l string list",
    "#define PLAN_OPS(X) \\",
    lines.join(" \\\n"),
    "",
    "#define PLAN_OP_NUMBER(number, name, types, returns) number,",
    "enum op_kind { PLAN_OPS(PLAN_OP_NUMBER) };",
    "#undef PLAN_OP_NUMBER",
    `#define OP_KINDS ${ops.length}`,
    "",
    "#endif",
    "",
  ].join("\n");
}

if (import.meta.main) await Bun.write(new URL("../native/ops.h", import.meta.url), opsHeader());
