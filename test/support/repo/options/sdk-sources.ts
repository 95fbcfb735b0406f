/** The declarations of the worker SDK, as TypeScript parses them. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  getTextOfJSDocComment,
  isClassDeclaration,
  isExportDeclaration,
  isFunctionDeclaration,
  isIdentifier,
  isImportDeclaration,
  isInterfaceDeclaration,
  isJSDoc,
  isNamedExports,
  isNamedImports,
  isStringLiteral,
  isTypeAliasDeclaration,
  type Node,
  type SourceFile,
  SyntaxKind,
} from "typescript/unstable/ast";
import { API } from "typescript/unstable/sync";
import { ROOT } from "../checks.ts";

const WORKER_SDK = join(ROOT, "worker-sdk");

/** A declaration with the file that has it. */
export interface Place {
  readonly path: string;
  readonly name: string;
  readonly node: Node;
}

/** What a file declares, and what it has from others. */
interface FileNames {
  readonly own: ReadonlyMap<string, readonly Node[]>;
  readonly from: ReadonlyMap<string, { readonly path: string; readonly name: string }>;
  readonly exported: readonly string[];
}

/** The comment of a declaration: its text before the tags, and the tags by name. */
export interface DocComment {
  readonly text: string;
  readonly tags: ReadonlyMap<string, string>;
}

/** Reads the declarations of a package by name, through imports and exports. Dispose it: it holds a process. */
export class SdkSources {
  readonly #api = new API({ cwd: ROOT });
  readonly #file: (path: string) => SourceFile | undefined;
  readonly #names = new Map<string, FileNames>();

  readonly #folder: string;

  constructor(folder = WORKER_SDK) {
    this.#folder = folder;
    const config = join(folder, "tsconfig.json");
    const project = this.#api.updateSnapshot({ openProjects: [config] }).getProject(config);
    if (project === undefined) throw new Error(`${config} is no project`);
    this.#file = (path) => project.program.getSourceFile(path);
  }

  /** The exported declarations of each entry of the package, by the name with which it is imported. */
  entries(): { readonly entry: string; readonly exported: readonly Place[] }[] {
    const manifest: { name: string; exports: Record<string, { "muster-source": string }> } = JSON.parse(
      readFileSync(join(this.#folder, "package.json"), "utf8"),
    );
    return Object.entries(manifest.exports).map(([entry, { "muster-source": source }]) => {
      const path = join(this.#folder, source);
      const exported = this.#read(path).exported.flatMap((name) => this.find(path, name));
      return { entry: `${manifest.name}${entry.slice(1)}`, exported };
    });
  }

  /** The declarations that a name has in a file; several for the overloads of a function. */
  find(path: string, name: string): readonly Place[] {
    const { own, from } = this.#read(path);
    const here = own.get(name);
    if (here !== undefined) return here.map((node) => ({ path, name, node }));
    const there = from.get(name);
    return there === undefined ? [] : this.find(there.path, there.name);
  }

  /** The text of a node as it is written. */
  text(path: string, node: Node): string {
    const file = this.#file(path);
    return file === undefined ? "" : node.getText(file);
  }

  [Symbol.dispose](): void {
    this.#api.close();
  }

  #read(path: string): FileNames {
    const known = this.#names.get(path);
    if (known !== undefined) return known;
    const own = new Map<string, Node[]>();
    const from = new Map<string, { path: string; name: string }>();
    const exported: string[] = [];
    for (const statement of this.#file(path)?.statements ?? []) {
      const links = linksOf(statement);
      for (const { here, there, module } of links) {
        const file = module.startsWith(".") ? join(dirname(path), module) : undefined;
        if (file !== undefined) from.set(here, { path: file, name: there });
        if (isExportDeclaration(statement)) exported.push(here);
      }
      if (!isNamed(statement) || statement.name === undefined) continue;
      const { text } = statement.name;
      own.set(text, [...(own.get(text) ?? []), statement]);
      if (statement.modifiers?.some(({ kind }) => kind === SyntaxKind.ExportKeyword)) exported.push(text);
    }
    const names = { own, from, exported: [...new Set(exported)] };
    this.#names.set(path, names);
    return names;
  }
}

/** The comment of a declaration; empty when it has none. */
export function docComment(node: Node): DocComment {
  const doc = node.jsDoc?.findLast(isJSDoc);
  const tags = new Map(
    doc?.tags?.map((tag) => [tag.tagName.text, oneLine(getTextOfJSDocComment(tag.comment))]),
  );
  return { text: oneLine(getTextOfJSDocComment(doc?.comment)), tags };
}

function oneLine(text = ""): string {
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}

function isNamed(node: Node) {
  return (
    isInterfaceDeclaration(node) ||
    isTypeAliasDeclaration(node) ||
    isClassDeclaration(node) ||
    isFunctionDeclaration(node)
  );
}

/** The names that an import or export statement brings from another file. */
function linksOf(statement: Node): { here: string; there: string; module: string }[] {
  const link = isImportDeclaration(statement) || isExportDeclaration(statement) ? statement : undefined;
  if (link?.moduleSpecifier === undefined || !isStringLiteral(link.moduleSpecifier)) return [];
  const module = link.moduleSpecifier.text;
  const list = isExportDeclaration(link) ? link.exportClause : link.importClause?.namedBindings;
  if (list === undefined || !(isNamedExports(list) || isNamedImports(list))) return [];
  return list.elements.flatMap(({ name, propertyName = name }) =>
    isIdentifier(name) && isIdentifier(propertyName)
      ? [{ here: name.text, there: propertyName.text, module }]
      : [],
  );
}
