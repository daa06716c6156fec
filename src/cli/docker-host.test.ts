import { expect, test } from "bun:test";
import { dockerPorts, parseDockerHosts } from "./docker-host.ts";

const nothing = { dockerHost: undefined, tlsCa: undefined, tlsCert: undefined, tlsKey: undefined };

test("addresses, with Docker's port for TLS where none is named", () => {
  expect(parseDockerHosts("tcp://0.0.0.0:99,tcp://[::1],tcp://engine.example/")).toEqual([
    { hostname: "0.0.0.0", port: 99 },
    { hostname: "::1", port: 2376 },
    { hostname: "engine.example", port: 2376 },
  ]);
  for (const text of [
    "",
    "tcp://",
    "127.0.0.1:1",
    "unix:///a",
    "tcp://a:99999",
    "tcp://a b",
    "tcp://a:1/path",
    "tcp://::1:2",
    "tcp://a,",
  ])
    expect(() => parseDockerHosts(text)).toThrow("is no address as in tcp://127.0.0.1:2376");
});

test("no port without all three files, and no files without a port", () => {
  expect(dockerPorts(nothing)).toEqual([]);
  expect(() => dockerPorts({ ...nothing, tlsKey: "/key" })).toThrow("tlskey is for Docker's API on TCP");
  const asked = { ...nothing, dockerHost: "tcp://127.0.0.1" };
  expect(() => dockerPorts(asked)).toThrow("on TCP clients must have certificates; give tlscacert, tlscert and tlskey");
  expect(() => dockerPorts({ ...asked, tlsCa: "/no/ca", tlsCert: "/no/cert", tlsKey: "/no/key" })).toThrow(
    "tlscacert /no/ca cannot be used: ENOENT",
  );
  const self = import.meta.path;
  expect(() => dockerPorts({ ...asked, tlsCa: self, tlsCert: self, tlsKey: self })).toThrow(`tlscacert ${self} cannot be used`);
});
