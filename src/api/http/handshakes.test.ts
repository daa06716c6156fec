import { expect, test } from "bun:test";
import { Handshakes } from "./handshakes.ts";

const client = (authorized: boolean) => {
  const socket = { remoteAddress: "10.0.0.9", authorized, closed: 0, terminate: () => void socket.closed++ };
  return socket;
};

test("who has shown a good certificate goes on; anybody else is closed, and told of at most once a second", () => {
  const said: string[] = [];
  const handshakes = new Handshakes((message) => said.push(message));
  const [good, bad, worse, slow] = [client(true), client(false), client(false), client(true)];
  for (const socket of [good, bad, worse, slow]) handshakes.begin(socket);
  expect(handshakes.end(good, true, null)).toBe(true);
  expect(handshakes.end(bad, true, new Error("certificate has expired"))).toBe(false);
  expect(handshakes.end(worse, false, null)).toBe(false);
  handshakes.expire(Date.now());
  expect([good, bad, worse, slow].map(({ closed }) => closed)).toEqual([0, 1, 1, 0]);
  expect(handshakes.size).toBe(1);
  handshakes.expire(Date.now() + 11_000);
  expect([slow.closed, handshakes.size]).toEqual([1, 0]);
  expect(said).toEqual(["TLS handshake with 10.0.0.9: certificate has expired"]);
});

test("a socket that has gone is no handshake any more", () => {
  const handshakes = new Handshakes(() => {});
  const gone = client(true);
  handshakes.begin(gone);
  handshakes.forget(gone);
  expect(handshakes.end(gone, true, null)).toBe(false);
  expect(gone.closed).toBe(0);
});
