/** A certificate authority of a test, in a directory: `ca.crt`, `ca.key`, and what it signs. By openssl, elliptic keys. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Runs a program that must end well. */
export const must = (words: readonly string[]): string => {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...words]);
  if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
};

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export class Authority {
  readonly #path: string;

  /** Makes it. */
  constructor(path: string) {
    this.#path = path;
    const to = ["-keyout", this.#at("ca.key"), "-out", this.ca];
    must(["openssl", "req", "-x509", ...newKey, ...to, "-days", "2", "-subj", "/CN=onggi test"]);
  }

  /** PEM. */
  get ca(): string {
    return this.#at("ca.crt");
  }

  /** Makes `prefix`crt and `prefix`key: "server."; valid for some days, of a negative number: no longer. */
  sign(prefix: string, subject: string, extension: string, days = 2): void {
    const at = (name: string): string => this.#at(`${prefix}${name}`);
    must(["openssl", "req", ...newKey, "-keyout", at("key"), "-out", at("csr"), "-subj", subject]);
    writeFileSync(at("ext"), `${extension}\n`);
    const signing = [
      "-CA",
      this.ca,
      "-CAkey",
      this.#at("ca.key"),
      "-CAcreateserial",
      "-extfile",
      at("ext"),
      "-days",
      String(days),
    ];
    must(["openssl", "x509", "-req", "-in", at("csr"), ...signing, "-out", at("crt")]);
  }

  #at(name: string): string {
    return join(this.#path, name);
  }
}
