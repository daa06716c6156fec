/** Entries whose attributes would make overlayfs hide or refuse them, were they taken over from a layer. */
import { dir, type Extra, file } from "./entries.ts";

const marks = (...pairs: readonly (readonly [name: string, value: string])[]): Extra => ({
  xattrs: pairs.map(([name, value]) => ({ name, value: Buffer.from(value, "latin1") })),
});

/** All of them files and directories of a container's root that it can list and read. */
export const overlayAttributes: readonly Buffer[] = [
  file("metacopy", "data", marks(["trusted.overlay.metacopy", ""], ["user.kept", "1"])),
  file("redirected", "data", marks(["trusted.overlay.redirect", "/d"])),
  dir("moved", marks(["trusted.overlay.redirect", "/opaque"])),
  file("moved/in"),
  dir("opaque", marks(["trusted.overlay.opaque", "y"], ["trusted.other", "kept"])),
  file("opaque/in"),
  dir("hiding", marks(["trusted.overlay.opaque", "x"])),
  file("hiding/whiteout", "", marks(["trusted.overlay.whiteout", "y"])),
  dir("older", marks(["trusted.overlay.whiteouts", "y"])),
  file("older/whiteout", "", marks(["trusted.overlay.whiteout", "y"])),
  file("escaped", "data", marks(["trusted.overlay.overlay.metacopy", ""])),
  file("rest", "data", marks(["trusted.overlay.origin", "o"], ["trusted.overlay.impure", "y"], ["trusted.overlay.nlink", "L+1"])),
  dir("users", marks(["user.overlay.opaque", "y"], ["user.overlay.origin", "o"])),
  file("users/in", "data", marks(["user.overlay.metacopy", ""])),
];
