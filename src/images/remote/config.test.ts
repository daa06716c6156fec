import { expect, test } from "bun:test";
import fc from "fast-check";
import { readConfig } from "./config.ts";

test("registries.toml is read, and errors name file and key", () => {
  expect(readConfig('[registry."a:5000"]\ninsecure = "http"\n[registry."b.example"]\nblocked = true', "f")).toEqual(
    new Map([
      ["a:5000", { insecure: "http" }],
      ["b.example", { blocked: true }],
    ]),
  );
  expect(() => readConfig('[registry."a"]\nblokced = true', "/etc/f")).toThrow('/etc/f: registry."a".blokced is not known');
  expect(() => readConfig('[registry."a"]\nca = 1', "/etc/f")).toThrow('registry."a".ca must be an absolute path');
  expect(() => readConfig("other = 1", "f")).toThrow('"other" is not known');
});

test("any text is a configuration or an error", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        readConfig(`registry${text}`, "f");
      } catch (error) {
        expect(error).toMatchObject({ code: "registry_config_invalid" });
      }
    }),
  );
});
