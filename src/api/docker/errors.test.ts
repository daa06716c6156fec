import { expect, test } from "bun:test";
import { OnggiError } from "../../lib/errors.ts";
import { failureOf, withoutAdvice } from "./errors.ts";

test("no advice to call a command of onggi's, and nothing else is lost", () => {
  for (const [said, told] of [
    ["no such snapshot: x; see onggi snapshot ls", "no such snapshot: x"],
    ['no such image: a:1; "onggi images" lists what is there', "no such image: a:1"],
    ['an image is mounted on /mnt already; "onggi image unmount /mnt" takes it away', "an image is mounted on /mnt already"],
    ["runtime x is not known; name others with onggi engine start --runtime NAME=PATH, or give a path", "runtime x is not known"],
    ["a: b; see onggi ps -a; c", "a: b; c"],
    [
      'no index.json: it is no archive. A root is imported with "onggi import x"',
      'no index.json: it is no archive. A root is imported with "docker import x"',
    ],
    ['install it, or with "onggi run --rm x", and try again', 'install it, or with "docker run --rm x", and try again'],
    ['refused (401); "onggi login reg" gives it a name', 'refused (401); "docker login reg" gives it a name'],
    ["onggi does not build images: load or pull what it makes", "onggi does not build images: load or pull what it makes"],
    ["what is no engine that onggi knows: x; y", "what is no engine that onggi knows: x; y"],
    ["schema version 9; this onggi knows up to 4", "schema version 9; this onggi knows up to 4"],
    ["container web is not running", "container web is not running"],
  ] as const)
    expect(withoutAdvice(said)).toBe(told);
});

test("errors of the engine are told so", () => {
  expect(failureOf(new OnggiError("snapshot_not_found", "no such snapshot: x; see onggi snapshot ls")).message).toBe(
    "no such snapshot: x",
  );
});
