/** What others make of layers: GNU tar of one, umoci of several. Both run as root and keep everything a layer says. */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { imageOf, manifestOf, refName } from "./archives.ts";
import { run } from "./harness.ts";
import { snapshot } from "./snapshot.ts";

export type Tree = Record<string, string>;
export type Reference = "tar" | "umoci";

/** An image of these layers as an OCI layout, its name "x". */
export const writeLayout = (path: string, layers: readonly Buffer[]): void => {
  const blobs: Record<string, Uint8Array | string> = {};
  const manifest = manifestOf(blobs, imageOf(layers), (layer) => layer, refName("x"));
  blobs["index.json"] = JSON.stringify({ schemaVersion: 2, manifests: [manifest] });
  blobs["oci-layout"] = '{"imageLayoutVersion":"1.0.0"}';
  for (const [name, data] of Object.entries(blobs)) {
    fs.mkdirSync(dirname(join(path, name)), { recursive: true });
    fs.writeFileSync(join(path, name), data);
  }
};

const withEmpty = <T>(scratch: string, work: (path: string) => T): T => {
  const path = fs.mkdtempSync(join(scratch, "reference-"));
  try {
    return work(path);
  } finally {
    fs.rmSync(path, { recursive: true });
  }
};

/** What GNU tar extracts. Throws with its words when it complains. */
export const byTar = (layer: Uint8Array, scratch: string): Tree =>
  withEmpty(scratch, (path) => {
    fs.mkdirSync(join(path, "root"));
    fs.writeFileSync(join(path, "layer.tar"), layer);
    const options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-p"];
    run("tar", ...options, "-C", join(path, "root"), "-xf", join(path, "layer.tar"));
    return snapshot(join(path, "root"));
  });

/** What umoci unpacks into a plain directory. Throws with its words when it complains. */
export const byUmoci = (layers: readonly Buffer[], scratch: string): Tree =>
  withEmpty(scratch, (path) => {
    writeLayout(join(path, "layout"), layers);
    run("umoci", "raw", "unpack", "--image", `${join(path, "layout")}:x`, join(path, "root"));
    return snapshot(join(path, "root"));
  });

export const referenceTree = (by: Reference, layers: readonly Buffer[], scratch: string): Tree =>
  by === "tar" ? byTar(layers[0]!, scratch) : byUmoci(layers, scratch);
