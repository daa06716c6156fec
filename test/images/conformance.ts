/**
 * What every form of an image has to make of layers: cases, each with whose extraction is right. Layers are written by hand, so
 * that they can say what no file system holds and no tar program writes.
 */

import { attributes } from "./conformance-attributes.ts";
import type { Case } from "./conformance-case.ts";
import { dir, file, gone, hardLink, layer, node, opaque, symlink } from "./entries.ts";
import type { Reference } from "./references.ts";

const both: readonly Reference[] = ["tar", "umoci"];
const umoci: readonly Reference[] = ["umoci"];
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const name255 = "n".repeat(255);
const path4095 = `${`${"p".repeat(255)}/`.repeat(15)}${"q".repeat(255)}`;
const deep = (letter: string): string[] =>
  numbers(12).map((i) =>
    Array(i + 1)
      .fill(letter.repeat(250))
      .join("/"),
  );

const names: readonly Case[] = [
  {
    name: "names of all bytes, of 255 bytes, and with a meaning to shells and tars",
    by: both,
    layers: [
      layer(
        ...numbers(255)
          .map((i) => String.fromCharCode(i + 1))
          .filter((byte) => byte !== "/" && byte !== ".")
          .map((byte) => file(`${byte}`)),
        ...[
          "...",
          "-rf",
          "a\\b",
          "tab\there",
          " ",
          "\xff\xfe\x80",
          "\xc3\xbc",
          "u\xcc\x88",
          "a=b",
          "%41",
          ".w",
          ".wh",
          "a.wh.b",
        ].map((name) => file(name)),
        file(name255),
        dir(`d${name255.slice(1)}`),
        file(`d${name255.slice(1)}/${name255}`),
      ),
    ],
  },
  {
    name: "a path of 4,095 bytes and link targets of 4,095 bytes",
    by: ["tar"],
    untimed: [".", ...numbers(15).map((i) => path4095.slice(0, 256 * i + 255))],
    layers: [
      layer(
        file(path4095, "down here"),
        symlink("short", "x"),
        ...[99, 100, 101, 255, 256, 448, 449, 511, 512, 513, 1023, 1024, 4032, 4094, 4095].map((length) =>
          symlink(`to-${length}`, "t".repeat(length)),
        ),
      ),
    ],
  },
  {
    name: "a tree deeper than a path may be long, by a symbolic link",
    by: ["tar"],
    // GNU tar sets a directory's time before it follows the link into it.
    untimed: [deep("a").at(-1)!],
    layers: [
      layer(
        ...deep("a").map((path) => dir(path)),
        symlink("s", deep("a").at(-1)!),
        ...deep("b").map((path) => dir(`s/${path}`)),
        file(`s/${deep("b").at(-1)}/bottom`),
        hardLink(`s/${deep("b").at(-1)}/again`, `s/${deep("b").at(-1)}/bottom`),
      ),
    ],
  },
  {
    name: "entries without their directories",
    by: both,
    untimed: [".", "a", "a/b", "c"],
    layers: [layer(file("a/b/x"), symlink("c/y", "z"))],
  },
  {
    name: "paths with dots, double slashes and a leading slash",
    by: ["tar"],
    untimed: [".", "a", "a/b"],
    layers: [layer(file("./a//b/./x"), file("/a/y"), hardLink("./a/z", ".//a/y"))],
  },
  {
    name: "repeated entries: the last one counts",
    by: umoci,
    layers: [
      layer(
        dir("d", { mode: 0o700 }),
        file("d/x", "1"),
        dir("d", { mode: 0o750, uid: 3 }),
        file("f", "1"),
        file("f", "22", { mode: 0o600 }),
        symlink("f2", "d"),
        file("f2", "now a file"),
        file("g", "g"),
        hardLink("h", "g"),
        file("g", "another"),
        dir("e"),
        file("e/x"),
        file("e", "no directory any more"),
      ),
    ],
  },
  {
    name: "paths through symbolic links never lead out",
    by: umoci,
    untimed: [".", "etc", "up", "up/x"],
    layers: [
      layer(
        symlink("a", "/etc"),
        file("a/passwd", "of the image"),
        symlink("b", "../../../up"),
        file("b/x/y", "inside"),
        dir("t"),
        symlink("t/c", "../a"),
        file("t/c/shadow", "s"),
        hardLink("twice", "t/c/passwd"),
      ),
    ],
  },
];

