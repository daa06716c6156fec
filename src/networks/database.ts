/**
 * Networks, endpoints and what running containers have of them: SQLite.
 *
 * What somebody was told is done is committed with `synchronous=FULL`. What a restart of the machine undoes anyway (that a container
 * has an address or a port), and all of a container that removes itself, survives the engine's death but not the machine's.
 */
import { Database } from "bun:sqlite";
import { NetworkError } from "./errors.ts";
import type { Attachment, Endpoint, Network, Publication, Published } from "./types.ts";

const SCHEMA_VERSION = 1;

/** What changed a database of the version before into this version. */
const steps: readonly string[] = [
  `
  CREATE TABLE networks (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- removed for everybody, but its link is still there
    removed INTEGER NOT NULL DEFAULT 0,
    data TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX networks_by_name ON networks (name) WHERE removed = 0;
  CREATE TABLE endpoints (
    network TEXT NOT NULL REFERENCES networks (id),
    container TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (container, network)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX endpoints_by_network ON endpoints (network);
  CREATE TABLE attachments (
    network TEXT NOT NULL,
    container TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (container, network),
    FOREIGN KEY (container, network) REFERENCES endpoints (container, network) ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  -- what each running container asked to publish, and what came of it
  CREATE TABLE publications (
    container TEXT PRIMARY KEY,
    requests TEXT NOT NULL,
    published TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`,
];

/** An endpoint as it is kept: its attachment has a row of its own. */
export type EndpointRecord = Omit<Endpoint, "attached" | "networkName"> & {
  /** Its container removes itself: nothing of it need survive the machine. */
  readonly transient: boolean;
};

export interface NetworkRecord extends Network {
  /** Families whose subnet its maker chose: only there may containers have fixed addresses. */
  readonly chosen: readonly (4 | 6)[];
}

export interface PublicationRecord {
  readonly container: string;
  readonly requests: readonly Publication[];
  readonly published: readonly Published[];
}

type Row = { readonly data: string };

export class NetworkDatabase {
  readonly #db: Database;
  #full = true;

