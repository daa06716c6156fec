/** A process to be killed: loads an archive into a store again and again, under a new name each time, and says so. */
import { openImageStore } from "../../src/images/index.ts";

const [root, archive] = process.argv.slice(2);
const store = openImageStore(root!);
for (let i = 0; ; i++) {
  const [image] = await store.load(Bun.file(archive!).stream());
  store.tag(image!.id, `kept:${i}`);
  process.stdout.write(`kept:${i}\n`);
  await store.remove(image!.id, { force: true, inUse: new Set() });
  process.stdout.write("removed\n");
}
