/** Images over docker.sock: Docker's own command lines, a real registry, and next to a real dockerd. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { CommandLine } from "../kit/command.ts";
import { dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxTar, dockerArchive } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";
import { skipLoudly } from "../kit/skip.ts";
import { toolPath } from "../kit/tools.ts";

let engine: Engine;
let registry: Registry;
/** Wants a password. */
let closed: Registry;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  registry = await Registry.start();
  closed = await Registry.start({ users: { ann: "s3cret" } });
}, 120_000);
afterAll(async () => {
  await registry.close();
  await closed.close();
  await engine.close();
}, 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
  const names = (await engine.ok(["images", "--format", "{{.Repository}}:{{.Tag}}"])).split("\n");
  const made = names.filter((name) => name !== "busybox:latest" && !name.includes("<none>"));
  if (made.length > 0) await engine.ok(["rmi", "-f", ...made]);
  await engine.ok(["image", "prune", "-f"]);
});

const clients: string[] = [];
if (existsSync("/usr/bin/docker")) clients.push("/usr/bin/docker");
else skipLoudly("docker is not installed");
const newer = toolPath("docker");
if (newer) clients.push(newer);

const ask = (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://docker${path}`, { method, unix: `${engine.run}/docker.sock`, signal: AbortSignal.timeout(30_000), ...init });
const answer = async (method: string, path: string, init?: RequestInit) => {
  const { status, text } = await ask(method, path, init).then(async (given) => ({
    status: given.status,
    text: await given.text(),
  }));
  return { status, json: JSON.parse(text || "null") };
};
const linesOf = async (given: Response): Promise<Record<string, unknown>[]> =>
  (await given.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
/** An image that goes with its names. */
const own = (name: string) => engine.ok(["import", "-q", "-c", "LABEL own=1", busyboxTar(), name]);
const idOf = (image: string) => engine.ok(["inspect", "--type", "image", "-f", "{{.Id}}", image]);

describe.each(clients)("%s", (client) => {
  let docker: CommandLine;
  const config = () => `${engine.base}/docker-config-${clients.indexOf(client)}`;
  beforeAll(() => {
    docker = new CommandLine([client], { env: { DOCKER_HOST: `unix://${engine.run}/docker.sock`, DOCKER_CONFIG: config() } });
  });
  afterAll(() => {
    docker.killRunning();
    rmSync(config(), { recursive: true, force: true });
  });
  const app = () => `${registry.domain}/team/app${clients.indexOf(client)}`;

  test("images: names as Docker shows them, filters, ids", async () => {
    await docker.ok(["tag", "busybox", "mine:2"]);
    await docker.ok(["tag", "docker.io/library/busybox:latest", app()]);
    const id = await idOf("busybox");
    const names = async (...args: string[]) =>
      (await docker.ok(["images", "--format", "{{.Repository}}:{{.Tag}}", ...args])).split("\n").filter(Boolean).sort();
    expect(await names()).toEqual([`${app()}:latest`, "busybox:latest", "mine:2"]);
    expect(await names("mine")).toEqual(["mine:2"]);
    expect(await names("--filter", "reference=m*:2")).toEqual(["mine:2"]);
    expect(await names("--filter", "dangling=true")).toEqual([]);
    expect(await names("--filter", "since=busybox")).toEqual([]);
    expect(await docker.ok(["images", "-q", "--no-trunc", app()])).toBe(id);
    expect((await docker.run(["images", "--filter", "colour=red"])).stderr).toContain("colour");
    expect(await docker.ok(["inspect", "-f", "{{.Id}}", id.slice(7, 19)])).toBe(id);
    expect((await docker.run(["image", "inspect", "nothing:here"])).stderr).toContain("No such image: nothing:here");
  });

  test("push, rmi, pull: the same image comes back, and layers are told of", async () => {
    const loaded = /Loaded image: (\S+)/.exec(await docker.ok(["load", "-i", dockerArchive()]))![1]!;
    const id = await idOf(loaded);
    await docker.ok(["tag", loaded, `${app()}:1`]);
    const pushed = await docker.ok(["push", `${app()}:1`]);
    expect(pushed).toStartWith(`The push refers to repository [${app()}]\n`);
    const [, digest] = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(pushed)!;
    const stored = await fetch(`${registry.url}/v2/team/app${clients.indexOf(client)}/manifests/${digest}`, {
      headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
    });
    expect(((await stored.json()) as { config: { digest: string } }).config.digest).toBe(id);
    const removed = await docker.ok(["rmi", loaded, `${app()}:1`]);
    expect(removed.split("\n").slice(0, 4)).toEqual([
      `Untagged: ${loaded}`,
      `Untagged: ${app()}:1`,
      `Untagged: ${app()}@${digest}`,
      `Deleted: ${id}`,
    ]);
    const pulled = await docker.ok(["pull", `${app()}:1`]);
    expect(pulled).toContain(`1: Pulling from team/app${clients.indexOf(client)}\n`);
    expect(pulled.match(/^[0-9a-f]{12}: Pull complete$/gm)?.length).toBe(3);
    expect(pulled).toContain(`Digest: ${digest}\nStatus: Downloaded newer image for ${app()}:1\n`);
    expect(await idOf(`${app()}:1`)).toBe(id);
    expect(await docker.ok(["pull", `${app()}@${digest}`])).toContain(`Status: Image is up to date for ${app()}@${digest}`);
    expect(await docker.ok(["images", "--digests", "--format", "{{.Digest}}", app()])).toBe(digest!);
    await docker.ok(["tag", `${app()}:1`, `${app()}:2`]);
    const all = await docker.ok(["push", "--all-tags", app()]);
    expect(all.match(/^[12]: digest: /gm)?.length).toBe(2);
    await docker.ok(["rmi", `${app()}:1`, `${app()}:2`]);
    await docker.ok(["pull", "-a", app()]);
    expect(await docker.ok(["images", "-q", app()])).toBe([id, id].map((one) => one.slice(7, 19)).join("\n"));
  });

  test("what a repository calls an image goes with the last name there", async () => {
    await docker.ok(["tag", "busybox", `${app()}:x`]);
    await docker.ok(["tag", "busybox", `${app()}:y`]);
    await docker.ok(["push", `${app()}:x`]);
    const digests = async () => JSON.parse(await docker.ok(["inspect", "-f", "{{json .RepoDigests}}", "busybox"]));
    const [digest] = await digests();
    expect(digest).toStartWith(`${app()}@sha256:`);
    expect(await docker.ok(["rmi", `${app()}:x`])).toBe(`Untagged: ${app()}:x`);
    expect(await digests()).toEqual([digest]);
    expect(await docker.ok(["rmi", `${app()}:y`])).toBe(`Untagged: ${app()}:y\nUntagged: ${digest}`);
    expect(await digests()).toEqual([]);
  });

  test("what cannot be pulled or pushed", async () => {
    const unknown = await docker.run(["pull", `${registry.domain}/team/nothing:here`]);
    expect([unknown.code, unknown.stderr.includes(`manifest for ${registry.domain}/team/nothing:here not found`)]).toEqual([
      1,
      true,
    ]);
    const missing = await docker.run(["push", `${registry.domain}/team/nothing:here`]);
    expect([missing.code, missing.stdout]).toEqual([1, `The push refers to repository [${registry.domain}/team/nothing]\n`]);
    expect(missing.stderr).toContain(`An image does not exist locally with the tag: ${registry.domain}/team/nothing`);
    const refused = await docker.run(["pull", `${closed.domain}/team/secret:1`]);
    expect(refused.stderr).toContain(`pull access denied for ${closed.domain}/team/secret`);
  });

  test("login, and what it opens; logout closes it", async () => {
    const login = (password: string) =>
      docker.run(["login", "-u", "ann", "--password-stdin", closed.domain], { stdin: `${password}\n` });
    const wrong = await login("wrong");
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("failed with status: 401 Unauthorized");
    expect((await login("s3cret")).stdout).toContain("Login Succeeded\n");
    const name = `${closed.domain}/team/app:1`;
    await own(name);
    expect(await docker.ok(["push", name])).toMatch(/^1: digest: sha256:/m);
    expect(await docker.ok(["rmi", name])).toMatch(/^Untagged: .*:1\nUntagged: .*@sha256:.*\nDeleted: /);
    expect(await docker.ok(["pull", "-q", name])).toBe(name);
    await docker.ok(["logout", closed.domain]);
    expect((await docker.run(["pull", name])).code).toBe(1);
  });

  test("save | load: byte for byte the same image; several names; gzip", async () => {
    const file = `${engine.base}/saved-${clients.indexOf(client)}.tar`;
    await docker.ok(["tag", "busybox", "mine:2"]);
    await docker.ok(["save", "-o", file, "busybox", "mine:2"]);
    const id = await idOf("busybox");
    await docker.ok(["rmi", "-f", "mine:2"]);
    writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)));
    expect((await docker.ok(["load", "-i", `${file}.gz`])).split("\n").sort()).toEqual([
      "Loaded image: busybox:latest",
      "Loaded image: mine:2",
    ]);
    expect(await idOf("mine:2")).toBe(id);
    const gone = await docker.run(["save", "-o", file, "nothing:here"]);
    expect(gone.stderr).toContain("No such image: nothing:here");
    const broken = await docker.run(["load"], { stdin: "no archive at all".repeat(1000) });
    expect([broken.code, broken.stderr !== ""]).toEqual([1, true]);
    for (const one of [file, `${file}.gz`]) rmSync(one, { force: true });
  });

  test("import and commit make images; history tells how", async () => {
    const imported = await docker.ok(["import", "-m", "from a tar", "-c", 'CMD ["echo", "imported"]', busyboxTar(), "made:1"]);
    expect(imported).toBe(await idOf("made:1"));
    expect(await docker.ok(["run", "--rm", "made:1"])).toBe("imported");
    expect(await docker.ok(["history", "--format", "{{.Comment}}", "made:1"])).toBe("from a tar");
    await docker.ok(["run", "--name", "worker", "-e", "A=1", "busybox", "touch", "/made"]);
    const committed = await docker.ok([
      ...["commit", "-a", "Ann <ann@example.com>", "-m", "a file", "-c", "ENV B=2", "-c", "LABEL k=v"],
      ...["worker", "made:2"],
    ]);
    expect(committed).toBe(await idOf("made:2"));
    const [image] = JSON.parse(await docker.ok(["image", "inspect", "made:2"]));
    expect(image).toMatchObject({ Author: "Ann <ann@example.com>", Comment: "a file", Config: { Labels: { k: "v" } } });
    expect(image.Config.Env).toEqual(expect.arrayContaining(["A=1", "B=2"]));
    expect(await docker.ok(["run", "--rm", "made:2", "ls", "/made"])).toBe("/made");
    expect(await docker.ok(["images", "-q", "--filter", "label=k=v"])).toBe(committed.slice(7, 19));
    expect((await docker.run(["commit", "nobody"])).stderr).toContain("No such container: nobody");
  });

  test("what is in use stays, in Docker's words", async () => {
    const image = (await idOf("busybox")).slice(7, 19);
    const container = (await docker.ok(["create", "busybox"])).slice(0, 12);
    const refusal = async (...args: string[]) =>
      (await docker.run(["rmi", ...args])).stderr.trim().replace(/^.*: conflict: /, "");
    expect(await refusal("busybox")).toBe(
      `unable to remove repository reference "busybox" (must force) - container ${container} is using its referenced image ${image}`,
    );
    expect(await refusal(image)).toBe(
      `unable to delete ${image} (must be forced) - image is being used by stopped container ${container}`,
    );
    await docker.ok(["tag", "busybox", "mine:2"]);
    expect(await refusal(image)).toBe(
      `unable to delete ${image} (must be forced) - image is referenced in multiple repositories`,
    );
    const running = (await docker.ok(["run", "-d", "busybox", "sleep", "1000"])).slice(0, 12);
    expect(await refusal("-f", image)).toBe(
      `unable to delete ${image} (cannot be forced) - image is being used by running container ${running}`,
    );
    expect(await docker.ok(["rmi", "mine:2"])).toBe("Untagged: mine:2");
  });

  test("image prune takes what has no name, with -a what nobody uses", async () => {
    await docker.ok(["import", busyboxTar()]);
    const nameless = await docker.ok(["images", "-q", "--no-trunc", "--filter", "dangling=true"]);
    expect(await docker.ok(["image", "prune", "-f"])).toContain(`deleted: ${nameless}`);
    expect(await docker.ok(["image", "prune", "-f"])).toBe("Total reclaimed space: 0B");
    await docker.ok(["create", "busybox"]);
    await docker.ok(["import", "-c", "LABEL keep=1", busyboxTar(), "made:1"]);
    expect(await docker.ok(["image", "prune", "-af", "--filter", "label!=keep"])).toBe("Total reclaimed space: 0B");
    expect(await docker.ok(["image", "prune", "-af"])).toContain("untagged: made:1");
    expect(await docker.ok(["images", "--format", "{{.Repository}}"])).toBe("busybox");
  });

  test("there is no builder, and that is said", async () => {
    writeFileSync(`${engine.base}/Dockerfile`, "FROM busybox\n");
    const built = await docker.run(["build", engine.base], { env: { DOCKER_BUILDKIT: "0" } });
    expect([built.code, built.stderr.includes("does not build images")]).toEqual([1, true]);
  });
});

