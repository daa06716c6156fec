/**
 * A file system in memory that things happen to, and the layer that says what has happened: what a build tool writes between two
 * moments of a container's root. The state at the end is what the layers have to give.
 */
import { createHash } from "node:crypto";
import { dir, file, gone, hardLink, layer, opaque, symlink } from "./entries.ts";
import type { Tree } from "./references.ts";

/** One inode; a file may have several names. */
type Node = { readonly kind: "dir" | "file" | "symlink"; mode: number; content: string };

export type Step =
  | { readonly do: "write" | "mkdir" | "remove"; readonly path: string }
  | { readonly do: "symlink" | "link" | "rename"; readonly path: string; readonly to: string }
  | { readonly do: "chmod"; readonly path: string; readonly mode: number };

/** How a layer says it; any choice gives the same tree. */
export interface Style {
  /** Whiteouts before everything else, or after it. */
  readonly whiteoutsFirst: boolean;
  /** A directory that took another's place is marked opaque, or has a whiteout for each name that is gone. */
  readonly opaque: boolean;
}

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const within = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);
const modeOf = ({ mode }: Node): { mode: number } => ({ mode });

export class Model {
  /** Every path but the root's. */
  #nodes = new Map<string, Node>();
  #writes = 0;

  /** Does what can be done; the rest is left alone, as a program that gets an error would. */
  do(step: Step): void {
    const there = this.#nodes.get(step.path);
    switch (step.do) {
      case "write":
        if (there?.kind === "file") there.content = `write ${++this.#writes}`;
        else if (!there) this.#put(step.path, { kind: "file", mode: 0o644, content: `write ${++this.#writes}` });
        break;
      case "mkdir":
        if (!there) this.#put(step.path, { kind: "dir", mode: 0o755, content: "" });
        break;
      case "symlink":
        if (!there) this.#put(step.path, { kind: "symlink", mode: 0o777, content: step.to });
        break;
      case "link":
        if (there && there.kind !== "dir" && !this.#nodes.has(step.to)) this.#put(step.to, there);
        break;
      case "chmod":
        if (there && there.kind !== "symlink") there.mode = step.mode;
        break;
      case "remove":
        this.#remove(step.path);
        break;
      case "rename":
        if (there && step.to !== step.path && !within(step.to, step.path) && !within(step.path, step.to))
          this.#rename(step.path, step.to);
    }
  }

  /** Does the steps and tells them as a layer. */
  layer(steps: readonly Step[], style: Style): Buffer {
    const before = new Map([...this.#nodes].map(([path, node]) => [path, { node, copy: { ...node } }]));
    for (const step of steps) this.do(step);
    const same = (path: string, node: Node): boolean => {
      const was = before.get(path);
      return was?.node === node && was.copy.mode === node.mode && was.copy.content === node.content;
    };
    // An inode that has changed has changed under all its names.
    const changed = [...this.#nodes].filter(([path, node]) => !same(path, node));
    const first = new Map<Node, string>();
    for (const [path, node] of this.#nodes)
      if (node.kind !== "dir" && same(path, node) && !first.has(node)) first.set(node, path);
    const told = new Set<string>();
    const parts: Buffer[] = [];
    const tellDirectories = (path: string): void => {
      if (path === "" || told.has(path)) return;
      tellDirectories(parentOf(path));
      told.add(path);
      parts.push(dir(path, modeOf(this.#nodes.get(path)!)));
    };
    const whiteouts: Buffer[] = [];
    const lost = [...before.keys()].filter((path) => !this.#nodes.has(path) && this.#isDirectory(parentOf(path)));
    for (const path of lost) {
      const parent = parentOf(path);
      const replaced = parent !== "" && before.get(parent)?.node !== this.#nodes.get(parent);
      whiteouts.push(replaced && style.opaque ? opaque(parent) : gone(path));
    }
    if (style.whiteoutsFirst) for (const path of lost) tellDirectories(parentOf(path));
    if (style.whiteoutsFirst) parts.push(...whiteouts);
    for (const [path, node] of changed.sort(([a], [b]) => (a < b ? -1 : 1))) {
      tellDirectories(node.kind === "dir" ? path : parentOf(path));
      const known = first.get(node);
      if (node.kind === "dir") continue;
      if (known !== undefined) parts.push(hardLink(path, known));
      else if (node.kind === "file") parts.push(file(path, node.content, modeOf(node)));
      else parts.push(symlink(path, node.content));
      first.set(node, known ?? path);
    }
    if (!style.whiteoutsFirst) {
      for (const path of lost) tellDirectories(parentOf(path));
      parts.push(...whiteouts);
    }
    return layer(...parts);
  }

  /** As `snapshot` tells it, times left out; hard links by the first of their names. */
  tree(): Tree {
    const tree: Tree = {};
    const names = new Map<Node, string[]>();
    const order = [...this.#nodes].sort(([a], [b]) => (a.split("/").join("\0") < b.split("/").join("\0") ? -1 : 1));
    for (const [path, node] of order) names.set(node, [...(names.get(node) ?? []), path]);
    for (const [path, node] of order) {
      const shared = names.get(node)!;
      const links = node.kind !== "dir" && shared.length > 1 ? [`${shared.length} links with ${shared[0]}`] : [];
      const hash = createHash("sha256").update(node.content).digest("hex").slice(0, 16);
      const content = { dir: [], file: [`${node.content.length} bytes ${hash}`], symlink: [`-> ${node.content}`] }[node.kind];
      tree[path] = [node.kind, node.mode.toString(8), ...content, ...links].join(" ");
    }
    return tree;
  }

  #isDirectory(path: string): boolean {
    return path === "" || this.#nodes.get(path)?.kind === "dir";
  }

  #put(path: string, node: Node): void {
    const parent = parentOf(path);
    if (parent !== "" && !this.#nodes.has(parent)) this.#put(parent, { kind: "dir", mode: 0o755, content: "" });
    if (this.#isDirectory(parent)) this.#nodes.set(path, node);
  }

  #remove(path: string): void {
    for (const name of [...this.#nodes.keys()]) if (name === path || within(name, path)) this.#nodes.delete(name);
  }

  #rename(from: string, to: string): void {
    if (!this.#isDirectory(parentOf(to))) return;
    this.#remove(to);
    for (const [name, node] of [...this.#nodes]) {
      if (name !== from && !within(name, from)) continue;
      this.#nodes.delete(name);
      // A directory with another name is another one: nothing of what was there before shows in it.
      this.#nodes.set(to + name.slice(from.length), node.kind === "dir" ? { ...node } : node);
    }
  }
}
