/** Names in the protos: none is a reserved word, or a member of generated code, in a language that porters generate for. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, it } from "node:test";
import type { DescEnum, DescField, DescFile, DescMessage, DescMethod } from "@bufbuild/protobuf";
import { BUILD_ID, FAILURE_CODE, NAME, WORKER_ID } from "@muster/common/text/name-forms";
import * as protocol from "@muster/protocol";
import { ROOT } from "../support/repo/checks.ts";
import { type Case, RESERVED_WORDS, type ReservedWords } from "./reserved-words.ts";

const FILES = Object.values(protocol).filter(
  (each): each is DescFile =>
    typeof each === "object" && "kind" in each && String(each.kind) === "file" && "proto" in each,
);
const OURS = FILES.filter(({ proto }) => proto.package.startsWith("muster."));
const MESSAGES = OURS.flatMap(({ messages }) => messages).flatMap(withNested);
const ENUMS = [...OURS.flatMap(({ enums }) => enums), ...MESSAGES.flatMap(({ nestedEnums }) => nestedEnums)];
const SERVICES = OURS.flatMap(({ services }) => services);

/** The same in every file: code of one package is generated into one package of each language. */
const LANGUAGE_OPTIONS = {
  csharpNamespace: "Muster.V1",
  goPackage: "muster/v1;musterv1",
  javaMultipleFiles: true,
  javaPackage: "io.muster.v1",
  phpNamespace: "Muster\\V1",
  rubyPackage: "Muster::V1",
  swiftPrefix: "MusterV1",
};

describe("names in the protos", () => {
  for (const [language, words] of Object.entries(RESERVED_WORDS)) {
    it(`are free in ${language}`, () => {
      assert.deepEqual(clashes(words), []);
    });
  }

  it("do not make two accessors of one name", () => {
    assert.deepEqual(MESSAGES.flatMap(accessorClashes), []);
  });

  it("have packages and namespaces where each language expects them", () => {
    for (const { proto } of OURS) {
      const {
        $typeName: _,
        $unknown: __,
        javaOuterClassname,
        ...options
      } = proto.options ?? assert.fail(proto.name);
      assert.deepEqual(
        Object.fromEntries(Object.entries(options).filter(([name]) => name in LANGUAGE_OPTIONS)),
        LANGUAGE_OPTIONS,
        proto.name,
      );
      assert.equal(javaOuterClassname, outerClassOf(proto.name), proto.name);
    }
  });

  it("are found when they are reserved", () => {
    const { cpp, csharp, java, python, rust } = RESERVED_WORDS;
    assert.ok(cpp && csharp && java && python && rust);
    assert.equal(fieldClash("class", python), true);
    assert.equal(fieldClash("serialized_size", java), true);
    assert.equal(fieldClash("type", rust), true);
    assert.equal(fieldClash("types", csharp), true);
    assert.equal(fieldClash("max", cpp), true);
    assert.equal(rpcClash("Connect", rust), true);
    assert.equal(fieldClash("task_type", rust), false);
    assert.equal(OURS.length, 31);
    assert.ok(MESSAGES.length > 80 && ENUMS.length >= 5 && SERVICES.length === 6);
  });
});

/** `TaskServiceProto` of `muster/v1/task_service.proto`: a message of the file must not have its name. */
function outerClassOf(file: string): string {
  const words = basename(file, ".proto").split("_");
  return `${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("")}Proto`;
}

function withNested(message: DescMessage): DescMessage[] {
  return [message, ...message.nestedMessages.flatMap(withNested)];
}