  /** Opens or makes the database. @throws NetworkError network_failed for one that a newer onggi wrote, or that is damaged */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    try {
      this.#open(path);
    } catch (error) {
      this.#db.close();
      const code = (error as { code?: unknown }).code;
      if (typeof code !== "string" || !["SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"].includes(code)) throw error;
      throw new NetworkError(
        "network_failed",
        `${path} is damaged (${(error as Error).message}): put a copy of it in its place, or move it away and make the networks again`,
        { cause: error },
      );
    }
  }

  #open(path: string): void {
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = FULL");
    this.#db.run("PRAGMA foreign_keys = ON");
    const { user_version: version } = this.#db.query<{ user_version: number }, []>("PRAGMA user_version").get()!;
    if (version > SCHEMA_VERSION) {
      throw new NetworkError(
        "network_failed",
        `${path} was written by a newer onggi (schema ${version}, this one knows ${SCHEMA_VERSION}); use that version or another --root`,
      );
    }
    if (version === SCHEMA_VERSION) return;
    this.#db
      .transaction(() => {
        for (const step of steps.slice(version)) this.#db.run(step);
        this.#db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
      })
      .immediate();
  }

  /** All or nothing. `durable`: it survives a power cut once this returns. */
  #write(durable: boolean, work: () => void): void {
    if (durable !== this.#full) {
      this.#db.run(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`);
      this.#full = durable;
    }
    this.#db.transaction(work).immediate();
  }

  /** Those that are there, in the order in which they were made. */
  networks(): NetworkRecord[] {
    return this.#db
      .query<Row, []>("SELECT data FROM networks WHERE removed = 0 ORDER BY rowid")
      .all()
      .map(({ data }) => JSON.parse(data));
  }

  /** Those whose removal has not come to its end. */
  removedNetworks(): NetworkRecord[] {
    return this.#db
      .query<Row, []>("SELECT data FROM networks WHERE removed = 1")
      .all()
      .map(({ data }) => JSON.parse(data));
  }

  endpoints(): (EndpointRecord & { readonly attached: Attachment | null })[] {
    return this.#db
      .query<{ data: string; attached: string | null }, []>(
        `SELECT endpoints.data AS data, attachments.data AS attached
         FROM endpoints LEFT JOIN attachments USING (container, network)`,
      )
      .all()
      .map(({ data, attached }) => ({ ...JSON.parse(data), attached: attached === null ? null : JSON.parse(attached) }));
  }

  publications(): PublicationRecord[] {
    return this.#db
      .query<{ container: string; requests: string; published: string }, []>(
        "SELECT container, requests, published FROM publications",
      )
      .all()
      .map(({ container, requests, published }) => ({
        container,
        requests: JSON.parse(requests),
        published: JSON.parse(published),
      }));
  }

  /** Makes networks, or writes them anew. */
  putNetworks(networks: readonly NetworkRecord[]): void {
    this.#write(true, () => {
      const put = this.#db.query(
        "INSERT INTO networks (id, name, data) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data, removed = 0",
      );
      for (const network of networks) put.run(network.id, network.name, JSON.stringify(network));
    });
  }

  /** From here on nobody finds it; `dropNetwork` follows when its link is gone. */
  markRemoved(id: string): void {
    this.#write(true, () => {
      this.#db.query("UPDATE networks SET removed = 1 WHERE id = ?").run(id);
    });
  }

  /** Not one that has come again meanwhile, as an overlay network can. */
  dropNetwork(id: string): void {
    this.#write(false, () => {
      this.#db.query("DELETE FROM endpoints WHERE network = (SELECT id FROM networks WHERE id = ? AND removed = 1)").run(id);
      this.#db.query("DELETE FROM networks WHERE id = ? AND removed = 1").run(id);
    });
  }

  putEndpoint(endpoint: EndpointRecord): void {
    this.#write(!endpoint.transient, () => {
      this.#db
        .query("INSERT INTO endpoints (container, network, data) VALUES (?, ?, ?)")
        .run(endpoint.container, endpoint.network, JSON.stringify(endpoint));
    });
  }

  changeEndpoint(endpoint: EndpointRecord): void {
    this.#write(!endpoint.transient, () => {
      this.#db
        .query("UPDATE endpoints SET data = ? WHERE container = ? AND network = ?")
        .run(JSON.stringify(endpoint), endpoint.container, endpoint.network);
    });
  }

  dropEndpoints(endpoints: readonly EndpointRecord[]): void {
    if (endpoints.length === 0) return;
    this.#write(
      endpoints.some(({ transient }) => !transient),
      () => {
        const drop = this.#db.query("DELETE FROM endpoints WHERE container = ? AND network = ?");
        for (const { container, network } of endpoints) drop.run(container, network);
      },
    );
  }

  /** What a running container has now: attachments that are new, and all that is published. */
  putAttached(
    container: string,
    attachments: readonly { readonly network: string; readonly attachment: Attachment }[],
    publication: Omit<PublicationRecord, "container">,
  ): void {
    this.#write(false, () => {
      for (const { network, attachment } of attachments) {
        this.#db
          .query("INSERT OR REPLACE INTO attachments (container, network, data) VALUES (?, ?, ?)")
          .run(container, network, JSON.stringify(attachment));
      }
      this.#putPublication({ ...publication, container });
    });
  }

  /** All or none. */
  putPublications(publications: readonly PublicationRecord[]): void {
    this.#write(false, () => {
      for (const publication of publications) this.#putPublication(publication);
    });
  }

  #putPublication({ container, requests, published }: PublicationRecord): void {
    if (requests.length === 0) {
      this.#db.query("DELETE FROM publications WHERE container = ?").run(container);
      return;
    }
    this.#db
      .query("INSERT OR REPLACE INTO publications (container, requests, published) VALUES (?, ?, ?)")
      .run(container, JSON.stringify(requests), JSON.stringify(published));
  }

  /** A container, or one network of it if that is told, has nothing in the kernel any more. */
  dropAttached(container: string, network?: string): void {
    this.#write(false, () => {
      if (network !== undefined) {
        this.#db.query("DELETE FROM attachments WHERE container = ? AND network = ?").run(container, network);
        return;
      }
      this.#db.query("DELETE FROM attachments WHERE container = ?").run(container);
      this.#db.query("DELETE FROM publications WHERE container = ?").run(container);
    });
  }

  close(): void {
    this.#db.close();
  }
}
