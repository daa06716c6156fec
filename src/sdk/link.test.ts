import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { metaOf } from "../contexts/contexts.ts";
import { isOnggiError } from "./errors.ts";
import { Link } from "./link.ts";

const names = ["ONGGI_CONFIG_DIR", "ONGGI_HOST", "ONGGI_CONTEXT", "ONGGI_ROOT", "ONGGI_RUN"];
const before = names.map((name) => [name, process.env[name]] as const);

function restore(): void {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
afterEach(restore);

test("options that say two things are refused at once", () => {
  for (const options of [
    { host: "ssh://a", context: "kiln" },
    { host: "ssh://a", run: "/x" },
    { context: "kiln", root: "/x" },
  ]) {
    let thrown: unknown;
    try {
      new Link(options);
    } catch (error) {
      thrown = error;
    }
    expect(isOnggiError(thrown, "invalid_option")).toBe(true);
  }
  expect(new Link({ context: "default", run: "/x" }).socket).toBe("/x/onggi.sock");
});

test("an engine is found by the environment when it is first used, and stays that one", () => {
  const directory = mkdtempSync(`${tmpdir()}/onggi-contexts-`);
  try {
    const link = new Link({});
    for (const name of names) delete process.env[name];
    process.env.ONGGI_CONFIG_DIR = directory;
    mkdirSync(`${directory}/contexts`);
    writeFileSync(`${directory}/config.json`, '{"currentContext": "kiln"}');
    // one that cannot be found now may be later
    expect(() => link.socket).toThrow('context "kiln": not found');
    writeFileSync(`${directory}/contexts/kiln.json`, JSON.stringify(metaOf("kiln", "ssh://ann@kiln", "")));
    expect([link.socket, link.otherHost]).toEqual(["ssh://ann@kiln", "kiln"]);
    process.env.ONGGI_HOST = "unix:///other.sock";
    expect([link.socket, new Link({}).socket, new Link({ context: "kiln" }).socket]).toEqual([
      ...["ssh://ann@kiln", "/other.sock", "ssh://ann@kiln"],
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
