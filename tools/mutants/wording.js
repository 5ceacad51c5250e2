/**
 * A plugin of Stryker: leaves the wording of errors alone. Tests hold an error to its class and its numbers, and many to
 * its text, but no test owes us every word. What is computed outside the text is mutated all the same.
 */

const REASON = "the wording of an error";

/** Whether a call makes an error: `new SomeError(...)`, `super(...)` in a class of one, or prints one. */
function isAboutErrors(path) {
  if (path.isNewExpression()) return /Error$/.test(path.node.callee.name ?? "");
  if (!path.isCallExpression()) return false;
  const { callee } = path.node;
  if (callee.type === "Super") return /Error$/.test(path.findParent((at) => at.isClass())?.node.superClass?.name ?? "");
  return callee.type === "MemberExpression" && callee.object.name === "console";
}

export const strykerPlugins = [{
  kind: "Ignore",
  name: "wording",
  value: {
    shouldIgnore(path) {
      if (!path.isStringLiteral() && !path.isTemplateLiteral()) return undefined;
      return path.parentPath !== null && isAboutErrors(path.parentPath) ? REASON : undefined;
    },
  },
}];
