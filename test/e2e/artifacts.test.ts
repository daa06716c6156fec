/** What refers to an image: in docker-registry, which has no list of that, and in front of it one that has; ORAS is the other client. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";
import { busyboxArchive, sh } from "../kit/images.ts";
import { Registry, sha256 } from "../kit/registry.ts";
import { toolPath } from "../kit/tools.ts";

const orasPath = toolPath("oras");
const SBOM = "application/spdx+json";

let engine: Engine;
let registry: Registry;
let directory: string;
let name: string;
let digest: string;

const at = (file: string): string => join(directory, file);
const write = (file: string, content: string | Uint8Array): string => {
  writeFileSync(at(file), content);
  return at(file);
};

interface Listed {
  digest: string;
  artifactType: string;
  annotations: Record<string, string>;
  referrers: Listed[];
}
const referrers = async (of: string, ...flags: string[]): Promise<Listed[]> =>
  JSON.parse(await engine.ok(["image", "referrers", "--json", ...flags, of])).referrers;
const attach = async (of: string, type: string, ...more: string[]): Promise<string> =>
  (await engine.ok(["image", "attach", "--artifact-type", type, of, ...more])).split("@")[1]!;

beforeAll(async () => {
  engine = startEngine();
  registry = await Registry.start();
  directory = mkdtempSync(join(tmpdir(), "onggi-artifacts-"));
  name = `${registry.domain}/team/app:1`;
  sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", `docker-archive:${busyboxArchive()}`, `docker://${name}`]);
  digest = sh(["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", `docker://${name}`]).trim();
}, 60_000);
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await registry.close();
  await engine.close();
}, 60_000);

test("files are attached, listed, attached to in turn, fetched, detached", async () => {
  expect(await referrers(name)).toEqual([]);
  const large = Buffer.alloc(3 << 20, "sbom ");
  const sbom = await attach(name, SBOM, `${write("sbom.json", "{}")}:application/json`, write("large", large), "-a", "by=test");
  const note = await attach(name, "example/note");
  const nested = await attach(`${registry.domain}/team/app@${sbom}`, "example/signature", write("sig", "signed"));
  const all = await referrers(name);
  expect(all.map((each) => [each.digest, each.artifactType, each.annotations.by])).toEqual([
    [sbom, SBOM, "test"],
    [note, "example/note", undefined],
  ]);
  expect(all[0]!.referrers.map((each) => each.digest)).toEqual([nested]);
  expect((await referrers(name, "--artifact-type", "example/note")).map((each) => each.digest)).toEqual([note]);
  expect(await engine.ok(["image", "referrers", name])).toContain(`├─ ${sbom}`);
  expect(await engine.ok(["image", "referrers", name])).toContain(`│  └─ ${nested}`);
  const rows = await engine.ok(["image", "referrers", "--format", "{{.Digest}} {{.Subject}}", name]);
  expect(rows.split("\n")[1]).toBe(`${nested} ${sbom}`);

  mkdirSync(at("out"));
  await engine.ok(["image", "fetch", "--artifact-type", SBOM, "-o", at("out"), name]);
  expect(readdirSync(at("out")).sort()).toEqual(["large", "sbom.json"]);
  expect(readFileSync(at("out/large")).equals(large)).toBe(true);
  expect(await engine.ok(["image", "fetch", `${registry.domain}/team/app@${nested}`])).toBe("signed");
  const again = await engine.onggi(["image", "fetch", "--artifact-type", SBOM, "-o", at("out"), name]);
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("is there; remove it")]);
  const several = await engine.onggi(["image", "fetch", "--artifact-type", SBOM, name]);
  expect([several.code !== 0, several.stderr]).toEqual([true, expect.stringContaining("name a directory")]);

  await engine.ok(["image", "detach", `${registry.domain}/team/app@${note}`]);
  expect((await referrers(name)).map((each) => each.digest)).toEqual([sbom]);
  await engine.ok(["image", "detach", `${registry.domain}/team/app@${sbom}`]);
  expect(await referrers(name)).toEqual([]);
  // the empty index went with its last entry
  expect(JSON.parse(await (await fetch(`${registry.url}/v2/team/app/tags/list`)).text()).tags).not.toContain(
    digest.replace(":", "-"),
  );
  const image = await engine.onggi(["image", "detach", `${registry.domain}/team/app@${digest}`]);
  expect([image.code, image.stderr]).toEqual([1, expect.stringContaining("it has no subject")]);
}, 60_000);

test("those who attach at the same moment are all listed", async () => {
  const of = `${registry.domain}/team/busy:1`;
  sh(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", `docker://${name}`, `docker://${of}`]);
  const attached = await Promise.all([1, 2, 3].map((i) => attach(of, "example/busy", "-a", `i=${i}`)));
  expect((await referrers(of)).map((each) => each.digest).sort()).toEqual(attached.sort());
}, 60_000);

test("a name that leads elsewhere is none, and a file of other bytes is not there", async () => {
  const put = async (path: string, type: string, body: string) => {
    const { status } = await fetch(`${registry.url}/v2/team/evil/${path}`, {
      method: "PUT",
      body,
      headers: { "content-type": type },
    });
    expect(status).toBe(201);
  };
  const blob = async (text: string) => {
    const { headers } = await fetch(`${registry.url}/v2/team/evil/blobs/uploads/`, { method: "POST" });
    const url = new URL(headers.get("location")!, registry.url);
    url.searchParams.set("digest", sha256(text));
    expect((await fetch(url, { method: "PUT", body: text })).status).toBe(201);
    return { digest: sha256(text), size: text.length };
  };
  const type = "application/vnd.oci.image.manifest.v1+json";
  const titles = ["../../escaped", "..", "/etc/escaped", "a/b", "", "\u001b[2J", "a\nb"];
  const layers = [];
  for (const [i, title] of titles.entries())
    layers.push({
      mediaType: "text/plain",
      ...(await blob(`file ${i}`)),
      annotations: { "org.opencontainers.image.title": title },
    });
  const config = { mediaType: "application/vnd.oci.empty.v1+json", ...(await blob("{}")) };
  await put("manifests/1", type, JSON.stringify({ schemaVersion: 2, mediaType: type, config, layers }));
  mkdirSync(at("evil/in"), { recursive: true });
  await engine.ok(["image", "fetch", "-o", at("evil/in"), `${registry.domain}/team/evil:1`]);
  expect(readdirSync(at("evil/in")).sort()).toEqual(titles.map((_, i) => `sha256-${sha256(`file ${i}`).slice(7)}`).sort());
  expect(readdirSync(at("evil"))).toEqual(["in"]);
  expect(existsSync("/etc/escaped")).toBe(false);

  writeFileSync(registry.blobFile(sha256("file 0")), "file X");
  mkdirSync(at("none"));
  const { code, stderr } = await engine.onggi(["image", "fetch", "-o", at("none"), `${registry.domain}/team/evil:1`]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("has other bytes")]);
  expect(readdirSync(at("none"))).toEqual([]);
}, 60_000);

test("a registry that lists by itself gets no tag of ours", async () => {
  const listed = new Map<string, Record<string, unknown>[]>();
  const front = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const asked = /\/referrers\/(sha256:[0-9a-f]{64})$/.exec(pathname)?.[1];
      const mediaType = "application/vnd.oci.image.index.v1+json";
      if (asked)
        return Response.json(
          { schemaVersion: 2, mediaType, manifests: listed.get(asked) ?? [] },
          { headers: { "content-type": mediaType } },
        );
      const body = request.method === "GET" || request.method === "HEAD" ? undefined : await request.arrayBuffer();
      const headers = new Headers(request.headers);
      headers.set("host", registry.domain);
      const answer = await fetch(`${registry.url}${pathname}${search}`, {
        method: request.method,
        headers,
        ...(body ? { body } : {}),
      });
      const own = new Headers(answer.headers);
      const location = own.get("location");
      if (location) own.set("location", location.replace(registry.url, front.url.origin));
      if (request.method === "PUT" && pathname.includes("/manifests/")) {
        const text = Buffer.from(body!).toString();
        const { subject, artifactType } = JSON.parse(text);
        if (subject) {
          const entry = {
            mediaType: "application/vnd.oci.image.manifest.v1+json",
            digest: sha256(text),
            size: text.length,
            artifactType,
          };
          listed.set(subject.digest, [...(listed.get(subject.digest) ?? []), entry]);
          own.set("oci-subject", subject.digest);
        }
      }
      return new Response(request.method === "HEAD" ? null : answer.body, { status: answer.status, headers: own });
    },
  });
  try {
    // it is in front of the same storage
    const direct = `docker://${registry.domain}/team/modern:1`;
    sh(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", `docker://${name}`, direct]);
    const of = `127.0.0.1:${front.port}/team/modern:1`;
    const attached = await attach(of, "example/note");
    expect((await referrers(of)).map((each) => each.digest)).toEqual([attached]);
    expect(JSON.parse(await (await fetch(`${registry.url}/v2/team/modern/tags/list`)).text()).tags).toEqual(["1"]);
  } finally {
    await front.stop(true);
  }
}, 60_000);

describe.skipIf(orasPath === null)("oras", () => {
  const oras = (...args: string[]): string =>
    sh([orasPath!, ...args], { cwd: directory, env: { ...process.env, HOME: directory } as Record<string, string> });

  test("lists and fetches what onggi attaches, and the other way round", async () => {
    const of = `${registry.domain}/team/oras:1`;
    sh(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", `docker://${name}`, `docker://${of}`]);
    const ours = await attach(of, SBOM, `${write("ours.json", '{"by":"onggi"}')}:application/json`);
    write("theirs.txt", "by oras");
    oras("attach", "--plain-http", "--artifact-type", "example/theirs", of, "theirs.txt:text/plain");
    const seen = JSON.parse(oras("discover", "--plain-http", "--format", "json", of));
    const types = (seen.referrers ?? seen.manifests).map((each: { artifactType: string }) => each.artifactType).sort();
    expect(types).toEqual([SBOM, "example/theirs"].sort());
    mkdirSync(at("pulled"));
    oras("pull", "--plain-http", "-o", at("pulled"), `${of.slice(0, -2)}@${ours}`);
    expect(readFileSync(at("pulled/ours.json"), "utf8")).toBe('{"by":"onggi"}');
    expect(await engine.ok(["image", "fetch", "--artifact-type", "example/theirs", of])).toBe("by oras");
    expect((await referrers(of)).map(({ artifactType }) => artifactType)).toEqual([SBOM, "example/theirs"]);
  }, 60_000);
});
