/**
 * What an unquoted scalar of YAML means. Compose files are read by Go's yaml package, which takes YAML 1.2's core schema and some
 * of 1.1: 0440 is octal, 0b11 is a number, `yes` is a word.
 */

const nulls = new Set(["", "~", "null", "Null", "NULL"]);
const trues = new Set(["true", "True", "TRUE"]);
const falses = new Set(["false", "False", "FALSE"]);
const special: Readonly<Record<string, string>> = { ".inf": "+Inf", "+.inf": "+Inf", "-.inf": "-Inf", ".nan": "NaN" };

export interface Scalar {
  value: string | number | boolean | null;
  text: string;
}

/** Of plain text as it stands in the file. */
export function resolveScalar(source: string): Scalar {
  if (nulls.has(source)) return { value: null, text: "" };
  if (trues.has(source)) return { value: true, text: "true" };
  if (falses.has(source)) return { value: false, text: "false" };
  if (!/^[-+.0-9]/.test(source)) return { value: source, text: source };
  return integer(source) ?? float(source) ?? { value: source, text: source };
}

function integer(source: string): Scalar | undefined {
  const match = /^([-+]?)(0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|[1-9][0-9]*|0)$/.exec(source.replaceAll("_", ""));
  if (match === null) return undefined;
  const digits = match[2]!;
  const octal = /^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits;
  const size = BigInt(octal);
  const value = match[1] === "-" ? -size : size;
  // as Go's int64 and uint64; longer ones are floats there
  if (value >= 2n ** 64n || value < -(2n ** 63n)) return { value: Number(value), text: goFloat(Number(value)) };
  return { value: Number(value), text: value.toString() };
}

function float(source: string): Scalar | undefined {
  const infinite = special[source.toLowerCase()];
  if (infinite !== undefined) return { value: source, text: infinite };
  if (!/^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/.test(source)) return undefined;
  const value = Number(source);
  return Number.isFinite(value) ? { value, text: goFloat(value) } : { value: source, text: source };
}

/** As Go's fmt prints a float64: shortest, with an exponent below 1e-4 and from 1e6 on. */
export function goFloat(value: number): string {
  if (value === 0) return "0";
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(value);
  return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}
