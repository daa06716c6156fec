/** The conditions of the images noun. All carry a stable code; sub-classes exist where a caller distinguishes them. */
import { OnggiError } from "../lib/errors.ts";

export { LayerInvalid } from "../archive/errors.ts";

/** Nothing in the store goes by that name, id or prefix. */
export class ImageNotFound extends OnggiError {
  constructor(reference: string) {
    super("image_not_found", `no such image: ${reference}; "onggi images" lists what is there`);
  }
}

/** What goes by that name is for other platforms. By id it is that image and no other: a pull brings none. */
export class OtherPlatform extends OnggiError {
  constructor(reference: string, wanted: string, there: string, byId: boolean) {
    const advice = byId ? "name it by its name" : `"onggi pull --platform ${wanted}" brings that one`;
    super(
      byId ? "platform_not_found" : "image_not_found",
      `image ${reference} is here for ${there}, not for ${wanted}; ${advice}`,
    );
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
