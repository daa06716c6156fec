/**
 * A token server for Debian's docker-registry with `auth: token`: it knows its users and signs tokens (JWT, ES256) with a key whose
 * certificate the registry is given. Source: distribution/docs/spec/auth/token.md, jwt.md, oauth.md.
 */
import { createPrivateKey, sign, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TokenServerOptions {
  readonly users: Readonly<Record<string, string>>;
  /** What a user may do with any repository. Default: everything; nobody may pull. */
  readonly allowed?: (user: string, action: string) => boolean;
  /** Has no GET, as some servers that only know OAuth2. */
  readonly onlyPost?: boolean;
}

/** One request, as the server understood it. */
export interface TokenRequest {
  readonly method: string;
  readonly user: string;
  readonly scopes: readonly string[];
  /** Of OAuth2. */
  readonly grant: string | null;
}

const ISSUER = "onggi-test";
const SERVICE = "registry.test";

const base64url = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

export class TokenServer {
  readonly requests: TokenRequest[] = [];
  /** Seconds by which the next tokens have ended when they are issued. Each token takes one away. */
  readonly stale: number[] = [];
  /** Answers for the next requests, in place of tokens. */
  readonly refusals: Response[] = [];
  readonly #options: TokenServerOptions;
  readonly #path = mkdtempSync(join(tmpdir(), "onggi-tokens-"));
  readonly #server: Bun.Server<undefined>;
  readonly #refreshTokens = new Map<string, string>();

  constructor(options: TokenServerOptions) {
    this.#options = options;
    const keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", this.#file("key")];
    const { exitCode, stderr } = Bun.spawnSync(
      ["openssl", "req", "-x509", ...keys, "-out", this.bundle, "-days", "2", "-subj", "/CN=onggi tokens"],
      { stderr: "pipe" },
    );
    if (exitCode !== 0) throw new Error(`openssl: ${stderr.toString()}`);
    this.#server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => this.#answer(request) });
  }

  /** Lines for the registry's configuration. */
  get config(): string {
    const realm = `http://127.0.0.1:${this.#server.port}/token`;
    return `auth: {token: {realm: "${realm}", service: ${SERVICE}, issuer: ${ISSUER}, rootcertbundle: ${this.bundle}}}\n`;
  }

  get bundle(): string {
    return this.#file("crt");
  }

  async close(): Promise<void> {
    await this.#server.stop(true);
    rmSync(this.#path, { recursive: true, force: true });
  }

  #file(name: string): string {
    return join(this.#path, name);
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname !== "/token") return new Response("", { status: 404 });
    const asked = request.method === "POST" ? await this.#post(request) : this.#get(request, url);
    if (asked instanceof Response) return asked;
    this.requests.push(asked);
    const refusal = this.refusals.shift();
    if (refusal) return refusal;
    const offline = asked.grant === "offline" || url.searchParams.get("offline_token") === "true";
    const token = this.#token(asked);
    const refresh = offline && asked.user !== "" ? { refresh_token: this.#refreshTokenOf(asked.user) } : {};
    return Response.json({ token, access_token: token, expires_in: 300, ...refresh });
  }

  /** Who asks by Basic; nobody is somebody too. */
  #get(request: Request, url: URL): TokenRequest | Response {
    if (this.#options.onlyPost) return new Response("", { status: 405 });
    const basic = /^Basic (.*)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    const [user = "", password = ""] = basic ? Buffer.from(basic, "base64").toString("utf8").split(/:(.*)/s) : [];
    if (basic && this.#options.users[user] !== password) return new Response("", { status: 401 });
    return { method: "GET", user, scopes: url.searchParams.getAll("scope"), grant: null };
  }

  async #post(request: Request): Promise<TokenRequest | Response> {
    const fields = new URLSearchParams(await request.text());
    const grant = fields.get("grant_type");
    const scopes = (fields.get("scope") ?? "").split(" ").filter((scope) => scope !== "");
    const wrong = Response.json({ error: "invalid_grant" }, { status: 400 });
    if (fields.get("service") !== SERVICE || !fields.get("client_id")) return wrong;
    if (grant === "refresh_token") {
      const user = this.#refreshTokens.get(fields.get("refresh_token") ?? "");
      return user === undefined ? wrong : { method: "POST", user, scopes, grant };
    }
    const user = fields.get("username") ?? "";
    if (grant !== "password" || this.#options.users[user] !== fields.get("password")) return wrong;
    return { method: "POST", user, scopes, grant: fields.get("access_type") === "offline" ? "offline" : grant };
  }

  #refreshTokenOf(user: string): string {
    const token = `refresh-${user}-${crypto.randomUUID()}`;
    this.#refreshTokens.set(token, user);
    return token;
  }

  #token({ user, scopes }: TokenRequest): string {
    const may = this.#options.allowed ?? ((who: string, action: string) => who !== "" || action === "pull");
    const access = scopes.map((scope) => {
      const [type = "", name = "", actions = ""] = scope.split(":");
      return { type, name, actions: actions.split(",").filter((action) => may(user, action)) };
    });
    const now = Math.floor(Date.now() / 1000);
    const stale = this.stale.shift();
    const certificate = new X509Certificate(readFileSync(this.bundle));
    const header = { typ: "JWT", alg: "ES256", x5c: [certificate.raw.toString("base64")] };
    const claims = {
      iss: ISSUER,
      sub: user,
      aud: SERVICE,
      iat: now - 3600,
      nbf: now - 3600,
      exp: stale === undefined ? now + 300 : now - stale,
      jti: crypto.randomUUID(),
      access,
    };
    const signed = `${base64url(header)}.${base64url(claims)}`;
    const key = createPrivateKey(readFileSync(this.#file("key")));
    const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  }
}
