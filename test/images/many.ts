/** A process of its own that takes an image of very many entries in and says what that cost: FORM STORE ENTRIES PER_DIRECTORY. */

import { archiveEnd, encodeHeader } from "../../src/archive/tar-encode.ts";
import { openImageStore } from "../../src/images/index.ts";
import type { MountForm } from "../../src/images/mount.ts";

const [form, root, entries, perDirectory] = process.argv.slice(2) as [MountForm, string, string, string];

/** Headers by patching one: digits of the name, and what they change in the checksum. */
function* tar(): Generator<Uint8Array> {
  const pattern = encodeHeader({ type: "file", name: "d0000000/f0000000", mtime: 1_600_000_000 });
  const sum = Number.parseInt(pattern.toString("latin1", 148, 154), 8);
  let batch: Buffer[] = [];
  for (let i = 0; i < Number(entries); i++) {
    const folder = `${Math.floor(i / Number(perDirectory))}`.padStart(7, "0");
    if (i % Number(perDirectory) === 0) batch.push(encodeHeader({ type: "dir", name: `d${folder}`, mtime: 1 }));
    const header = Buffer.from(pattern);
    const digits = `${folder}${`${i}`.padStart(7, "0")}`;
    let more = 0;
    for (let digit = 0; digit < 14; digit++) {
      const code = digits.charCodeAt(digit);
      header[digit < 7 ? 1 + digit : 3 + digit] = code;
      more += code - 0x30;
    }
    header.write((sum + more).toString(8).padStart(6, "0"), 148, "latin1");
    batch.push(header);
    if (batch.length >= 2000) {
      yield Buffer.concat(batch);
      batch = [];
    }
  }
  yield Buffer.concat([...batch, archiveEnd()]);
}

const chunks = tar();
const stream = new ReadableStream<Uint8Array>({
  pull(controller) {
    const { done, value } = chunks.next();
    if (done) controller.close();
    else controller.enqueue(value);
  },
});
const store = openImageStore(root, { form });
const start = performance.now();
const image = await store.importRootfs(stream, {});
const imported = performance.now();
const mounted = store.mount(image.id);
const milliseconds = { import: Math.round(imported - start), mount: Math.round(performance.now() - imported) };
const peakMiB = Math.round(process.resourceUsage().maxRSS / 1024);
const path = mounted.kind === "fd" ? `/proc/${process.pid}/fd/${mounted.fd}/` : `${mounted.lowers[0]}/`;
const found = Bun.spawnSync(["find", path, "-type", "f", "-name", "f*[0-9]", "-printf", "."], { stderr: "inherit" }).stdout
  .length;
const last = `${Number(entries) - 1}`.padStart(7, "0");
const folder = `${Math.floor((Number(entries) - 1) / Number(perDirectory))}`.padStart(7, "0");
const { success: named } = Bun.spawnSync(["test", "-f", `${path}d${folder}/f${last}`]);
await store.remove(image.id, { inUse: new Set() });
store.close();
process.stdout.write(JSON.stringify({ found, named, milliseconds, peakMiB }));
