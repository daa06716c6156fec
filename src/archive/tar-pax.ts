/** What extension headers say of an entry: PAX records, extended attributes, and the rules for a path. */
import { FieldError, paxNumber, paxTime } from "./tar-fields.ts";
import { MAX_NAME, MAX_PATH, type TarEntry, type Xattr } from "./tar-types.ts";

export type Pax = Map<string, string>;

const MAX_XATTR_VALUE = 65535;

/**
 * Path as in TarEntry.name. Throws FieldError for "..", NUL and what no file system takes.
 * An absolute name is taken relative to the root, as tar itself does.
 */
export const cleanPath = (path: string): string => {
  // The usual spellings first: "./usr/bin/env", "usr/bin/".
  let clean = path.startsWith("./") ? path.slice(2) : path;
  if (clean.endsWith("/")) clean = clean.slice(0, -1);
  const first = clean.charCodeAt(0);
  if (first === 0x2f || first === 0x2e || clean.endsWith("/") || clean.includes("//") || clean.includes("/.")) {
    const parts = clean.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) throw new FieldError('".." in a path is refused');
    clean = parts.join("/");
  }
  if (clean.includes("\0")) throw new FieldError("NUL in a path");
  if (clean.length > MAX_PATH) throw new FieldError(`path is longer than ${MAX_PATH} bytes`);
  if (clean.length > MAX_NAME && clean.split("/").some((part) => part.length > MAX_NAME)) {
    throw new FieldError(`a name in the path is longer than ${MAX_NAME} bytes`);
  }
  return clean;
};

/** A later record replaces an earlier one, an empty one deletes it; GNU sparse 0.0 repeats two keys, which are gathered. */
export const setRecord = (pax: Pax, key: string, value: string): void => {
  if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
    const list = pax.get("GNU.sparse.map");
    pax.set("GNU.sparse.map", list ? `${list},${value}` : value);
  } else if (value === "" && !key.startsWith("SCHILY.xattr.") && !key.startsWith("LIBARCHIVE.xattr.")) {
    pax.delete(key);
  } else {
    pax.set(key, value);
  }
};

/** Applies records to an entry. Throws FieldError. */
export const applyPax = (entry: TarEntry, pax: Pax): void => {
  const xattrs: Xattr[] = [];
  for (const [key, value] of pax) {
    switch (key) {
      case "path":
        entry.name = value;
        break;
      case "linkpath":
        entry.link = value;
        break;
      case "size":
        entry.size = paxNumber(value, "size");
        break;
      case "uid":
        entry.uid = paxNumber(value, "uid");
        break;
      case "gid":
        entry.gid = paxNumber(value, "gid");
        break;
      case "mtime": {
        const time = paxTime(value);
        entry.mtime = time.seconds;
        entry.mtimeNs = time.nanoseconds;
        break;
      }
      case "SCHILY.devmajor":
        entry.major = paxNumber(value, "device major");
        break;
      case "SCHILY.devminor":
        entry.minor = paxNumber(value, "device minor");
        break;
      default:
        addXattr(xattrs, key, value);
    }
  }
  const sparseName = pax.get("GNU.sparse.name");
  if (sparseName !== undefined) entry.name = sparseName;
  if (xattrs.length > 0) entry.xattrs = xattrs;
};

const addXattr = (xattrs: Xattr[], key: string, value: string): void => {
  let name: string;
  let bytes: Uint8Array;
  if (key.startsWith("SCHILY.xattr.")) {
    name = key.slice("SCHILY.xattr.".length);
    bytes = Buffer.from(value, "latin1");
  } else if (key.startsWith("LIBARCHIVE.xattr.")) {
    const hex = /%([0-9A-Fa-f]{2})/g;
    name = key.slice("LIBARCHIVE.xattr.".length).replace(hex, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
    bytes = Buffer.from(value, "base64");
  } else {
    return;
  }
  if (name === "" || name.length > MAX_NAME || name.includes("\0"))
    throw new FieldError("extended attribute with an impossible name");
  if (bytes.length > MAX_XATTR_VALUE)
    throw new FieldError(`extended attribute of ${bytes.length} bytes; the limit is ${MAX_XATTR_VALUE}`);
  const same = xattrs.findIndex((attribute) => attribute.name === name);
  if (same >= 0) xattrs.splice(same, 1);
  xattrs.push({ name, value: bytes });
};
