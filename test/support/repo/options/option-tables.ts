/** The options of the worker SDK: each type that its callers write, with the options that it has. */
import {
  isArrayTypeNode,
  isClassDeclaration,
  isConstructorDeclaration,
  isConstructorTypeNode,
  isExpressionWithTypeArguments,
  isFunctionDeclaration,
  isFunctionTypeNode,
  isIdentifier,
  isInterfaceDeclaration,
  isIntersectionTypeNode,
  isMethodDeclaration,
  isMethodSignatureDeclaration,
  isParameterDeclaration,
  isPropertySignatureDeclaration,
  isTemplateLiteralTypeNode,
  isTupleTypeNode,
  isTypeAliasDeclaration,
  isTypeLiteralNode,
  isTypeOperatorNode,
  isTypeReferenceNode,
  isUnionTypeNode,
  type Node,
  type PropertySignatureDeclaration,
  SyntaxKind,
  type TypeNode,
} from "typescript/unstable/ast";
import { docComment, type Place, type SdkSources } from "./sdk-sources.ts";

/** An option of a table. */
export interface Option {
  /** With the options around it, for example `timeouts.runS`. */
  readonly name: string;
  readonly type: string;
  /** Undefined: it has to be given. */
  readonly default: string | undefined;
  readonly meaning: string;
}

/** The options of one type. */
export interface OptionTable {
  readonly name: string;
  /** The entry of the package that exports it, for example `@muster/worker/client`. */
  readonly entry: string;
  readonly meaning: string;
  readonly options: readonly Option[];
  /** Names of the types whose options it has, too. */
  readonly includes: readonly string[];
  /** Of a type without options: how it is written, for example as a union. */
  readonly written: string | undefined;
}

/** The tables, and what the comments lack. */
export interface OptionTables {
  readonly tables: readonly OptionTable[];
  readonly faults: readonly string[];
}

/** Names that end in a unit need not say it in their text. */
const UNIT_IN_NAME = /(?:S|Ms|Bytes|Mb)$/;

/** A range, a count or a unit in the text of a number. */
const UNIT_IN_TEXT = /\d|second|byte|integer|share|factor|percent/i;

/** Reads every exported type that a caller of the package writes. */
export function readOptionTables(sources: SdkSources): OptionTables {
  const faults: string[] = [];
  const exported = sources
    .entries()
    .flatMap(({ entry, exported }) => exported.map((place) => ({ ...place, entry })));
  const entryOf = new Map(exported.toReversed().map(({ path, name, entry }) => [`${path}:${name}`, entry]));
  const tables = new Map<string, OptionTable>();
  const seen = new Set<string>();
  const read = (place: Place, asked: boolean): void => {
    const key = `${place.path}:${place.name}`;
    const entry = entryOf.get(key);
    if (entry === undefined || tables.has(key) || (seen.has(key) && asked)) return;
    seen.add(key);
    const { properties, includes, others } = partsOf(place.node);
    const written = others && !asked ? writtenOf(place, sources) : undefined;
    const isInput = asked ? properties.some(isOptional) : properties.length > 0;
    const isTable = place.name.endsWith("Options") || (isInput && !others) || written !== undefined;
    if (isTable) {
      const { text } = docComment(place.node);
      if (text === "") faults.push(`${place.name}: has no comment`);
      const context = { sources, path: place.path, table: place.name, faults };
      const options = properties.flatMap((property) => optionsOf(property, context));
      tables.set(key, {
        name: place.name,
        entry,
        meaning: text,
        options,
        includes: written === undefined ? includes.flatMap(nameOf) : [],
        written,
      });
    }
    // A union of other types, or a record of them, has its options in these.
    if (!isTable && (asked || !isTypeAliasDeclaration(place.node))) return;
    const nodes = isTypeAliasDeclaration(place.node)
      ? [place.node.type, ...(place.node.typeParameters ?? [])]
      : [...properties, ...includes];
    for (const name of nodes.flatMap(referenced))
      for (const found of sources.find(place.path, name))
        if (found.path !== place.path || found.name !== place.name) read(found, false);
  };
  for (const place of exported) {
    if (place.name.endsWith("Options")) read(place, true);
    const isOverloaded =
      isFunctionDeclaration(place.node) &&
      place.node.body !== undefined &&
      sources.find(place.path, place.name).length > 1;
    for (const { method, type } of isOverloaded ? [] : parametersOf(place.node)) {
      for (const name of referenced(type))
        for (const found of sources.find(place.path, name)) read(found, true);
      for (const inline of literalsIn(type).filter((literal) => literal.members.some(isGiven)))
        faults.push(
          `${place.name}.${method}: has options in its signature (${sources.text(place.path, inline)}); ` +
            "give them an exported type",
        );
    }
  }
  return { tables: [...tables.values()], faults };
}

