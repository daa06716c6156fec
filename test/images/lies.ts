/** What registries can lie about, each lie with the error that must come of it. */
import { type Answer, type HostileRegistry, types } from "../kit/hostile.ts";
import { type ImageParts, imageOf, tarOf } from "./archives.ts";

const base = tarOf({ etc: { type: "dir" }, "etc/base": "base" });
const top = tarOf({ "etc/top": Buffer.alloc(100_000, "top") });
/** What they lie about. */
export const image = imageOf([base, top]);
export const gzip = (data: Uint8Array): Uint8Array => Bun.gzipSync(new Uint8Array(data));

type Made = ReturnType<HostileRegistry["image"]>;
export interface Lie {
  readonly what: string;
  readonly code: string;
  /** Beside registry and repository, which every error names. */
  readonly says: RegExp;
  /** Mebibytes that it may take to find out; 16 where it is not said. */
  readonly most?: number;
  /** Puts it into a repository; returns the name to pull where that is not tag 1. */
  readonly make: (registry: HostileRegistry, repository: string) => string | undefined;
}

/** Of an honest image, the answer for one blob is another. */
const instead = (pick: (made: Made) => string, answer: (body: Buffer) => Answer | ((range: string | null) => Answer)) => {
  return (registry: HostileRegistry, repository: string): undefined => {
    const path = `${repository}/${pick(registry.image(repository, image))}`;
    const right = registry.answers.get(path) as Answer;
    registry.answers.set(path, answer(Buffer.from(right.body as Uint8Array)));
  };
};
const secondLayer = ({ layers }: Made): string => `blobs/${layers[1]!.digest}`;
const configuration = ({ config }: Made): string => `blobs/${config.digest}`;
export const LAYER_2 = /:1, layer 2 of 2 \(sha256:[0-9a-f]{64}\)/;

const flipped = (data: Buffer, at: number): Buffer => {
  const changed = Buffer.from(data);
  changed[at]! ^= 0x40;
  return changed;
};

/** Of the honest manifest, this is told instead. */
const told = (change: (manifest: { config: Made["config"]; layers: Made["layers"] }) => Record<string, unknown>, of = image) => {
  return (registry: HostileRegistry, repository: string): undefined => void registry.image(repository, of, gzip, change);
};
const packed = (pack: (layer: Buffer, position: number) => Uint8Array, of: ImageParts = image) => {
  return (registry: HostileRegistry, repository: string): undefined => void registry.image(repository, of, pack);
};
const answered = (answer: Answer) => {
  return (registry: HostileRegistry, repository: string): undefined =>
    void registry.answers.set(`${repository}/manifests/1`, answer);
};
const second = (layers: Made["layers"], change: Record<string, unknown>) => [layers[0]!, { ...layers[1]!, ...change }];

/** An index around an index around ... a manifest. */
const nested = (depth: number, change: Record<string, unknown> = {}) => {
  return (registry: HostileRegistry, repository: string): undefined => {
    let inner: Record<string, unknown> = registry.image(repository, image).manifest;
    for (let at = 0; at < depth; at += 1) {
      const index = { schemaVersion: 2, mediaType: types.index, manifests: [{ ...inner, ...change }] };
      inner = registry.document(repository, at === depth - 1 ? "1" : null, index);
    }
  };
};

function* zeros(mebibytes: number): Generator<Uint8Array> {
  for (let at = 0; at < mebibytes; at += 1) yield new Uint8Array(1 << 20);
}
const bombTar = (bytes: number): Buffer => Buffer.from(tarOf({ zeros: new Uint8Array(bytes) }));
const deep = `${"[".repeat(500_000)}${"]".repeat(500_000)}`;
const json = { "Content-Type": types.manifest };

