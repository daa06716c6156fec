import { expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import fc from "fast-check";
import type { Digest } from "../../oci/digest.ts";
import { parseReference } from "../../oci/reference.ts";
import { isSignedBy, parsePrivateKey, parsePublicKey, signWith } from "./keys.ts";
import { bundleSignatures, payloadOf, simpleSignature } from "./payload.ts";
import { identityProblem } from "./verify.ts";

/** By cosign 2.5, "generate-key-pair" with the password "pw". It signs nothing but this test. */
const COSIGN_KEY = `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiI4SGlqR1JVQkxTZ0hveERvOWNCVk9QTTRNU1ZhZzBx
V2dHZ0tQN3NaOHdNPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiIyOEg5T0t5b3dJUVJWbnJsVnB2blJ0OXVPRW0wUGpBUiJ9LCJj
aXBoZXJ0ZXh0Ijoiam5GbjMvb2tvWWI1YkdVYVYwemZwNEd5YjNiOTBCV2dRanZ2
VTgrNjdYVHRpQ0lJeGNqUHBRNlpJOVFtcE50TVlJTFhrTVRWajZvWjg4V3E4MnMr
Y0hNNXVDWnlCcjlxNGtsQ3JvZUNVRzRXMVBLaFpoSEFEZmgyV09CRm42SHNIMjR2
SjVTQmFJc3ltRm45bVQyYWYzdWgxcGhGckFOSk5DZStTWmNwK0ZXUC90cE9ERDRT
alhSK1k4V0FRWlVrSGErMERkZTNCOEJka0E9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----`;
const COSIGN_PUB = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElGaKJxmU96gWZFanThxYUkc2S+wE
BquGNQ9It2RP4uAbqjYF1+D7btTZNJ/7Yf9CYCd3BnTemXYCWJE7KBcUuA==
-----END PUBLIC KEY-----`;
/** By cosign 3.1, "sign" with that key. */
const COSIGN_BUNDLE =
  '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"No2bnZPvtHy+Kc6b/vcLroLkHNUh7vWRrir+t+Hb6dw="}},"dsseEnvelope":{"payload":"eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJzdWJqZWN0IjpbeyJkaWdlc3QiOnsic2hhMjU2IjoiNWYxMmU4MWY2MzNmMjljZGFjNThhNjg2MmNiNGIzZThjNGI0NjUyMzgzZmI1ZTUyNmI3NWRlNDFiYjcxZDFhZiJ9LCJhbm5vdGF0aW9ucyI6e319XSwicHJlZGljYXRlVHlwZSI6Imh0dHBzOi8vc2lnc3RvcmUuZGV2L2Nvc2lnbi9zaWduL3YxIiwicHJlZGljYXRlIjp7fX0=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MEQCIE4712uJxiEX08IcriYnC1LSliFqxn/3YV9sSc0ui62MAiBDC1FOTaZ8SEtVFk5AbR6cNdrEi3/pBWiPCGF3rQkr8w=="}]}}';
const SIGNED = "sha256:5f12e81f633f29cdac58a6862cb4b3e8c4b4652383fb5e526b75de41bb71d1af";

const pem = (key: KeyObject): string => key.export({ type: key.type === "public" ? "spki" : "pkcs8", format: "pem" }).toString();
const digest: Digest = `sha256:${"ab".repeat(32)}`;

test("cosign's encrypted key opens with its password alone, and signs what its public key verifies", async () => {
  const key = await parsePrivateKey(COSIGN_KEY, "pw", "cosign.key");
  const data = Buffer.from("data");
  const signature = signWith(key, data);
  const publicKey = parsePublicKey(COSIGN_PUB, "cosign.pub");
  expect(isSignedBy(publicKey, data, signature)).toBe(true);
  expect(isSignedBy(publicKey, Buffer.from("date"), signature)).toBe(false);
  await expect(parsePrivateKey(COSIGN_KEY, "other", "cosign.key")).rejects.toMatchObject({ code: "key_password" });
  await expect(parsePrivateKey(COSIGN_KEY, undefined, "cosign.key")).rejects.toMatchObject({ code: "key_password" });
  await expect(parsePrivateKey(COSIGN_KEY.replace("eyJ", "eyK"), "pw", "k")).rejects.toMatchObject({ code: "key_invalid" });
});

test("cosign's bundle is verified, and says what it signs; changed in any byte it does not", () => {
  const publicKey = parsePublicKey(COSIGN_PUB, "cosign.pub");
  const [found] = bundleSignatures(Buffer.from(COSIGN_BUNDLE));
  expect(isSignedBy(publicKey, found!.signed, found!.signature)).toBe(true);
  expect(found!.claims()).toEqual({ digests: [SIGNED], reference: null });
  const envelope = JSON.parse(COSIGN_BUNDLE);
  const payload = Buffer.from(envelope.dsseEnvelope.payload, "base64");
  fc.assert(
    fc.property(fc.nat(payload.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const changed = Buffer.from(payload);
      changed[at]! ^= bits;
      envelope.dsseEnvelope.payload = changed.toString("base64");
      const [other] = bundleSignatures(Buffer.from(JSON.stringify(envelope)));
      expect(isSignedBy(publicKey, other!.signed, other!.signature)).toBe(false);
    }),
  );
});

test("keys of the kinds that are signed with; others are refused by name", async () => {
  const pairs = [
    generateKeyPairSync("ec", { namedCurve: "P-256" }),
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
    generateKeyPairSync("ed25519"),
  ];
  const data = Buffer.from(payloadOf("reg.example/app", digest));
  for (const { publicKey, privateKey } of pairs) {
    const signature = signWith(await parsePrivateKey(pem(privateKey), undefined, "key"), data);
    for (const other of pairs)
      expect(isSignedBy(parsePublicKey(pem(other.publicKey), "pub"), data, signature)).toBe(other.publicKey === publicKey);
  }
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  const curve = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).publicKey;
  for (const key of [small, curve, generateKeyPairSync("x25519").publicKey])
    expect(() => parsePublicKey(pem(key), "pub")).toThrow(expect.objectContaining({ code: "key_invalid" }));
  // a private key is none that others may be given
  expect(() => parsePublicKey(pem(pairs[0]!.privateKey), "pub")).toThrow("no public key");
});

test("a payload says what it was made to say", () => {
  const payload = Buffer.from(payloadOf("reg.example/app", digest, { "build.id": "7" }));
  expect(JSON.parse(payload.toString()).optional).toEqual({ "build.id": "7" });
  expect(simpleSignature(payload, "").claims()).toEqual({ digests: [digest], reference: "reg.example/app" });
});

test("garbage is no signature of anybody's, and never more than an error", () => {
  const publicKey = parsePublicKey(COSIGN_PUB, "cosign.pub");
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json().map((text) => new TextEncoder().encode(text)),
  );
  const critical = fc.record({ critical: fc.record({ type: fc.anything(), image: fc.anything(), identity: fc.anything() }) });
  const near = critical.map((value) => Buffer.from(JSON.stringify(value) ?? "null"));
  const bundle = fc
    .record({
      verificationMaterial: fc.anything(),
      dsseEnvelope: fc.record({ payload: fc.anything(), payloadType: fc.anything() }),
    })
    .map((value) => Buffer.from(JSON.stringify(value) ?? "null"));
  fc.assert(
    fc.property(fc.oneof(bytes, near, bundle), fc.base64String(), (data, signature) => {
      expect(isSignedBy(publicKey, data, Buffer.from(signature, "base64"))).toBe(false);
      for (const read of [
        () => simpleSignature(data, signature).claims(),
        () => bundleSignatures(data).map((each) => each.claims()),
      ]) {
        try {
          read();
        } catch (error) {
          expect(error).toMatchObject({ code: "signature_invalid" });
        }
      }
    }),
  );
});

test("the name in a signature", () => {
  const asked = parseReference("reg.example/team/app:1");
  const fits = (claimed: string | null, demand: Parameters<typeof identityProblem>[2], by = asked): boolean =>
    identityProblem(claimed, by, demand) === null;
  expect(fits("reg.example/team/app", { identity: "repository" })).toBe(true);
  expect(fits("reg.example/team/app:2", { identity: "repository" })).toBe(true);
  expect(fits("reg.example/team/other", { identity: "repository" })).toBe(false);
  expect(fits("reg.example/team/app:1", { identity: "exact" })).toBe(true);
  expect(fits("reg.example/team/app:2", { identity: "exact" })).toBe(false);
  expect(fits("reg.example/team/app", { identity: "exact" })).toBe(false);
  expect(fits("reg.example/team/app:2", { identity: "exact" }, { ...asked, tag: null, digest })).toBe(true);
  expect(fits("up.example/app:2", { identity: "repository", signedAs: "up.example/app" })).toBe(true);
  expect(fits("reg.example/team/app", { identity: "repository", signedAs: "up.example/app" })).toBe(false);
  expect(fits(null, { identity: "repository" })).toBe(false);
  expect(fits(null, { identity: "any" })).toBe(true);
  expect(fits("NO NAME", { identity: "repository" })).toBe(false);
  // what cosign calls Docker Hub
  expect(fits("index.docker.io/library/busybox", { identity: "repository" }, parseReference("busybox"))).toBe(true);
});
