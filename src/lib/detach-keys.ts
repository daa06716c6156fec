/** The keys that leave a container running and give the terminal back. */

export const DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q";

const named: Readonly<Record<string, number>> = { "@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, _: 31 };

/**
 * "ctrl-p,ctrl-q" or "a,ctrl-[" as bytes; "" means none. A key is a character or ctrl- with a letter or one of @ [ \ ] ^ _.
 * Throws an Error that names the key.
 */
export function parseDetachKeys(text: string): Uint8Array {
  if (text === "") return new Uint8Array(0);
  return Uint8Array.from(
    text.split(",").map((key) => {
      const [, control] = /^ctrl-(.)$/i.exec(key) ?? [];
      if (control !== undefined && /[a-z]/i.test(control)) return control.toLowerCase().charCodeAt(0) - 96;
      const code = control === undefined ? undefined : named[control];
      if (code !== undefined) return code;
      if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0);
      throw new Error(`"${key}" is neither a character nor ctrl- with a letter or one of @ [ \\ ] ^ _`);
    }),
  );
}

/** Finds the keys in what is typed, however it is cut into chunks. What may be their beginning is held back until it is known. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** What to pass on, and whether the keys were typed; after that nothing more is passed. */
  scan(chunk: Uint8Array): { pass: Uint8Array; detached: boolean } {
    const keys = this.#keys;
    if (keys.length === 0) return { pass: chunk, detached: false };
    const pass: number[] = [];
    for (const byte of chunk) {
      while (this.#matched > 0 && keys[this.#matched] !== byte) this.#fallBack(pass);
      if (keys[this.#matched] !== byte) {
        pass.push(byte);
        continue;
      }
      this.#matched++;
      if (this.#matched === keys.length) {
        this.#matched = 0;
        return { pass: Uint8Array.from(pass), detached: true };
      }
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }

  /** Lets go of the held-back bytes that can no longer begin the keys: all but the longest prefix that still fits. */
  #fallBack(pass: number[]): void {
    const held = this.#keys.subarray(0, this.#matched);
    let keep = this.#matched - 1;
    while (keep > 0 && !held.subarray(this.#matched - keep).every((byte, index) => byte === this.#keys[index])) keep--;
    pass.push(...held.subarray(0, this.#matched - keep));
    this.#matched = keep;
  }
}
