import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseReference } from "../oci/reference.ts";
import { readPolicy, ruleFor } from "./policy.ts";

const file = "/etc/onggi/policy.toml";

test("rules are read; the longest name that covers an image counts", () => {
  const rules = readPolicy(
    `
[policy."*"]
reject = true
[policy."*.example"]
accept = true
[policy."reg.example"]
require = "digest"
[policy."reg.example/team"]
require = "signature"
keys = ["/k/a.pub", "/k/b.pub"]
signed-as = "up.example/them"
[policy."docker.io/library"]
accept = true
`,
    file,
  );
  expect(rules.get("reg.example/team")).toEqual({
    kind: "signature",
    keys: ["/k/a.pub", "/k/b.pub"],
    identity: "repository",
    signedAs: "up.example/them",
    line: 10,
  });
  const of = (name: string): string | undefined => ruleFor(rules, parseReference(name))?.name;
  expect(of("reg.example/team/app:1")).toBe("reg.example/team");
  expect(of("REG.example/team/app:1")).toBe("reg.example/team");
  expect(of("reg.example/teams/app")).toBe("reg.example");
  expect(of("reg.example:5000/team/app")).toBe("*");
  expect(of("other.example/x")).toBe("*.example");
  expect(of("badexample/x")).toBe("*");
  expect(of("busybox")).toBe("docker.io/library");
  expect(of("index.docker.io/library/busybox")).toBe("docker.io/library");
  expect(of("someone/busybox")).toBe("*");
  expect(ruleFor(new Map(), parseReference("busybox"))).toBeNull();
});

test.each([
  ['[policy."a"]\naccept = true\nrequire = "digest"', 'line 1: policy."a" must have one of'],
  ['\n[policy."a"]\n\nrequired = "digest"', 'line 4: policy."a".required is not known'],
  ['[policy."a"]\nrequire = "sig"', 'line 2: policy."a".require must be "digest" or "signature"'],
  ['[policy."a"]\nrequire = "signature"', 'line 2: policy."a" requires signatures and names no keys'],
  ['[policy."b"]\naccept = true\n[policy."a"]\nrequire = "signature"\nkeys = ["k.pub"]', "line 5: "],
  ['[policy."a"]\nreject = true\nkeys = ["/k.pub"]', "line 3: "],
  ['[policy."A/B"]\nreject = true', "line 1: "],
  ['[policy."a"]\nreject = true\n[policy."a"]\naccept = true', "policy.toml: line"],
  ["[policy", "line 1: "],
  ["accept = true", '"accept" is not known'],
])("%j is refused with its line", (text, words) => {
  expect(() => readPolicy(text, file)).toThrow(expect.objectContaining({ code: "policy_invalid" }));
  expect(() => readPolicy(text, file)).toThrow(words);
});

test("any text is a policy or an error with the file's name", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^\[policy\."[a-z.*/]{0,6}"\]\n[a-z]{0,8} = [a-z"[\]]{0,9}$/)),
      (text) => {
        try {
          expect(readPolicy(text, file)).toBeInstanceOf(Map);
        } catch (error) {
          expect(error).toMatchObject({ code: "policy_invalid", message: expect.stringContaining(file) });
        }
      },
    ),
  );
});