const stacked: readonly Case[] = [
  {
    name: "whiteouts of everything there is, before and after what takes its place",
    by: umoci,
    layers: [
      layer(
        ...["a", "b", "c", "d"].flatMap((name) => [dir(name), file(`${name}/x`), dir(`${name}/s`), file(`${name}/s/y`)]),
        file("f"),
        hardLink("f2", "f"),
        symlink("l", "a"),
        node("fifo", "p"),
        file("kept"),
      ),
      layer(
        gone("a"),
        gone("b"),
        file("b", "a file now"),
        file("c", "a file now"),
        gone("c"),
        gone("d"),
        dir("d", { mode: 0o711 }),
        file("d/new"),
        gone("f"),
        gone("l"),
        symlink("l", "kept"),
        gone("p"),
        gone("not-there"),
        gone("not/there"),
        gone("kept/x"),
      ),
    ],
  },
  {
    name: "opaque directories, with their mark first, last and alone",
    by: umoci,
    untimed: ["b/s"],
    layers: [
      layer(
        ...["a", "b", "c"].flatMap((name) => [dir(name), file(`${name}/x`), dir(`${name}/s`), file(`${name}/s/y`)]),
        file("f"),
      ),
      layer(
        dir("a"),
        opaque("a"),
        file("a/n"),
        dir("a/s", { mode: 0o700 }),
        dir("b"),
        file("b/n"),
        dir("b/s"),
        file("b/s/m"),
        opaque("b"),
        dir("c", { mode: 0o700 }),
        opaque("c"),
        opaque("nowhere"),
      ),
      layer(dir("a"), file("a/x", "back")),
    ],
  },
  { name: "a whole tree hidden", by: umoci, layers: [layer(file("a"), dir("d"), file("d/x")), layer(opaque(""), file("b"))] },
  {
    name: "every kind of file over every other",
    by: umoci,
    layers: [0, 1].map((shift) => {
      const make = [
        (name: string) => [dir(name), file(`${name}/${shift}`)],
        (name: string) => [file(name, `${shift}`)],
        (name: string) => [symlink(name, `to-${shift}`)],
        (name: string) => [node("fifo", name)],
        (name: string) => [node("char", name, { major: 1, minor: 3 })],
      ];
      return layer(...numbers(25).flatMap((i) => make[shift === 0 ? Math.floor(i / 5) : i % 5]!(`over-${i}`)));
    }),
  },
  {
    name: "hard links: to lower layers, to what is deleted, to symbolic links, of links",
    by: umoci,
    layers: [
      layer(
        file("low", "low", { mode: 0o640, uid: 9 }),
        file("doomed"),
        dir("d"),
        file("d/x"),
        symlink("s", "low"),
        symlink("t", "d"),
      ),
      layer(
        hardLink("up", "low"),
        hardLink("saved", "doomed"),
        gone("doomed"),
        hardLink("s2", "s"),
        hardLink("d/again", "d/x"),
        hardLink("through", "t/x"),
        opaque("d"),
      ),
      layer(
        hardLink("up2", "up"),
        gone("up"),
        file("low", "replaced"),
        hardLink("s3", "s2"),
        node("fifo", "p"),
        hardLink("p2", "p"),
      ),
    ],
  },
  {
    name: "a directory deleted and filled again, layer by layer",
    by: umoci,
    layers: numbers(9).map((i) =>
      i % 2 === 0
        ? layer(dir("d", { mtime: i }), file(`d/${i}`), dir("d/s"), file(`d/s/${i}`))
        : layer(i % 4 === 1 ? gone("d") : gone("d/s")),
    ),
  },
  {
    name: "an image of 120 layers",
    by: umoci,
    layers: numbers(120).map((i) =>
      layer(
        dir("d", { mtime: i }),
        file(`d/f${i}`),
        file("d/last", `${i}`),
        file(`own-${i % 7}`, `${i}`),
        ...(i % 3 === 2 ? [gone(`d/f${i - 1}`)] : []),
        ...(i % 40 === 39 ? [opaque("d")] : []),
      ),
    ),
  },
];

export const cases: readonly Case[] = [...attributes, ...names, ...stacked];