/** How a type of values is written; undefined for one that depends on others or is a function. */
function writtenOf({ path, node }: Place, sources: SdkSources): string | undefined {
  if (!isTypeAliasDeclaration(node) || (node.typeParameters?.length ?? 0) > 0) return undefined;
  if (
    !(
      isUnionTypeNode(node.type) ||
      isTupleTypeNode(node.type) ||
      isTypeOperatorNode(node.type) ||
      isTemplateLiteralTypeNode(node.type)
    )
  )
    return undefined;
  return oneLine(sources.text(path, node.type)).replace(/^\| /, "");
}

/** The name of a type that another one has the options of, for example `SubmitOptions` of `Omit<SubmitOptions, "parent">`. */
function nameOf(node: Node): readonly string[] {
  const [name, first] = referenced(node);
  const found = name === "Omit" || name === "Pick" ? first : name;
  return found === undefined ? [] : [found];
}

/** What is needed to read an option. */
interface Context {
  readonly sources: SdkSources;
  readonly path: string;
  readonly table: string;
  readonly faults: string[];
}

/** A property, and those of the object that it takes; where these have no default, that of the object is theirs. */
function optionsOf(
  property: PropertySignatureDeclaration,
  context: Context,
  around?: { readonly name: string; readonly default: string | undefined },
): readonly Option[] {
  const { sources, path, table, faults } = context;
  const name = `${around ? `${around.name}.` : ""}${sources.text(path, property.name)}`;
  const { text, tags } = docComment(property);
  const inner = property.type === undefined ? [] : literalsIn(property.type);
  const type = inner.reduce(
    (shown, literal) => shown.replace(oneLine(sources.text(path, literal)), "object"),
    property.type === undefined ? "unknown" : oneLine(sources.text(path, property.type)),
  );
  const standard = isOptional(property) ? (tags.get("default") ?? around?.default) : undefined;
  const fault = (what: string) => faults.push(`${table}.${name}: ${what}`);
  if (text === "") fault("has no comment");
  if (isOptional(property) && standard === undefined) fault("has no @default");
  if (/\bnumber\b/.test(withoutFunctions(type)) && !UNIT_IN_NAME.test(name) && !UNIT_IN_TEXT.test(text))
    fault("is a number whose comment has neither a unit nor a range");
  const ofInner = inner.flatMap(({ members }) =>
    members
      .filter(isPropertySignatureDeclaration)
      .flatMap((each) => optionsOf(each, context, { name, default: standard })),
  );
  return [{ name, type: type.replace(/^\| /, ""), default: standard, meaning: text }, ...ofInner];
}

function withoutFunctions(type: string): string {
  return type.replaceAll(/\([^()]*\)\s*=>\s*[\w<>[\], ]+/g, "");
}

