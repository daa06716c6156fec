import { expect, test } from "bun:test";
import fc from "fast-check";
import { addressOf, parseEndpoint, sshCommand, sshSettingsCommand } from "./endpoint.ts";

test("addresses, and back", () => {
  for (const [text, endpoint] of [
    ["ssh://host", { kind: "ssh", host: "host" }],
    ["ssh://ann@host:2222/run/x/onggi.sock", { kind: "ssh", user: "ann", host: "host", port: "2222", path: "/run/x/onggi.sock" }],
    ["ssh://[::1]:22", { kind: "ssh", host: "::1", port: "22" }],
    ["unix:///run/onggi.sock", { kind: "unix", path: "/run/onggi.sock" }],
  ] as const) {
    expect(parseEndpoint(text)).toEqual(endpoint);
    expect(addressOf(parseEndpoint(text), "")).toBe(text.replace("unix://", ""));
  }
  expect(addressOf({ kind: "local" }, "/run/onggi/onggi.sock")).toBe("/run/onggi/onggi.sock");
});

test("what is none, or would be an option of ssh's, is refused", () => {
  for (const text of [
    ...[
      "",
      "host",
      "ssh://",
      "ssh://-oProxyCommand=x",
      "ssh://-l@host",
      "ssh://a b",
      "ssh://a:b@host",
      "ssh://host:99999",
      "unix://x",
    ],
    ...["ssh://user@", "ssh://host:", "ssh://host\n", "ssh://host/\0"],
  ])
    expect(() => parseEndpoint(text)).toThrow("is no address as in ssh://ann@engine.example");
  expect(() => parseEndpoint("tcp://host:2376")).toThrow("onggi itself comes by ssh:// or unix://");
});

test("what ssh is called with: the host behind the options, the path as one word of a shell", () => {
  const endpoint = { kind: "ssh", user: "ann", host: "h", port: "22", path: "/it's/a b" } as const;
  expect(sshCommand(endpoint, { start: false })).toEqual([
    ...["ssh", "-T", "-o", "ConnectTimeout=30", "-l", "ann", "-p", "22", "--", "h"],
    ...["onggi", "--host", "'unix:///it'\\''s/a b'", "system", "dial-stdio", "--control", "--no-start"],
  ]);
  expect(sshCommand({ kind: "ssh", host: "h" }, { start: true, aliveInterval: 30 })).toEqual([
    ...["ssh", "-T", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=30", "--", "h"],
    ...["onggi", "system", "dial-stdio", "--control"],
  ]);
  expect(sshSettingsCommand(endpoint)).toEqual(["ssh", "-G", "-T", "-l", "ann", "-p", "22", "--", "h"]);
});

test("anything is read or refused", () => {
  const piece = fc.constantFrom("ssh://", "unix://", "@", ":", "/", "[", "]", "-", "host", "22");
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 3 }))), (pieces) => {
      const text = pieces.join("");
      try {
        const endpoint = parseEndpoint(text);
        if (endpoint.kind !== "ssh") return;
        for (const part of [endpoint.host, endpoint.user ?? "a"]) expect(part).not.toMatch(/^-|\s/);
        expect(addressOf(endpoint, "")).toBe(text.replace(/(?<=[^/])\/$/, ""));
      } catch (error) {
        expect((error as { code?: string }).code).toBe("invalid_endpoint");
      }
    }),
  );
});
