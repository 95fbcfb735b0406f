/** Every export of the worker SDK, and every member of it, has a comment. */
import {
  isClassDeclaration,
  isGetAccessorDeclaration,
  isIdentifier,
  isInterfaceDeclaration,
  isMethodDeclaration,
  isMethodSignatureDeclaration,
  isPropertyDeclaration,
  isPropertySignatureDeclaration,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { docComment, SdkSources } from "./options/sdk-sources.ts";

/** Fails with the names that have no comment. */
export async function checkDocumented(): Promise<void> {
  using sources = new SdkSources();
  const missing = undocumented(sources);
  if (missing.length > 0)
    throw new Error(`exports of the worker SDK without a comment:\n  ${missing.join("\n  ")}`);
}

/**
 * The exports and members without a comment, sorted. Of overloads one comment is enough, and what a class implements has that
 * of its interface.
 */
export function undocumented(sources: SdkSources): readonly string[] {
  const documented = new Map<string, boolean>();
  const see = (name: string, node: Node) =>
    documented.set(name, documented.get(name) === true || docComment(node).text !== "");
  for (const { exported } of sources.entries())
    for (const { path, name, node } of exported) {
      see(name, node);
      const implemented = new Set(
        implementedBy(node)
          .flatMap((each) => sources.find(path, each))
          .flatMap((found) => membersOf(found.node))
          .flatMap(({ member, called }) => (docComment(member).text === "" ? [] : [called])),
      );
      for (const { member, called } of membersOf(node))
        if (!implemented.has(called)) see(`${name}.${called}`, member);
    }
  return [...documented].flatMap(([name, has]) => (has ? [] : [name])).toSorted();
}

/** The members that a caller sees. `name` of an error is that of its class. */
function membersOf(node: Node): { member: Node; called: string }[] {
  if (!isClassDeclaration(node) && !isInterfaceDeclaration(node)) return [];
  const members: readonly Node[] = node.members;
  return members.flatMap((member) => {
    const named =
      isPropertySignatureDeclaration(member) ||
      isMethodSignatureDeclaration(member) ||
      isPropertyDeclaration(member) ||
      isMethodDeclaration(member) ||
      isGetAccessorDeclaration(member);
    if (!named || !isIdentifier(member.name)) return [];
    const kinds = new Set(member.modifiers?.map(({ kind }) => kind));
    const hidden = kinds.has(SyntaxKind.PrivateKeyword) || docComment(member).tags.has("internal");
    const isErrorName = kinds.has(SyntaxKind.OverrideKeyword) && member.name.text === "name";
    return hidden || isErrorName ? [] : [{ member, called: member.name.text }];
  });
}

/** The names of the interfaces that a class implements. */
function implementedBy(node: Node): readonly string[] {
  if (!isClassDeclaration(node)) return [];
  return (node.heritageClauses ?? [])
    .filter(({ token }) => token === SyntaxKind.ImplementsKeyword)
    .flatMap(({ types }) =>
      types.flatMap(({ expression }) => (isIdentifier(expression) ? [expression.text] : [])),
    );
}
