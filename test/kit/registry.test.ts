import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { Registry } from "./registry.ts";

test("a registry answers, asks for passwords, speaks TLS, goes down and comes up with what it had", async () => {
  const open = await Registry.start();
  const closed = await Registry.start({ users: { ann: "secret" }, tls: true });
  try {
    expect((await fetch(`${open.url}/v2/`)).status).toBe(200);
    const tls = { ca: Bun.file(closed.ca) };
    const basic = (words: string) => ({ headers: { authorization: `Basic ${btoa(words)}` }, tls });
    expect((await fetch(`${closed.url}/v2/`, { tls })).status).toBe(401);
    expect((await fetch(`${closed.url}/v2/`, basic("ann:wrong"))).status).toBe(401);
    expect((await fetch(`${closed.url}/v2/`, basic("ann:secret"))).status).toBe(200);
    expect(fetch(`${closed.url}/v2/`)).rejects.toThrow();
    await open.down();
    expect(fetch(`${open.url}/v2/`)).rejects.toThrow();
    await open.up();
    expect((await fetch(`${open.url}/v2/`)).status).toBe(200);
  } finally {
    await open.close();
    await closed.close();
  }
  expect(existsSync(open.path) || existsSync(closed.path)).toBe(false);
}, 60_000);
