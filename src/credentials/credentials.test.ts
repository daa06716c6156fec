import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { ControlHarness } from "../../test/control-harness.ts";
import { OnggiError } from "../lib/errors.ts";
import { registryOf } from "../oci/reference.ts";
import { authOfEntry, credentialsFor, eraseCredentials, keyOf, storeCredentials } from "./credentials.ts";
import { parseHelperAnswer } from "./helper.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "onggi-credentials-"));
  mkdirSync(join(home, ".docker"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const file = (): string => join(home, ".docker/config.json");
const put = (config: unknown): void => writeFileSync(file(), JSON.stringify(config));
const stored = () => JSON.parse(readFileSync(file(), "utf8"));
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const here = (env: Record<string, string> = {}) => ({ env: { HOME: home, PATH: process.env.PATH, ...env } });

describe("the file", () => {
  test("there is none: nobody is logged in", async () => {
    expect(await credentialsFor(here(), "docker.io")).toBeUndefined();
    expect(await credentialsFor({ env: {} }, "docker.io")).toBeUndefined();
  });

  test("names and passwords, identity tokens, registry tokens", async () => {
    put({
      auths: {
        "https://index.docker.io/v1/": { auth: base64("kim:a:b") },
        "one.example": { auth: base64("kim:"), identitytoken: "id" },
        "https://two.example/v2/": { registrytoken: "bearer" },
        "empty.example": {},
      },
    });
    expect(await credentialsFor(here(), "docker.io")).toEqual({ username: "kim", password: "a:b" });
    expect(await credentialsFor(here(), "one.example")).toEqual({ username: "kim", identityToken: "id" });
    expect(await credentialsFor(here(), "two.example")).toEqual({ registryToken: "bearer" });
    expect(await credentialsFor(here(), "empty.example")).toBeUndefined();
    expect(await credentialsFor(here(), "one.example:5000")).toBeUndefined();
  });

  test("DOCKER_CONFIG names its directory; what Podman keeps is read after it", async () => {
    mkdirSync(join(home, ".config/containers"), { recursive: true });
    const podman = { "a.example": { auth: base64("p:1") }, "b.example": { auth: base64("p:2") } };
    writeFileSync(join(home, ".config/containers/auth.json"), JSON.stringify({ auths: podman }));
    put({ auths: { "a.example": { auth: base64("d:3") } } });
    expect(await credentialsFor(here(), "a.example")).toEqual({ username: "d", password: "3" });
    expect(await credentialsFor(here(), "b.example")).toEqual({ username: "p", password: "2" });
    expect(await credentialsFor(here({ DOCKER_CONFIG: join(home, "other") }), "a.example")).toEqual({
      username: "p",
      password: "1",
    });
  });

  test("what is not understood is kept, and nobody else may read it", async () => {
    put({ psFormat: "x", auths: { "a.example": { auth: base64("a:b"), email: "e" } } });
    expect(await storeCredentials(here(), "docker.io", { username: "kim", password: "pw" })).toBe(file());
    expect(stored()).toEqual({
      psFormat: "x",
      auths: {
        "a.example": { auth: base64("a:b"), email: "e" },
        "https://index.docker.io/v1/": { auth: base64("kim:pw") },
      },
    });
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(await eraseCredentials(here(), "docker.io")).toBe(true);
    expect(await eraseCredentials(here(), "docker.io")).toBe(false);
    expect(Object.keys(stored().auths)).toEqual(["a.example"]);
    expect(stored().psFormat).toBe("x");
  });

  test("a link stays one", async () => {
    const target = join(home, "elsewhere.json");
    writeFileSync(target, "{}");
    symlinkSync(target, file());
    await storeCredentials(here(), "a.example", { username: "kim", identityToken: "t" });
    expect(lstatSync(file()).isSymbolicLink()).toBe(true);
    expect(JSON.parse(readFileSync(target, "utf8"))).toEqual({
      auths: { "a.example": { auth: base64("kim:"), identitytoken: "t" } },
    });
    expect(await credentialsFor(here(), "a.example")).toEqual({ username: "kim", identityToken: "t" });
  });

  test("one that is broken is an error that names it, and stays as it is", async () => {
    writeFileSync(file(), '{"auths": ');
    await expect(credentialsFor(here(), "a.example")).rejects.toThrow(/config\.json is not JSON/);
    await expect(storeCredentials(here(), "a.example", { username: "a", password: "b" })).rejects.toThrow(/not JSON/);
    expect(readFileSync(file(), "utf8")).toBe('{"auths": ');
    writeFileSync(file(), "[]");
    await expect(credentialsFor(here(), "a.example")).rejects.toThrow(/not a JSON object/);
    put({ auths: { "a.example": { auth: "%%%" } } });
    await expect(credentialsFor(here(), "a.example")).rejects.toThrow(/log in again/);
  });
});

describe("helpers", () => {
  /** A helper as Docker's are: one file per registry. */
  const install = (): Record<string, string> => {
    const bin = join(home, "bin");
    mkdirSync(bin);
    mkdirSync(join(home, "kept"));
    writeFileSync(
      join(bin, "docker-credential-jar"),
      `#!/bin/sh
read -r line
at() { printf %s "$1" | tr -c 'a-zA-Z0-9.' _; }
case $1 in
get) f="${home}/kept/$(at "$line")"; [ -f "$f" ] && cat "$f" || { echo "credentials not found in native keychain"; exit 1; } ;;
store) url=$(printf %s "$line" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/'); printf %s "$line" > "${home}/kept/$(at "$url")" ;;
erase) case $line in *locked*) echo "the jar is locked" >&2; exit 1;; esac; rm "${home}/kept/$(at "$line")" ;;
esac
`,
    );
    chmodSync(join(bin, "docker-credential-jar"), 0o755);
    return { PATH: `${bin}:${process.env.PATH}` };
  };

  test("store, get, erase; nothing secret is in the file", async () => {
    const env = install();
    put({ credsStore: "jar", x: 1 });
    expect(await credentialsFor(here(env), "docker.io")).toBeUndefined();
    expect(await storeCredentials(here(env), "docker.io", { username: "kim", password: 'p"w' })).toBeUndefined();
    expect(stored()).toEqual({ credsStore: "jar", x: 1, auths: { "https://index.docker.io/v1/": {} } });
    expect(await credentialsFor(here(env), "docker.io")).toEqual({ username: "kim", password: 'p"w' });
    expect(await eraseCredentials(here(env), "docker.io")).toBe(true);
    expect(await credentialsFor(here(env), "docker.io")).toBeUndefined();
  });

  test("identity tokens; a helper for one registry alone", async () => {
    const env = install();
    put({ credHelpers: { "a.example": "jar" } });
    await storeCredentials(here(env), "a.example", { username: "kim", identityToken: "t" });
    await storeCredentials(here(env), "b.example", { username: "kim", password: "pw" });
    expect(await credentialsFor(here(env), "a.example")).toEqual({ identityToken: "t" });
    expect(stored().auths).toEqual({ "a.example": {}, "b.example": { auth: base64("kim:pw") } });
  });

  test("one that fails or is not there says so", async () => {
    const env = install();
    put({ credsStore: "jar" });
    await expect(eraseCredentials(here(env), "locked.example")).rejects.toThrow("docker-credential-jar erase: the jar is locked");
    put({ credsStore: "absent" });
    await expect(credentialsFor(here(env), "a.example")).rejects.toThrow(/docker-credential-absent get: .*install it/);
    put({ credsStore: "../jar" });
    await expect(credentialsFor(here(env), "a.example")).rejects.toThrow(/no name of a helper/);
  });
});

describe("properties", () => {
  const garbage = fc.oneof(
    fc.string(),
    fc.json(),
    fc.jsonValue().map((value) => JSON.stringify(value)),
  );

  test("whatever is stored comes back", async () => {
    const secret = fc.string({ unit: "binary", minLength: 1 }).filter((text) => !text.includes("\0") && text.isWellFormed());
    const user = secret.filter((text) => !text.includes(":"));
    await fc.assert(
      fc.asyncProperty(fc.domain(), user, secret, async (domain, username, password) => {
        await storeCredentials(here(), domain, { username, password });
        expect(await credentialsFor(here(), domain)).toEqual({ username, password });
      }),
      { numRuns: 50 },
    );
  });

  test("a file of anything is read or refused with our own error", async () => {
    await fc.assert(
      fc.asyncProperty(garbage, async (text) => {
        writeFileSync(file(), text);
        try {
          await credentialsFor(here({ PATH: "/nowhere" }), "a.example");
        } catch (error) {
          expect(error).toBeInstanceOf(OnggiError);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("so are entries and the answers of helpers", () => {
    const survives = (act: () => unknown): void => {
      try {
        act();
      } catch (error) {
        expect(error).toBeInstanceOf(OnggiError);
      }
    };
    const strings = fc.record({ auth: fc.anything(), identitytoken: fc.anything(), username: fc.anything() });
    fc.assert(fc.property(fc.oneof(fc.anything(), strings), (entry) => survives(() => authOfEntry(entry, "here"))));
    fc.assert(fc.property(garbage, (text) => survives(() => parseHelperAnswer(text, "jar"))));
  });

  test("a registry's key names the registry", () => {
    fc.assert(fc.property(fc.domain(), (domain) => expect(registryOf(keyOf(domain))).toBe(registryOf(domain))));
    expect(keyOf("docker.io")).toBe("https://index.docker.io/v1/");
    expect(keyOf("http://registry.example:5000/v1/")).toBe("registry.example:5000");
  });
});

test("logout forgets, and says whether there was anything", async () => {
  put({
    auths: { "http://one.example/v1/": { auth: base64("a:b") }, "one.example": {}, "two.example": { auth: base64("c:d") } },
  });
  const harness = new ControlHarness();
  const env = { HOME: home };
  const logout = (...server: string[]) => harness.command(["logout", ...server], { env });
  try {
    expect(await logout("one.example")).toMatchObject({
      exitCode: 0,
      stdout: "Removing login credentials for one.example\n",
    });
    expect(stored().auths).toEqual({ "two.example": { auth: base64("c:d") } });
    expect(await logout()).toMatchObject({ exitCode: 0, stdout: "Not logged in to https://index.docker.io/v1/\n" });
  } finally {
    await harness.stop();
  }
});