function clashes(words: ReservedWords): string[] {
  const accepted = new Set(Object.keys(words.accepted ?? {}));
  return [
    ...OURS.flatMap(({ proto }) => proto.package.split("."))
      .filter((part) => has(words.keywords, part))
      .map((part) => `package part ${part}`),
    ...[...MESSAGES, ...ENUMS, ...SERVICES]
      .filter(({ name }) => typeClash(name, words))
      .map(({ typeName }) => typeName),
    ...ENUMS.flatMap(({ values, typeName, sharedPrefix }) =>
      values
        .filter(({ name }) => valueClash(name, sharedPrefix, words))
        .map(({ name }) => `${typeName}.${name}`),
    ),
    ...MESSAGES.flatMap(({ fields, oneofs, typeName }) =>
      [...fields, ...oneofs]
        .filter(({ name }) => !accepted.has(name) && fieldClash(name, words))
        .map(({ name }) => `${typeName}.${name}`),
    ),
    ...SERVICES.flatMap(({ methods, typeName }) =>
      methods.filter(({ name }) => rpcClash(name, words)).map(({ name }) => `${typeName}.${name}`),
    ),
  ];
}

function typeClash(name: DescMessage["name"], { keywords, typeNames }: ReservedWords): boolean {
  return has(keywords, name) || has(typeNames, name);
}

/** Generators give an enum value whole, and some without the prefix that it shares with the others. */
function valueClash(name: string, prefix: DescEnum["sharedPrefix"], words: ReservedWords): boolean {
  const short = name.toLowerCase().slice(prefix?.length ?? 0);
  return [name, short.toUpperCase(), inCase(short, "camel"), inCase(short, "pascal")].some((form) =>
    has(words.keywords, form),
  );
}

function fieldClash(name: DescField["name"], words: ReservedWords): boolean {
  const form = inCase(name, words.fields);
  return (!words.keywordsNameMembers && has(words.keywords, form)) || has(words.messageMembers, form);
}

function rpcClash(name: DescMethod["name"], words: ReservedWords): boolean {
  const form = inCase(name.replace(/(?<=.)[A-Z]/g, "_$&").toLowerCase(), words.rpcs);
  return (!words.keywordsNameMembers && has(words.keywords, form)) || has(words.clientMembers, form);
}

/**
 * Accessors that generators make beside a field's own: `foo_count` and `foo_list` of a repeated `foo` (Java, Objective-C),
 * `foo_bytes` of text (Java), `has_foo`, `set_foo`, `clear_foo`, `mutable_foo`, `release_foo` (C++), `get_foo` (Go);
 * and in C# a property cannot have the name of its class.
 */
function accessorClashes({ fields, name, typeName }: DescMessage): string[] {
  const names = new Set(fields.map((field) => field.name));
  const made = fields.flatMap((field) => [
    ...["has", "set", "clear", "mutable", "release", "get"].map((verb) => `${verb}_${field.name}`),
    ...(field.fieldKind === "list" ? [`${field.name}_count`, `${field.name}_list`] : []),
    ...(field.fieldKind === "map" ? [`${field.name}_count`, `${field.name}_map`] : []),
    ...(field.fieldKind === "scalar" && field.scalar === 9 ? [`${field.name}_bytes`] : []),
    ...(field.fieldKind === "enum" ? [`${field.name}_value`] : []),
  ]);
  const own = fields.filter((field) => inCase(field.name, "pascal") === name);
  return [...made.filter((each) => names.has(each)), ...own.map((field) => field.name)].map(
    (each) => `${typeName}.${each}`,
  );
}

function has(words: string | undefined, name: string): boolean {
  return (words ?? "").split(/\s+/).includes(name);
}

function inCase(snake: string, wanted: Case): string {
  if (wanted === "snake") return snake;
  const camel = snake.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return wanted === "camel" ? camel : `${camel.charAt(0).toUpperCase()}${camel.slice(1)}`;
}

describe("forms of names in the protos' comments", () => {
  it("are those that the code checks: failure code, task type, worker id, build, launch id", async () => {
    const protos = await Promise.all(
      ["failure", "task", "worker_service"].map((name) =>
        readFile(join(ROOT, "proto", "muster", "v1", `${name}.proto`), "utf8"),
      ),
    );
    const given = protos.join("").match(/(?<=`)\[A-Z[^`]*(?=`)/g);
    const checked = [FAILURE_CODE, NAME, WORKER_ID, BUILD_ID, NAME].map(({ source }) => source.slice(1, -1));
    assert.deepEqual(given, checked);
  });
});
