/** JSON (RFC 8259) with the lines its keys stand in. Pure. */

/** A value that was read, and where: keys joined by "." to lines counted from 1; of a key that is there twice the last. */
export interface Located {
  readonly value: unknown;
  readonly lines: ReadonlyMap<string, number>;
}

const MOST_DEPTH = 200;
const scalar =
  /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const space = /[ \t\n\r]*/y;

class Reader {
  readonly lines = new Map<string, number>();
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): void {
    this.#value("", 0);
    if (this.#at < this.#text.length) this.#fail("the end");
  }

  #fail(wanted: string): never {
    const found = this.#at < this.#text.length ? JSON.stringify([...this.#text.slice(this.#at, this.#at + 2)][0]) : "the end";
    throw new Error(`line ${this.#line()}: expected ${wanted}, found ${found}`);
  }

  #line(): number {
    return this.#text.slice(0, this.#at).split("\n").length;
  }

  #skip(): void {
    space.lastIndex = this.#at;
    space.exec(this.#text);
    this.#at = space.lastIndex;
  }

  #take(character: string): boolean {
    this.#skip();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    this.#skip();
    return true;
  }

  #scalar(wanted: string): string {
    scalar.lastIndex = this.#at;
    const [found] = scalar.exec(this.#text) ?? this.#fail(wanted);
    this.#at += found.length;
    this.#skip();
    return found;
  }

  #value(path: string, depth: number): void {
    if (depth > MOST_DEPTH) throw new Error(`line ${this.#line()}: nested more than ${MOST_DEPTH} deep`);
    if (this.#take("{")) this.#members(path, depth);
    else if (this.#take("[")) this.#items(path, depth);
    else this.#scalar("a value");
  }

  #members(path: string, depth: number): void {
    if (this.#take("}")) return;
    do {
      if (this.#text[this.#at] !== '"') this.#fail("a key in quotes");
      const line = this.#line();
      const key = `${path}${JSON.parse(this.#scalar("a key in quotes"))}`;
      this.lines.set(key, line);
      if (!this.#take(":")) this.#fail('":"');
      this.#value(`${key}.`, depth + 1);
    } while (this.#take(","));
    if (!this.#take("}")) this.#fail('"," or "}"');
  }

  #items(path: string, depth: number): void {
    if (this.#take("]")) return;
    do this.#value(path, depth + 1);
    while (this.#take(","));
    if (!this.#take("]")) this.#fail('"," or "]"');
  }
}

/** Throws Error: "line 3: expected "," or "}", found "x"". */
export function parseJsonWithLines(text: string): Located {
  const reader = new Reader(text);
  reader.whole();
  return { value: JSON.parse(text), lines: reader.lines };
}
