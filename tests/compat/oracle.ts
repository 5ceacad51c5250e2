/** Asks CPython's own asynchat, where there is one: oracle.py runs it. */

import { fileURLToPath } from "node:url";
import { granted } from "../permissions.ts";
import type { Conversation, PythonOutcome } from "./conversation.ts";

/** What can be asked. */
export type Question =
  | { conversation: Conversation }
  | { listener: string[] } // the outcomes of accept(): the name of an errno, or of a connection; "throw" is one that handle_accepted throws at
  | { prefixes: [haystack: string, needle: string][] };

/** What came of a listener: what it told, and whether it listens still. */
export interface ListenerOutcome {
  events: (["accepted", string] | ["error", string])[];
  listening: boolean;
}

/** What is answered to a question. */
export type Answer<Q extends Question> = Q extends { conversation: unknown } ? PythonOutcome
  : Q extends { listener: unknown } ? ListenerOutcome
  : { lengths: number[] };

/** Whether there is a `python3` with asynchat (CPython up to 3.11), and leave to run it. */
export async function hasOracle(): Promise<boolean> {
  if (!granted({ name: "run", command: "python3" })) return false;
  try {
    return (await python(["-W", "ignore", "-c", "import asynchat"], "")).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What CPython's asynchat does: the answers in the order of the questions, from one process. */
export async function askOracle<const Questions extends readonly Question[]>(
  questions: Questions,
): Promise<{ -readonly [N in keyof Questions]: Answer<Questions[N]> }> {
  const script = fileURLToPath(new URL("./oracle.py", import.meta.url));
  const lines = questions.map((question) => `${JSON.stringify(question)}\n`).join("");
  const { success, stdout, stderr } = await python([script], lines);
  if (!success) throw new Error(`Cannot ask the oracle: ${new TextDecoder().decode(stderr)}`);
  const answers = new TextDecoder().decode(stdout).trimEnd().split("\n");
  if (answers.length !== questions.length) {
    throw new Error(`Cannot use what the oracle says: ${answers.length} answers to ${questions.length} questions`);
  }
  return answers.map((answer) => JSON.parse(answer)) as never;
}

/** Which CPython it is, as in "3.11.7". */
export async function oracleVersion(): Promise<string> {
  const { stdout } = await python(["-c", "import platform; print(platform.python_version())"], "");
  return new TextDecoder().decode(stdout).trim();
}

async function python(args: string[], input: string): Promise<Deno.CommandOutput> {
  const child = new Deno.Command("python3", { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const output = child.output();
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // it has ended; its exit code says how
  }
  return await output;
}