/** The options that a type lists itself, the types that it is made of, and whether it has anything but options. */
function partsOf(node: Node): {
  properties: readonly PropertySignatureDeclaration[];
  includes: readonly Node[];
  others: boolean;
} {
  if (isInterfaceDeclaration(node))
    return {
      properties: node.members.filter(isPropertySignatureDeclaration),
      includes: node.heritageClauses?.flatMap(({ types }) => [...types]) ?? [],
      others: !node.members.every(isPropertySignatureDeclaration),
    };
  if (!isTypeAliasDeclaration(node)) return { properties: [], includes: [], others: true };
  const parts: readonly TypeNode[] = isIntersectionTypeNode(node.type) ? node.type.types : [node.type];
  const literals = parts.filter(isTypeLiteralNode);
  return {
    properties: literals.flatMap(({ members }) => members.filter(isPropertySignatureDeclaration)),
    includes: parts.filter((part) => !isTypeLiteralNode(part)),
    others: literals.length === 0,
  };
}

/** The parameters of what an export has to be called: itself, or its methods. */
function parametersOf(node: Node): { method: string; type: TypeNode }[] {
  const callables: { method: string; parameters: readonly Node[] }[] = [];
  if (isFunctionDeclaration(node)) callables.push({ method: "()", parameters: node.parameters });
  if (isClassDeclaration(node) || isInterfaceDeclaration(node))
    for (const member of node.members.filter((each, _, all) => !isImplementation(each, all))) {
      if (isConstructorDeclaration(member) && !docComment(member).tags.has("internal"))
        callables.push({ method: "constructor", parameters: member.parameters });
      if (
        (isMethodDeclaration(member) || isMethodSignatureDeclaration(member)) &&
        isIdentifier(member.name) &&
        !docComment(member).tags.has("internal")
      )
        callables.push({ method: member.name.text, parameters: member.parameters });
    }
  return callables.flatMap(({ method, parameters }) =>
    parameters.filter(isParameterDeclaration).flatMap(({ type }) => (type ? [{ method, type }] : [])),
  );
}

/** The implementation of overloads: only these are called. */
function isImplementation(node: Node, all: readonly Node[]): boolean {
  return (
    isMethodDeclaration(node) &&
    node.body !== undefined &&
    isIdentifier(node.name) &&
    all.some((each) => isMethodDeclaration(each) && each.body === undefined && isNamed(each, node.name))
  );
}

function isNamed({ name }: { readonly name: Node }, other: Node): boolean {
  return isIdentifier(name) && isIdentifier(other) && name.text === other.text;
}

/** The object types that a type is written with. */
function literalsIn(node: Node): readonly (Node & { readonly members: readonly Node[] })[] {
  if (isTypeLiteralNode(node)) return [node];
  if (isFunctionTypeNode(node) || isConstructorTypeNode(node) || isArrayTypeNode(node)) return [];
  return childrenOf(node).flatMap(literalsIn);
}

/** The names of types that a type is written with: of a function what it returns, because its caller gets the rest. */
function referenced(node: Node): readonly string[] {
  if (isConstructorTypeNode(node)) return [];
  if (isFunctionTypeNode(node)) return node.type === undefined ? [] : referenced(node.type);
  const own =
    isTypeReferenceNode(node) && isIdentifier(node.typeName)
      ? [node.typeName.text]
      : isExpressionWithTypeArguments(node) && isIdentifier(node.expression)
        ? [node.expression.text]
        : [];
  return [...own, ...childrenOf(node).flatMap(referenced)];
}

function childrenOf(node: Node): readonly Node[] {
  const children: Node[] = [];
  node.forEachChild((child) => {
    children.push(child);
    return undefined;
  });
  return children;
}

/** Optional, and of a type that has a value: `type?: never` only excludes an overload. */
function isGiven(node: Node): boolean {
  return (
    isOptional(node) && isPropertySignatureDeclaration(node) && node.type?.kind !== SyntaxKind.NeverKeyword
  );
}

function isOptional(node: Node): boolean {
  return isPropertySignatureDeclaration(node) && node.postfixToken !== undefined;
}

function oneLine(text: string): string {
  return text
    .replaceAll(/\/\*\*[\s\S]*?\*\//g, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}
