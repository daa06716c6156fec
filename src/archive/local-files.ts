/** Tars of the caller's own files, by path: what whoever copies between here and a container sends and unpacks. */
import { close, O, open } from "../sys/index.ts";
import { fileTar } from "./tree-tar.ts";
import { Untar, type UntarOptions } from "./untar.ts";

/** The file at a path, a last link not followed, under another name. A part of the tar comes when it is asked for. */
export function* packPath(path: string, name: string): Generator<Buffer> {
  const fd = open(path, O.O_PATH | O.O_NOFOLLOW);
  try {
    yield* fileTar(fd, Buffer.from(name, "utf8").toString("latin1"), { ids: null });
  } finally {
    close(fd);
  }
}

/** Unpacks into a directory that is there; `push` takes the tar in pieces, `end` says that it was whole, `close` comes in any case. */
export function unpackInto(directory: string, options: UntarOptions) {
  const fd = open(directory, O.O_PATH | O.O_DIRECTORY);
  const untar = new Untar(fd, options);
  return {
    push: (chunk: Uint8Array): void => untar.push(chunk),
    end: (): void => untar.end(),
    close: (): void => {
      untar.close();
      close(fd);
    },
  };
}
