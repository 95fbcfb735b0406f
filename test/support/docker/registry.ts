/** A registry of images with one image of one layer, on loopback: engines take HTTP for an answer there. */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

/** Bytes of the layer: random ones, which cannot be packed. */
const LAYER_BYTES = 4 * 1024 * 1024;

/** Who may pull from a registry that wants a login. */
export const ACCOUNT = { username: "puller", password: "the-password-of-the-registry" };

/** Has the image `worker:1`; every other one is unknown. */
export class TestRegistry {
  readonly #server: Server;
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifest: Buffer;
  readonly #layer: string;
  readonly #login: boolean;
  #held: (() => void)[] | undefined;

  private constructor(login: boolean) {
    this.#login = login;
    const tar = tarOf("blob", randomBytes(LAYER_BYTES));
    const layer = gzipSync(tar, { level: 0 });
    const config = Buffer.from(
      JSON.stringify({
        ...{ architecture: "amd64", os: "linux", config: { Cmd: ["true"] } },
        rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
      }),
    );
    this.#layer = digestOf(layer);
    for (const blob of [config, layer]) this.#blobs.set(digestOf(blob), blob);
    this.#manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: {
          ...{ mediaType: "application/vnd.docker.container.image.v1+json", size: config.length },
          digest: digestOf(config),
        },
        layers: [
          {
            ...{ mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", size: layer.length },
            digest: this.#layer,
          },
        ],
      }),
    );
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start({ login = false } = {}): Promise<TestRegistry> {
    const registry = new TestRegistry(login);
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  /** The first part of its images' names. */
  get name(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Sends half of the layer from now on. Answers what sends the rest. */
  hold(): () => void {
    const held: (() => void)[] = [];
    this.#held = held;
    return () => {
      this.#held = undefined;
      for (const send of held) send();
    };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer({ url = "", headers, method }: IncomingMessage, response: ServerResponse): void {
    const account = Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString("base64");
    if (this.#login && headers.authorization !== `Basic ${account}`) {
      response.writeHead(401, {
        "www-authenticate": 'Basic realm="test"',
        "content-type": "application/json",
      });
      response.end(
        JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: "authentication required" }] }),
      );
      return;
    }
    const [, kind, reference = ""] = /^\/v2\/worker\/(manifests|blobs)\/(.+)$/.exec(url) ?? [];
    const isManifest = kind === "manifests" && (reference === "1" || reference === digestOf(this.#manifest));
    const body = isManifest ? this.#manifest : this.#blobs.get(reference);
    if (url === "/v2/") response.writeHead(200).end("{}");
    else if (body) this.#send(response, body, isManifest, reference, method === "HEAD");
    else {
      response.writeHead(404, { "content-type": "application/json" });
      response.end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }));
    }
  }

  #send(response: ServerResponse, body: Buffer, isManifest: boolean, digest: string, head: boolean): void {
    response.writeHead(200, {
      "content-type": isManifest ? MANIFEST : "application/octet-stream",
      "content-length": body.length,
      "docker-content-digest": digestOf(body),
    });
    if (head) response.end();
    else if (digest === this.#layer && this.#held) {
      response.write(body.subarray(0, body.length / 2));
      this.#held.push(() => response.end(body.subarray(body.length / 2)));
    } else response.end(body);
  }
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** An archive of one file. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        0ustar\u000000", 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const rest = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, rest, Buffer.alloc(1024)]);
}
