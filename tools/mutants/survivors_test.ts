import { assertEquals } from "@std/assert";
import { describeMutant, type Explained, isExplained, staleEntries, updateEntries } from "./survivors.ts";

const source = "function f(a: number) {\n  if (a > 0) { // a reason\n    g();\n  }\n}\n";
const mutant = (mutatorName: string, replacement: string, start: [number, number], end: [number, number]) => ({
  id: "0",
  mutatorName,
  replacement,
  status: "Survived",
  location: { start: { line: start[0], column: start[1] }, end: { line: end[0], column: end[1] } },
});
const condition = describeMutant(source, mutant("EqualityOperator", "a >= 0", [2, 7], [2, 12]));
const block = describeMutant(source, mutant("BlockStatement", "{}", [2, 14], [4, 4]));

Deno.test("mutants: a survivor is described by the text that it changes", () => {
  assertEquals(condition, {
    mutator: "EqualityOperator",
    line: "if (a > 0) {",
    original: "a > 0",
    replacement: "a >= 0",
  });
  assertEquals(block, {
    mutator: "BlockStatement",
    line: "if (a > 0) {",
    original: "{ // a reason g(); }",
    replacement: "{}",
  });
});

Deno.test("mutants: a survivor is explained by an entry with the same text and a reason, on any line", () => {
  const entry: Explained = { ...condition, why: "a is never 0" };
  const moved = describeMutant(`\n\n${source}`, mutant("EqualityOperator", "a >= 0", [4, 7], [4, 12]));
  assertEquals(isExplained(moved, [entry]), true);
  assertEquals(isExplained(block, [entry]), false);
  assertEquals(isExplained({ ...condition, replacement: "a <= 0" }, [entry]), false);
  assertEquals(isExplained({ ...condition, line: "while (a > 0) {" }, [entry]), false);
  assertEquals(isExplained(condition, [{ ...entry, why: " " }]), false);
});

Deno.test("mutants: an update keeps reasons, adds new survivors once, and drops what no longer survives", () => {
  const kept: Explained = { ...condition, why: "a is never 0" };
  const killed: Explained = { ...condition, original: "a > 1", why: "killed since" };
  assertEquals(staleEntries([condition, block], [kept, killed]), [killed]);
  assertEquals(updateEntries([condition, block, block], [killed, kept]), [kept, { ...block, why: "" }]);
});
