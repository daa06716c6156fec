/** `bun bench/expand.ts gzip|zstd FILE...`: decompresses files and throws the bytes away; what any pull has to do at least. */
import { createReadStream } from "node:fs";
import { createGunzip, createZstdDecompress } from "node:zlib";

const [form, ...files] = process.argv.slice(2);
for (const file of files) {
  const options = { chunkSize: 1 << 20 };
  const expander = form === "gzip" ? createGunzip(options) : createZstdDecompress(options);
  createReadStream(file, { highWaterMark: 1 << 20 }).pipe(expander);
  for await (const _ of expander);
}