describe("requests", () => {
  test("a list by version", async () => {
    const [old] = (await answer("GET", "/v1.41/images/json")).json;
    expect(old).toMatchObject({ VirtualSize: old.Size, SharedSize: -1, Containers: -1, ParentId: "", Labels: null });
    const [newest] = (await answer("GET", "/images/json?shared-size=1&manifests=1")).json;
    expect(newest).toMatchObject({ SharedSize: 0, Containers: 0, RepoTags: ["busybox:latest"], RepoDigests: [] });
    expect(newest.VirtualSize).toBeUndefined();
    expect(newest.Manifests).toMatchObject([{ Kind: "image", Available: true, ImageData: { Platform: { os: "linux" } } }]);
    expect((await answer("GET", "/v1.46/images/json?manifests=1")).json[0].Manifests).toBeUndefined();
    const of = async (filters: object) =>
      (await answer("GET", `/images/json?filters=${encodeURIComponent(JSON.stringify(filters))}`)).json.length;
    expect([await of({ reference: { "busy*": true } }), await of({ reference: ["nothing"] })]).toEqual([1, 0]);
    await answer("POST", "/images/create?fromSrc=-", { body: readFileSync(busyboxTar()) });
    const tagsOf = async (version: string) =>
      (await answer("GET", `/v${version}/images/json?filters=${encodeURIComponent('{"dangling":["true"]}')}`)).json[0].RepoTags;
    expect([await tagsOf("1.42"), await tagsOf("1.43")]).toEqual([["<none>:<none>"], []]);
  });

  test("an image by version", async () => {
    const fields = async (version: string) => {
      const { json } = await answer("GET", `/v${version}/images/busybox/json`);
      const told = (name: string): boolean => name in json;
      return ["VirtualSize", "ContainerConfig", "GraphDriver", "Parent"]
        .filter(told)
        .concat(Object.hasOwn(json.Config, "Hostname") ? "Hostname" : []);
    };
    expect(await fields("1.43")).toEqual(["VirtualSize", "ContainerConfig", "GraphDriver", "Parent", "Hostname"]);
    expect(await fields("1.44")).toEqual(["ContainerConfig", "GraphDriver", "Parent", "Hostname"]);
    expect(await fields("1.49")).toEqual(["GraphDriver", "Parent", "Hostname"]);
    expect(await fields("1.51")).toEqual(["GraphDriver", "Parent"]);
    expect(await fields("1.52")).toEqual([]);
    const arm = encodeURIComponent('{"os":"linux","architecture":"arm64"}');
    expect((await answer("GET", `/images/busybox/json?platform=${arm}`)).status).toBe(404);
    expect((await answer("GET", "/images/busybox/json?platform=arm64")).status).toBe(400);
    expect((await answer("GET", "/images/docker.io%2Flibrary%2Fbusybox/json")).status).toBe(200);
  });

  test("a pull that fails at once is an answer with a status; one that has begun ends in a line", async () => {
    expect((await answer("POST", "/images/create?fromImage=Not%20a%20name&tag=x")).status).toBe(400);
    const unknown = await answer("POST", `/images/create?fromImage=${registry.domain}/nothing&tag=here`);
    expect([unknown.status, unknown.json.message.includes("not found")]).toEqual([404, true]);
    const name = `${registry.domain}/broken:1`;
    await own(name);
    await engine.ok(["push", name]);
    const manifest = (await (
      await fetch(`${registry.url}/v2/broken/manifests/1`, {
        headers: { accept: "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json" },
      })
    ).json()) as { layers: { digest: string }[] };
    const [layer] = manifest.layers;
    writeFileSync(registry.blobFile(layer!.digest), gzipSync("something else"));
    // here the layer would be found
    const other = startEngine();
    try {
      await other.ok(["engine", "start"]);
      const lines = await linesOf(
        await fetch(`http://docker/images/create?fromImage=${registry.domain}/broken&tag=1`, {
          method: "POST",
          unix: `${other.run}/docker.sock`,
        }),
      );
      expect(lines[0]).toEqual({ status: "Pulling from broken", id: "1" });
      expect(lines.at(-1)).toMatchObject({ errorDetail: { message: expect.any(String) }, error: expect.any(String) });
    } finally {
      await other.close();
    }
  });

  test("credentials: in the header, of either alphabet; garbage is refused without being repeated", async () => {
    await own(`${closed.domain}/team/header:1`);
    const push = (auth: string) =>
      ask("POST", `/images/${closed.domain}/team/header/push?tag=1`, { headers: { "X-Registry-Auth": auth } });
    const encode = (value: object, alphabet: "base64" | "base64url") => Buffer.from(JSON.stringify(value)).toString(alphabet);
    const lines = await linesOf(await push(encode({ username: "ann", password: "s3cret" }, "base64url")));
    expect(lines.at(-1)).toMatchObject({
      aux: { Tag: "1", Digest: expect.stringMatching(/^sha256:/), Size: expect.any(Number) },
    });
    const pair = { auth: Buffer.from("ann:s3cret").toString("base64") };
    expect((await linesOf(await push(encode(pair, "base64")))).at(-1)).toHaveProperty("aux");
    expect((await linesOf(await push(""))).at(-1)).toHaveProperty("errorDetail");
    const bad = await push("s3cret");
    expect([bad.status, (await bad.text()).includes("s3cret")]).toEqual([400, false]);
    const distribution = await answer("GET", `/distribution/${closed.domain}/team/header:1/json`, {
      headers: { "X-Registry-Auth": encode(pair, "base64") },
    });
    expect(distribution.json).toMatchObject({
      Descriptor: { digest: (lines.at(-1) as { aux: { Digest: string } }).aux.Digest },
      Platforms: [{ os: "linux" }],
    });
    expect((await answer("GET", `/distribution/${closed.domain}/team/header:1/json`)).status).toBe(401);
    expect((await answer("GET", `/distribution/${registry.domain}/team/nothing:1/json`)).status).toBe(404);
  });

  test("commit takes a configuration, over it the instructions", async () => {
    const { json } = await answer("POST", "/containers/create", {
      body: JSON.stringify({ Image: "busybox", Env: ["A=1"] }),
      headers: { "Content-Type": "application/json" },
    });
    const body = {
      Env: ["A=2", "B=$A"],
      Cmd: ["echo", "x"],
      Hostname: "h",
      User: "",
      ExposedPorts: { "80/tcp": {} },
      Volumes: null,
    };
    const made = await answer(
      "POST",
      `/commit?container=${json.Id}&repo=made&tag=3&changes=${encodeURIComponent("USER 7\nLABEL a=b")}`,
      {
        body: JSON.stringify(body),
        headers: { "Content-Type": "application/json" },
      },
    );
    expect(made.status).toBe(201);
    const { Config } = (await answer("GET", "/images/made:3/json")).json;
    expect(Config).toMatchObject({ Cmd: ["echo", "x"], User: "7", Labels: { a: "b" }, ExposedPorts: { "80/tcp": {} } });
    expect(Config.Env.slice(0, 2)).toEqual(["A=2", "B=$A"]);
  });

  test("a load tells how it goes while the archive comes, unless that is not wanted", async () => {
    const lines = await linesOf(await ask("POST", "/images/load", { body: readFileSync(dockerArchive()) }));
    const loading = lines.filter(({ status }) => status === "Loading layer");
    expect(loading.length).toBeGreaterThanOrEqual(3);
    expect(loading[0]).toMatchObject({ id: expect.any(String), progressDetail: { current: 0, total: expect.any(Number) } });
    expect(lines.at(-1)).toEqual({ stream: expect.stringMatching(/^Loaded image: .*\n$/) });
    const quiet = await linesOf(await ask("POST", "/images/load?quiet=1", { body: readFileSync(dockerArchive()) }));
    expect(quiet).toEqual([lines.at(-1)!]);
    const cut = readFileSync(dockerArchive()).subarray(0, 100_000);
    expect((await linesOf(await ask("POST", "/images/load", { body: cut }))).at(-1)).toHaveProperty("errorDetail");
    expect((await ask("POST", "/images/load?quiet=1", { body: cut })).status).toBe(400);
  });

  test("a load that the client breaks off leaves nothing", async () => {
    const whole = new Uint8Array(gunzipSync(gzipSync(readFileSync(dockerArchive()))));
    const controller = new AbortController();
    const halves = new ReadableStream<Uint8Array>({
      async start(stream) {
        stream.enqueue(whole.subarray(0, whole.length >> 1));
        await Bun.sleep(50);
        controller.abort();
      },
    });
    const given = ask("POST", "/images/load", { body: halves, signal: controller.signal });
    await expect(given.then((made) => made.text())).rejects.toThrow();
    expect(await engine.ok(["images", "-q"])).toBe((await idOf("busybox")).slice(7, 19));
  });
});