export const lies: readonly Lie[] = [
  // digests
  {
    ...{ what: "a blob of other bytes", code: "digest_mismatch", says: LAYER_2 },
    make: instead(secondLayer, () => ({ body: gzip(tarOf({ "etc/top": Buffer.alloc(100_000, "pot") })) })),
  },
  {
    ...{ what: "a blob with a flipped bit", code: "compressed_data_invalid", says: LAYER_2 },
    make: instead(secondLayer, (body) => ({ body: flipped(body, body.length - 6) })),
  },
  {
    ...{ what: "a configuration with a flipped bit", code: "digest_mismatch", says: /:1, configuration sha256:/ },
    make: instead(configuration, (body) => ({ body: flipped(body, 40) })),
  },
  {
    ...{ what: "a manifest that is not the one of its digest", code: "digest_mismatch", says: /manifest sha256:0000/ },
    make: (registry, repository) => {
      const { manifest } = registry.image(repository, image);
      const wanted = `sha256:${"0".repeat(64)}`;
      registry.answers.set(
        `${repository}/manifests/${wanted}`,
        registry.answers.get(`${repository}/manifests/${manifest.digest}`)!,
      );
      return `${registry.domain}/${repository}@${wanted}`;
    },
  },
  {
    ...{ what: "a Docker-Content-Digest of something else", code: "digest_mismatch", says: /manifest 1/ },
    make: answered({ headers: { ...json, "Docker-Content-Digest": `sha256:${"1".repeat(64)}` }, body: "{}" }),
  },
  {
    ...{ what: "another tar than the configuration names", code: "digest_mismatch", says: LAYER_2 },
    make: packed(gzip, { ...image, layers: [base, tarOf({ "etc/top": "other" })] }),
  },
  {
    ...{ what: "more layers than the configuration names", code: "manifest_invalid", says: /names 2 layers, its manifest 3/ },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: [...layers, layers[0]] })),
  },
  // sizes
  {
    ...{ what: "a layer that is larger than its manifest says", code: "registry_answer_invalid", says: LAYER_2 },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: second(layers, { size: layers[1]!.size - 10 }) })),
  },
  {
    ...{ what: "a layer that is smaller than its manifest says", code: "registry_answer_invalid", says: LAYER_2 },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: second(layers, { size: layers[1]!.size + 10 }) })),
  },
  {
    ...{ what: "a layer without a length that goes on and on", code: "registry_answer_invalid", says: LAYER_2 },
    make: instead(secondLayer, () => ({ body: () => zeros(200) })),
  },
  {
    ...{ what: "a layer of size 0", code: "registry_answer_invalid", says: LAYER_2 },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: second(layers, { size: 0 }) })),
  },
  {
    ...{ what: "a range of other bytes", code: "registry_answer_invalid", says: /layer 2 of 2/ },
    make: instead(secondLayer, (body) => (range) => {
      if (range === null) return { body: () => slowly(body.subarray(0, 50)), length: body.length };
      const headers = { "Content-Range": `bytes 0-${body.length - 1}/${body.length}` };
      return { status: 206, headers, body };
    }),
  },
  {
    ...{
      what: "a configuration of 100 MB, said",
      code: "image_config_invalid",
      says: /configuration sha256:.* has 104857600 bytes/,
    },
    make: told(({ config, layers }) => ({ config: { ...config, size: 100 << 20 }, layers })),
  },
  {
    ...{ what: "a configuration of 100 MB, not said", code: "registry_answer_invalid", says: /blob sha256:/ },
    make: instead(configuration, () => ({ body: () => zeros(100) })),
  },
  {
    ...{ what: "a size that is no number", code: "manifest_invalid", says: /layers\[1\]: a descriptor has no size/ },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: second(layers, { size: "12" }) })),
  },
  {
    ...{
      what: "a manifest of another size than its index says",
      code: "digest_mismatch",
      says: /:1, manifest sha256:.* expected/,
    },
    make: nested(1, { size: 5 }),
  },
  // documents
  {
    ...{ what: "a manifest of 100 MB, said", code: "registry_answer_invalid", says: /manifest 1: .* more than 4 MiB/ },
    make: answered({ headers: json, body: () => zeros(100), length: 100 << 20 }),
  },
  {
    ...{ what: "a manifest of 100 MB, not said", code: "registry_answer_invalid", says: /manifest 1: .* more than 4 MiB/ },
    make: answered({ headers: json, body: () => zeros(100) }),
  },
  {
    ...{ what: "a manifest that is cut off", code: "registry_unreachable", says: /manifest 1/ },
    make: answered({ headers: json, body: '{"schemaVersion":2', length: 1000 }),
  },
  {
    ...{ what: "a manifest that is no JSON", code: "manifest_invalid", says: /:1, manifest sha256:.* is not JSON/ },
    make: answered({ headers: json, body: "<html>hello" }),
  },
  {
    ...{ what: "a manifest nested half a million deep", code: "manifest_invalid", says: /:1, manifest sha256:/ },
    make: answered({ headers: json, body: `{"a":${deep}}` }),
  },
  {
    ...{ what: "a configuration nested half a million deep", code: "image_config_invalid", says: /:1, configuration .* deep/ },
    make: packed(gzip, { ...image, config: Buffer.from(image.config.toString().replace("{", `{"a":${deep},`)) }),
  },
  {
    ...{ what: "a configuration that is no UTF-8", code: "image_config_invalid", says: /:1, configuration sha256:.*UTF-8/ },
    make: packed(gzip, { ...image, config: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) }),
  },
  {
    ...{ what: "a thousand and one layers", code: "manifest_invalid", says: /it has 1001 layers; the limit is 1000/ },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: Array.from({ length: 1001 }, () => layers[0]) })),
  },
  {
    ...{ what: "an index that leads to itself", code: "digest_mismatch", says: /manifest sha256:/ },
    make: (registry, repository) => {
      const inner = registry.image(repository, image).manifest;
      const outer = { schemaVersion: 2, mediaType: types.index, manifests: [{ ...inner, mediaType: types.index }] };
      registry.document(repository, "1", outer);
      registry.answers.set(`${repository}/manifests/${inner.digest}`, registry.answers.get(`${repository}/manifests/1`)!);
      return undefined;
    },
  },
  {
    what: "indexes nested ten deep",
    code: "manifest_invalid",
    says: /:1: its indexes are nested more than 8 deep/,
    make: nested(10),
  },
  {
    ...{ what: "an empty index", code: "platform_not_found", says: /:1 has no image for linux.*it has: none/ },
    make: (registry, repository) =>
      void registry.document(repository, "1", { schemaVersion: 2, mediaType: types.index, manifests: [] }),
  },
  {
    ...{ what: "an index and a manifest at once", code: "manifest_invalid", says: /at once/ },
    make: told((manifest) => ({ ...manifest, manifests: [] })),
  },
  // types
  {
    ...{
      what: "a manifest of an unknown type",
      code: "manifest_unsupported",
      says: /:1, manifest sha256:.* is of type text\/html/,
    },
    make: answered({ headers: { "Content-Type": "text/html" }, body: "{}" }),
  },
  {
    ...{ what: "a layer of an unknown type", code: "manifest_unsupported", says: /layer sha256:.*: the type a\/b is not known/ },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: second(layers, { mediaType: "a/b" }) })),
  },
  {
    ...{ what: "an encrypted layer", code: "manifest_unsupported", says: /tar\+gzip\+encrypted is not known/ },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: second(layers, { mediaType: `${types.layer}+gzip+encrypted` }) })),
  },
  {
    ...{ what: "an artifact", code: "manifest_unsupported", says: /is no image: its configuration is of type application\/x/ },
    make: told(({ config, layers }) => ({ config: { ...config, mediaType: "application/x" }, layers })),
  },
  {
    ...{ what: "schema 1", code: "manifest_unsupported", says: /schema 1/ },
    make: answered({
      headers: { "Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws" },
      body: '{"schemaVersion":1}',
    }),
  },
  {
    ...{ what: "a digest of another algorithm", code: "digest_invalid", says: /layers\[1\]/ },
    make: told(({ layers, ...rest }) => ({ ...rest, layers: second(layers, { digest: `md5:${"0".repeat(32)}` }) })),
  },
  {
    ...{ what: "an image of another operating system", code: "image_config_invalid", says: /"windows" cannot run here/ },
    make: packed(gzip, imageOf([base, top], { os: "windows" })),
  },
  // layers
  {
    ...{ what: "a gzip bomb", code: "decompression_limit", says: /layer 1 of 1 .*100 times/ },
    make: packed(gzip, imageOf([bombTar(32 << 20)])),
  },
  {
    ...{ what: "a zstd bomb", code: "decompression_limit", says: /layer 1 of 1 .*100 times/ },
    make: packed((layer) => Bun.zstdCompressSync(new Uint8Array(layer)), imageOf([bombTar(32 << 20)])),
  },
  {
    ...{ what: "a layer over the limit", code: "layer_too_large", says: /layer 1 of 1 .*67108864 bytes/, most: 80 },
    make: packed((layer) => layer, imageOf([bombTar(70 << 20)])),
  },
  {
    ...{ what: "a layer that leads out", code: "layer_invalid", says: /layer 1 of 1 .*"a\/..\/..\/x"/ },
    make: packed(gzip, imageOf([tarOf({ "a/../../x": "evil" })])),
  },
  {
    ...{ what: "a layer whose hard link leads nowhere", code: "layer_invalid", says: /:1, layer 1 of 1: .*etc\/shadow/ },
    make: packed(gzip, imageOf([tarOf({ a: { type: "link", link: "/etc/shadow" } })])),
  },
  {
    ...{ what: "a layer that is no tar", code: "layer_invalid", says: /layer 1 of 1/ },
    make: packed(gzip, imageOf([Buffer.alloc(2000, "not a tar at all")])),
  },
  {
    ...{ what: "a layer that the registry does not have", code: "blob_unknown", says: LAYER_2 },
    make: instead(secondLayer, () => ({ status: 404 })),
  },
];

/** The end of the connection comes well after the bytes: a client may lose what it has not read when that breaks. */
async function* slowly(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
  await Bun.sleep(500);
}
