/** Compares what a server answers with its OpenAPI description. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { ROOT } from "../repo/checks.ts";

/** An operation: method and path template, for example `GET /v1/tasks/{task}`. */
export type Operation = string;

interface Response {
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
  readonly headers?: Readonly<Record<string, unknown>>;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
}

interface Described {
  readonly parameters?: readonly Parameter[];
  readonly responses: Readonly<Record<string, Response>>;
}

/** The description that the scheduler serves. */
export const DESCRIPTION_FILE = join(ROOT, "scheduler/src/http/tasks/openapi.json");

/** Every answer that it is given has to be in the description. */
export class Description {
  readonly document: Readonly<Record<string, unknown>>;
  readonly #operations = new Map<Operation, Described>();
  readonly #seen = new Set<string>();
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });

  private constructor(document: Readonly<Record<string, unknown>>) {
    this.document = document;
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, "openapi");
    for (const [path, methods] of Object.entries(Object(document.paths)))
      for (const [method, described] of Object.entries(Object(methods)))
        this.#operations.set(`${method.toUpperCase()} ${path}`, described as Described);
  }

  static async read(): Promise<Description> {
    return new Description(JSON.parse(await readFile(DESCRIPTION_FILE, "utf8")));
  }

  /** Names of the parameters in the query, by operation. */
  parameters(): ReadonlyMap<Operation, readonly string[]> {
    return new Map(
      [...this.#operations].map(([operation, { parameters = [] }]) => [
        operation,
        parameters.filter((parameter) => parameter.in === "query").map(({ name }) => name),
      ]),
    );
  }

  /** Checks an answer; those to paths and methods that there are not are described nowhere. */
  check(method: string, path: string, status: number, headers: Headers, body: Uint8Array): void {
    const operation = [...this.#operations.keys()].find((each) => matches(each, method, path));
    if (operation === undefined) {
      assert.ok(
        status === 404 || status === 405 || status === 400,
        `${method} ${path} is not described: ${status}`,
      );
      return;
    }
    const described = this.#operations.get(operation)?.responses[status];
    assert.ok(described, `${operation} answered ${status}, which is not described: ${Buffer.from(body)}`);
    this.#seen.add(`${operation} ${status}`);
    const type = headers.get("content-type")?.split(";")[0] ?? "";
    const schema = described.content?.[type]?.schema ?? described.content?.["*/*"]?.schema;
    assert.ok(schema, `${operation} ${status} answered with ${type}, which is not described`);
    for (const name of headers.keys())
      if (/^(?:muster-|location|retry-after)/.test(name))
        assert.ok(described.headers?.[name], `${operation} ${status} has the header ${name}, not described`);
    if (described.content?.[type] === undefined || Object.keys(schema).length === 0 || method === "HEAD")
      return;
    const reference = "$ref" in schema ? { $ref: `openapi${String(schema.$ref)}` } : schema;
    const validate = this.#ajv.compile(reference);
    const value: unknown = JSON.parse(Buffer.from(body).toString());
    assert.ok(
      validate(value),
      `${operation} ${status}: ${this.#ajv.errorsText(validate.errors)}\n${Buffer.from(body)}`,
    );
  }

  /** Answers that are described and that no check has had. */
  unseen(): string[] {
    return [...this.#operations].flatMap(([operation, { responses }]) =>
      Object.keys(responses)
        .map((status) => `${operation} ${status}`)
        .filter((each) => !this.#seen.has(each)),
    );
  }
}

function matches(operation: Operation, method: string, path: string): boolean {
  const [name = "", template = ""] = operation.split(" ");
  if (name !== method && !(method === "HEAD" && name === "GET")) return false;
  const pattern = template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+");
  return new RegExp(`^${pattern}$`).test(path);
}