const unavailable = dockerUnavailable();
if (unavailable) skipLoudly(`images next to dockerd: ${unavailable}`);

test.skipIf(unavailable !== null)(
  "the same archive here and in dockerd: inspect, list and history say the same",
  async () => {
    const dockerd = await startDocker();
    try {
      const here = new CommandLine([dockerd.cli], { env: { DOCKER_HOST: `unix://${engine.run}/docker.sock` } });
      const both = async (args: string[]) => [await here.ok(args), await dockerd.client.ok(args)] as const;
      const [loaded, theirs] = await both(["load", "-i", dockerArchive()]);
      expect(loaded).toBe(theirs);
      const name = /Loaded image: (\S+)/.exec(loaded)![1]!;
      const images = (await both(["image", "inspect", name])).map((text) => JSON.parse(text)[0]);
      // Sizes: ours are of tars, theirs of files; where the layers lie; when it got its name; what Go has no word for is null
      for (const image of images) {
        for (const field of ["Size", "VirtualSize", "GraphDriver", "Metadata"]) {
          expect(image[field]).toBeDefined();
          delete image[field];
        }
      }
      expect(images[0]).toEqual(images[1]);
      const [ours, other] = await both([
        "images",
        "--digests",
        "--no-trunc",
        "--format",
        "{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}} {{.CreatedAt}}",
        name,
      ]);
      expect(ours).toBe(other);
      const [history, history2] = await both([
        "history",
        "--no-trunc",
        "--format",
        "{{.ID}} {{.CreatedAt}} {{.CreatedBy}} {{.Comment}}",
        name,
      ]);
      expect(history).toBe(history2);
    } finally {
      await dockerd.stop();
    }
  },
  120_000,
);

test("nothing is left", () => engine.expectClean());
