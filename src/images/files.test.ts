import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { SequentialFile } from "./files.ts";

test("a file has every byte that was added, however data, zeros and pauses follow each other", async () => {
  const directory = fs.mkdtempSync(join(tmpdir(), "onggi-files-"));
  const chunk = fc.record({
    bytes: fc.constantFrom(1, 511, 4096, 65_536, 65_537, 200_000),
    fill: fc.constantFrom(0, 0, 7),
    pause: fc.boolean(),
  });
  let number = 0;
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 12 }), async (chunks) => {
        const path = join(directory, `${number++}`);
        const file = new SequentialFile(path);
        for (const { bytes, fill, pause } of chunks) {
          await file.add(new Uint8Array(bytes).fill(fill));
          // what was queued is written meanwhile
          if (pause) await new Promise((resolve) => setTimeout(resolve, 1));
        }
        await file.finish();
        const expected = Buffer.concat(chunks.map(({ bytes, fill }) => Buffer.alloc(bytes, fill)));
        expect(fs.readFileSync(path).equals(expected)).toBe(true);
        fs.rmSync(path);
      }),
      {
        numRuns: 60,
        examples: [
          [
            [
              { bytes: 65_536, fill: 0, pause: true },
              { bytes: 65_536, fill: 7, pause: false },
            ],
          ],
        ],
      },
    );
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}, 60_000);
