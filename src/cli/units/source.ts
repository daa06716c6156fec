/** One unit file with its drop-ins, as the translation reads it. Pure. */
import { similar } from "../../lib/similar.ts";
import { lookUp } from "../../lib/tables.ts";
import { type UnitKey, type UnitType, unitTypes } from "./keys.ts";
import { type Assignment, mergeUnits, type Place, parseUnit, UnitError, words } from "./unit-file.ts";

/** A file as it was found; drop-ins in the order in which they count. */
export interface UnitText {
  /** "web.container", "web@.container" */
  readonly name: string;
  readonly path: string;
  readonly text: string;
  readonly dropIns: readonly { readonly path: string; readonly text: string }[];
}

const YES = ["1", "yes", "true", "on", "y", "t"];
const NO = ["0", "no", "false", "off", "n", "f"];

export class Source {
  readonly type: UnitType;
  /** Without its type: "web", "web@", "web@7". */
  readonly stem: string;
  readonly path: string;
  readonly sections: ReadonlyMap<string, readonly Assignment[]>;
  readonly #own: readonly Assignment[];

  /** Throws UnitError. */
  constructor({ name, path, text, dropIns }: UnitText, type: UnitType) {
    this.type = type;
    this.stem = name.slice(0, -type.length - 1);
    this.path = path;
    this.sections = mergeUnits(
      [text, ...dropIns.map((one) => one.text)].map((one, at) =>
        parseUnit(one, at === 0 ? path : (dropIns[at - 1]?.path ?? path)),
      ),
    );
    const { section, keys } = unitTypes[type];
    this.#own = this.sections.get(section) ?? [];
    for (const { key, place } of this.#own) {
      const known = lookUp(keys, key);
      if (!known) throw unknown(place, section, key, Object.keys(keys));
      if (known.kind === "refused") throw new UnitError(place, `${key}= cannot be had: ${known.note}`);
    }
  }

  get keys(): Readonly<Record<string, UnitKey>> {
    return unitTypes[this.type].keys;
  }

  /** What is said of a key, in order; what was said before an empty value is forgotten. */
  all(key: string, section?: string): Assignment[] {
    const said = (section === undefined ? this.#own : (this.sections.get(section) ?? [])).filter((one) => one.key === key);
    return said.slice(said.findLastIndex(({ value }) => value === "") + 1);
  }

  last(key: string, section?: string): Assignment | undefined {
    return this.all(key, section).at(-1);
  }

  words(key: string): string[] {
    return this.all(key).flatMap(words);
  }

  /** Throws UnitError for what is neither true nor false. */
  boolean(key: string): boolean | undefined {
    const said = this.last(key);
    if (!said) return undefined;
    const value = said.value.toLowerCase();
    if (YES.includes(value)) return true;
    if (NO.includes(value)) return false;
    throw new UnitError(said.place, `${key}=${said.value}: write true or false`);
  }

  /** The flags of keys that mean one each. */
  flags(): string[] {
    return Object.entries(this.keys).flatMap(([key, known]) => {
      if (known.kind === "flag") return this.all(key).flatMap(({ value }) => [known.flag, value]);
      if (known.kind === "words") return this.words(key).flatMap((word) => [known.flag, word]);
      if (known.kind === "switch") return this.boolean(key) ? [known.flag] : [];
      const said = known.kind === "last" ? this.last(key) : undefined;
      return said && "flag" in known ? [known.flag, said.value] : [];
    });
  }

  get isTemplate(): boolean {
    return this.stem.includes("@");
  }

  /** The service's name, without ".service". Throws UnitError. */
  get service(): string {
    const said = this.last("ServiceName");
    if (said && !isUnitName(said.value)) throw new UnitError(said.place, `ServiceName=${said.value}: this is no unit's name`);
    if (said) return said.value;
    if (this.type === "container") return this.stem;
    const at = this.stem.indexOf("@");
    return at < 0 ? `${this.stem}-${this.type}` : `${this.stem.slice(0, at)}-${this.type}${this.stem.slice(at)}`;
  }

  /** What a network, volume or image is called: by the key, else by the file. */
  named(key: string): string {
    return this.last(key)?.value ?? `systemd-${this.stem}`;
  }
}

export const isUnitName = (text: string): boolean => /^[A-Za-z0-9:_.@\\-]{1,200}$/.test(text) && !/^\.{1,2}$/.test(text);

function unknown(place: Place, section: string, key: string, known: readonly string[]): UnitError {
  const [near] = similar(key, known);
  return new UnitError(place, `[${section}] has no key ${JSON.stringify(key.slice(0, 100))}${near ? `; ${near}?` : ""}`);
}
