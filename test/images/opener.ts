/** A process to be killed: opens the database of images, which brings it to the present schema, and says when it begins and is done. */
import { ImageDatabase } from "../../src/images/database.ts";

process.stdout.write("opening\n");
new ImageDatabase(process.argv[2]!).close();
process.stdout.write("opened\n");
