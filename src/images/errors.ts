/** The conditions of the images noun. All carry a stable code; sub-classes exist where a caller distinguishes them. */
import { OnggiError } from "../lib/errors.ts";
import { display } from "./bytes.ts";

/** Nothing in the store goes by that name, id or prefix. */
export class ImageNotFound extends OnggiError {
  constructor(reference: string) {
    super("image_not_found", `no such image: ${reference}; "onggi images" lists what is there`);
  }
}

/** A prefix that more than one image's id begins with. */
export class ImageAmbiguous extends OnggiError {
  constructor(reference: string, ids: readonly string[]) {
    super("image_ambiguous", `image id prefix "${reference}" is ambiguous: ${ids.join(", ")}; give more digits`);
  }
}

/** Containers need the image, or it has more names than the one asked for. */
export class ImageInUse extends OnggiError {
  constructor(message: string) {
    super("image_in_use", message);
  }
}

/** A tar that cannot be a layer: malformed, truncated or hostile. `name` is a byte string. */
export class LayerInvalid extends OnggiError {
  constructor(name: string, offset: number, why: string) {
    super("layer_invalid", `tar entry "${display(name)}" at offset ${offset}: ${why}`);
  }
}
