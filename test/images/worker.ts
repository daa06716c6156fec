/** A process to be killed: loads an archive, saves it, removes it and collects garbage, again and again, and says each step. */
import { join } from "node:path";
import { openImageStore } from "../../src/images/index.ts";

const [root, archive, scratch] = process.argv.slice(2);
const store = openImageStore(root!);
for (;;) {
  const [image] = await store.load(Bun.file(archive!).stream());
  process.stdout.write("loaded\n");
  await Promise.all([
    store.save([image!.id], { format: "docker-archive", path: join(scratch!, "saved.tar") }),
    store.collectGarbage(),
  ]);
  process.stdout.write("saved\n");
  await store.remove(image!.id, { force: true, inUse: new Set() });
  await store.collectGarbage();
  process.stdout.write("removed\n");
}
